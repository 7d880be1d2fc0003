// SPDX-License-Identifier: Apache-2.0
/*
 * The data: decoding it and questions about it. No drawing and no document here.
 *
 * The tree is what is in the file: all frames of all stacks. A model is the part of it that has a
 * weight, with places: a node is an index into the model's arrays, which are in preorder: the nodes
 * below node i are i + 1 to end[i] - 1. Node 0 is the root. `frame` indexes names and types; frame 0
 * is the root's.
 */

const INTERPRETED = 3, COMPILED = 4; /* of a frame's types: profile.h */
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Reads variable-length numbers, 5 bits a digit, lowest first. Sums, not shifts: counts may be
 * greater than 2^31. */
function numberReader(text) {
	const values = new Uint8Array(128);
	let at = 0;

	for (let i = 0; i < DIGITS.length; i++)
		values[DIGITS.charCodeAt(i)] = i;
	return function () {
		let value = 0, unit = 1, digit;

		do {
			digit = values[text.charCodeAt(at++)];
			value += (digit & 31) * unit;
			unit *= 32;
		} while (digit & 32);
		return value;
	};
}

/* Each name's first character says how many characters it shares with the one before it. */
function decodeNames(text, count) {
	const names = ["all"];
	let before = "";

	for (const line of count ? text.split("\n") : []) {
		before = before.slice(0, DIGITS.indexOf(line[0])) + line.slice(1);
		names.push(before);
	}
	return names;
}

/* The tree: nodes in preorder with their parents, and as many numbers of each as the data has
 * columns (values[column][node]; the root's is the sum of those below it). */
function decodeTree(data) {
	const count = data.nodeCount, columns = data.columns, read = numberReader(data.nodes);
	const tree = {
		count,
		names: decodeNames(data.names, data.nameTypes.length),
		types: Uint8Array.from("0" + data.nameTypes),
		frame: new Uint32Array(count),
		parent: new Int32Array(count),
		values: Array.from({ length: columns }, () => new Float64Array(count)),
	};
	const { frame, parent, values } = tree, path = [0];

	parent[0] = -1;
	for (let i = 1; i < count; i++) {
		path.length -= read();
		const above = path[path.length - 1];

		for (let column = 0; column < columns; column++) {
			values[column][i] = read();
			if (above === 0)
				values[column][0] += values[column][i];
		}
		frame[i] = read() + 1;
		parent[i] = above;
		path.push(i);
	}
	return tree;
}

/* What of the tree has a weight, for drawing. `weight` is by node of the tree, and includes that of
 * the nodes below. */
function makeModel(tree, weight) {
	const ids = new Int32Array(tree.count).fill(-1);
	let count = 0;

	for (let i = 0; i < tree.count; i++) {
		if (i === 0 || weight[i] > 0)
			ids[i] = count++;
	}
	const model = {
		count,
		names: tree.names,
		types: tree.types,
		origin: new Uint32Array(count), /* node of the tree */
		frame: new Uint32Array(count),
		parent: new Int32Array(count),
		end: new Uint32Array(count),
		depth: new Uint32Array(count),
		left: new Float64Array(count),
		total: new Float64Array(count),
		self: new Float64Array(count),
		maxDepth: 0,
		/* Nodes by depth, from left to right: those of depth d are
		 * byDepth[depthStart[d]] to byDepth[depthStart[d + 1] - 1]. */
		depthStart: null,
		byDepth: new Uint32Array(count),
	};
	const { origin, frame, parent, end, depth, left, total, self } = model;
	/* The open nodes, and where the next child of each starts. */
	const path = [0], nextLeft = [0];

	parent[0] = -1;
	total[0] = self[0] = weight[0];
	for (let from = 1; from < tree.count; from++) {
		const i = ids[from];

		if (i < 0)
			continue;
		const above = ids[tree.parent[from]], d = depth[above] + 1;

		while (path.length > d)
			end[path.pop()] = i;
		origin[i] = from;
		total[i] = self[i] = weight[from];
		frame[i] = tree.frame[from];
		parent[i] = above;
		depth[i] = d;
		left[i] = nextLeft[d - 1];
		nextLeft[d - 1] += total[i];
		nextLeft[d] = left[i];
		self[above] -= total[i];
		path.push(i);
		if (d > model.maxDepth)
			model.maxDepth = d;
	}
	while (path.length)
		end[path.pop()] = count;

	const start = model.depthStart = new Uint32Array(model.maxDepth + 2), at = [];
	for (let i = 0; i < count; i++)
		start[depth[i] + 1]++;
	for (let d = 0; d <= model.maxDepth; d++) {
		start[d + 1] += start[d];
		at.push(start[d]);
	}
	for (let i = 0; i < count; i++)
		model.byDepth[at[depth[i]]++] = i;
	return model;
}

/* Adds to each node of the tree what the nodes below it have. */
function addUp(tree, weight) {
	for (let i = tree.count - 1; i > 0; i--)
		weight[tree.parent[i]] += weight[i];
	return weight;
}

/* The model's node for a node of the tree; -1 where that has no weight. */
function nodeOf(model, from) {
	let low = 0, high = model.count;

	while (low < high) {
		const middle = (low + high) >> 1;

		if (model.origin[middle] < from)
			low = middle + 1;
		else
			high = middle;
	}
	return low < model.count && model.origin[low] === from ? low : -1;
}

/* The index in byDepth of the first node of a depth that ends right of x. */
function firstRightOf(model, depth, x) {
	let low = model.depthStart[depth], high = model.depthStart[depth + 1];

	while (low < high) {
		const middle = (low + high) >> 1, node = model.byDepth[middle];

		if (model.left[node] + model.total[node] > x)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* A predicate on names: a plain part of the name, or a regular expression. Case only matters where
 * the pattern has capitals. Returns { test } or { error }. */
function makeMatcher(pattern, isRegex) {
	const exact = /[A-Z]/.test(isRegex ? pattern.replace(/\\[A-Z]/g, "") : pattern);

	if (!isRegex) {
		if (exact)
			return { test: (name) => name.includes(pattern) };
		return { test: (name) => name.toLowerCase().includes(pattern) };
	}
	try {
		const regex = new RegExp(pattern, exact ? "u" : "iu");

		return { test: (name) => regex.test(name) };
	} catch (error) {
		return { error: String(error.message) };
	}
}

function matchFrames(model, test) {
	const matched = new Uint8Array(model.names.length);

	for (let i = 1; i < matched.length; i++)
		matched[i] = test(model.names[i]) ? 1 : 0;
	return matched;
}

/* The samples within `root` that have a matched frame anywhere on their stack. A match below a
 * match adds nothing. */
function matchedSamples(model, matched, root) {
	let sum = 0;

	for (let above = root; above >= 0; above = model.parent[above]) {
		if (matched[model.frame[above]])
			return model.total[root];
	}
	for (let i = root; i < model.end[root];) {
		if (matched[model.frame[i]]) {
			sum += model.total[i];
			i = model.end[i];
		} else {
			i++;
		}
	}
	return sum;
}

/* Samples within `root` by the type of their leaf. */
function leafSamples(model, root, typeCount) {
	const sums = new Array(typeCount).fill(0);

	for (let i = root; i < model.end[root]; i++) {
		if (i > 0)
			sums[model.types[model.frame[i]]] += model.self[i];
	}
	return sums;
}

/* Of each frame the first of its function: a Lua function, interpreted and compiled, is two frames. */
function functionsOf(model) {
	const first = new Map();

	return Uint32Array.from(model.names, (name, frame) => {
		const type = model.types[frame], key = (type === COMPILED ? INTERPRETED : type) + name;

		if (!first.has(key))
			first.set(key, frame);
		return first.get(key);
	});
}

/*
 * Functions with their own and total samples within `root`; recursion is not counted twice. `frame` is that of the
 * function which has more of its own.
 */
function functionSums(model, root) {
	const count = model.names.length, functions = functionsOf(model), rows = [];
	const self = new Float64Array(count), total = new Float64Array(count), own = new Float64Array(count);
	const openUntil = new Uint32Array(count), most = Uint32Array.from(functions);

	for (let i = root; i < model.end[root]; i++) {
		const frame = model.frame[i], one = functions[frame];

		self[one] += model.self[i];
		own[frame] += model.self[i];
		if (own[frame] > own[most[one]])
			most[one] = frame;
		if (i >= openUntil[one]) {
			total[one] += model.total[i];
			openUntil[one] = model.end[i];
		}
	}
	for (let one = 1; one < count; one++) {
		if (total[one] > 0)
			rows.push({ frame: most[one], self: self[one], total: total[one] });
	}
	return rows;
}
