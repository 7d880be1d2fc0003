// SPDX-License-Identifier: Apache-2.0
/*
 * The drawing: a canvas as large as the visible part of the graph, redrawn at each change. Only what
 * can be seen is visited: levels on screen, and in each the nodes of the zoomed range.
 */

/* Pixels; fingers need more. */
const ROW = matchMedia("(pointer: coarse)").matches ? 26 : 18, FONT_SIZE = 12;
const FONT = FONT_SIZE + "px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif";
const SHADES = 8;

const THEMES = {
	light: {
		key: 1, ground: "#ffffff", label: "#14171c",
		quiet: "#e4e7ec", quietText: "#454c59", spread: 0.36,
		match: "#b8126e", matchText: "#ffffff",
	},
	dark: {
		key: 2, ground: "#15181d", label: "#0d1014",
		quiet: "#2a2f38", quietText: "#b4bcc9", spread: 0.2,
		match: "#ff79c2", matchText: "#1d0412",
	},
};

/* Mixes #rrggbb with another by part (0 to 1). */
function mixColors(a, b, part) {
	let mixed = "#";

	for (let i = 1; i < 7; i += 2) {
		const x = parseInt(a.slice(i, i + 2), 16), y = parseInt(b.slice(i, i + 2), 16);

		mixed += Math.round(x + (y - x) * part).toString(16).padStart(2, "0");
	}
	return mixed;
}

/* Shades of a type's colour, so that neighbours can be told apart: only lighter ones, as their
 * contrast with the dark labels can only grow. */
function makeShades(types, theme) {
	return types.map((type) => {
		const shades = [];

		for (let i = 0; i < SHADES; i++)
			shades.push(mixColors(type[theme.key], "#ffffff", i / SHADES * theme.spread));
		return shades;
	});
}

function shadeOf(name) {
	let hash = 2166136261;

	for (let i = 0; i < name.length && i < 200; i++)
		hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
	return (hash >>> 13) % SHADES;
}

/* Leaves out the directories of "function@/long/path/file.lua:12". */
function shortName(name) {
	const at = name.lastIndexOf("@"), slash = name.lastIndexOf("/");

	return at >= 0 && slash > at ? name.slice(0, at + 1) + name.slice(slash + 1) : name;
}

class Graph {
	/* `scroller` is the element that scrolls; it holds `sheet`, as high as all levels, which
	 * holds the canvas. */
	constructor(model, types, scroller, sheet, canvas) {
		this.model = model;
		this.types = types;
		this.scroller = scroller;
		this.sheet = sheet;
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
		this.shade = Uint8Array.from(model.names, shadeOf);
		this.nameWidths = new Float32Array(model.names.length);
		this.inverted = false; /* true: the root is at the top */
		this.zoomed = 0;
		this.from = 0; /* the visible range, in samples */
		this.to = model.total[0];
		this.matched = null; /* by frame */
		this.fill = null; /* (node, theme) => colour, in place of those of the types */
		this.width = this.height = 0;
		this.scrolled = this.sheetHeight(); /* the scroller's place before the last resize */
		this.pending = 0;
		this.animation = 0;
		this.setTheme("light");
		scroller.addEventListener("scroll", () => {
			if (Math.min(scroller.clientHeight, this.sheetHeight()) === this.height)
				this.scrolled = scroller.scrollTop;
			this.redraw();
		});
	}

	/* Another part of the same tree, from the root. */
	setModel(model) {
		cancelAnimationFrame(this.animation);
		this.model = model;
		this.zoomed = 0;
		this.from = 0;
		this.to = model.total[0];
		this.redraw();
	}

	setTheme(name) {
		this.theme = THEMES[name];
		this.shades = makeShades(this.types, this.theme);
		this.redraw();
	}

	setMatched(matched) {
		this.matched = matched;
		this.redraw();
	}

	/* Root at the top or at the bottom; shows the root's end. */
	setInverted(inverted) {
		this.inverted = inverted;
		this.scroller.scrollTop = inverted ? 0 : this.sheetHeight();
		this.redraw();
	}

	sheetHeight() {
		return (this.model.maxDepth + 1) * ROW;
	}

	/* Fits the canvas to the scroller's size; what stands at the root's end stays there. */
	resize() {
		const width = this.scroller.clientWidth;
		const height = Math.min(this.scroller.clientHeight, this.sheetHeight());
		const ratio = window.devicePixelRatio || 1;

		if (width === this.width && height === this.height && ratio === this.ratio)
			return;
		if (!this.inverted)
			this.scroller.scrollTop = this.scrolled + this.height - height;
		this.scrolled = this.scroller.scrollTop;
		this.width = width;
		this.height = height;
		this.ratio = ratio;
		this.canvas.width = Math.round(width * ratio);
		this.canvas.height = Math.round(height * ratio);
		this.canvas.style.width = width + "px";
		this.canvas.style.height = height + "px";
		this.draw();
	}

	zoom(node, animated) {
		const { left, total } = this.model;
		const from = this.from, to = this.to, start = performance.now();
		const step = (now) => {
			const part = animated ? Math.min(1, Math.max(0, (now - start) / 180)) : 1;
			const eased = 1 - (1 - part) ** 3;

			this.from = from + (left[node] - from) * eased;
			this.to = to + (left[node] + total[node] - to) * eased;
			this.draw();
			this.animation = part < 1 ? requestAnimationFrame(step) : 0;
			if (!this.animation && this.onsettled)
				this.onsettled();
		};

		this.zoomed = node;
		cancelAnimationFrame(this.animation);
		step(start);
	}

	/* The top of a level in the sheet. */
	levelTop(depth) {
		return (this.inverted ? depth : this.model.maxDepth - depth) * ROW;
	}

	/* Where a node is in the sheet, cut to the visible range; null outside of it. */
	boxOf(node) {
		const scale = this.width / (this.to - this.from);
		const left = Math.max(0, (this.model.left[node] - this.from) * scale);
		const right = Math.min(this.width,
			(this.model.left[node] + this.model.total[node] - this.from) * scale);

		if (right <= 0 || left >= this.width)
			return null;
		return { left, top: this.levelTop(this.model.depth[node]), width: right - left, height: ROW };
	}

	/* The node at a point of the sheet, or -1. */
	nodeAt(x, y) {
		const { model } = this, row = Math.floor(y / ROW);
		const depth = this.inverted ? row : model.maxDepth - row;
		const sample = this.from + x / this.width * (this.to - this.from);

		if (depth < 0 || depth > model.maxDepth || x < 0 || x >= this.width)
			return -1;
		const i = firstRightOf(model, depth, sample);
		/* Thin frames are drawn one pixel wide. */
		const slack = (this.to - this.from) / this.width;

		if (i === model.depthStart[depth + 1])
			return -1;
		const node = model.byDepth[i];
		return model.left[node] <= sample + slack ? node : -1;
	}

	redraw() {
		if (!this.pending)
			this.pending = requestAnimationFrame(() => this.draw());
	}

	scrollTo(node) {
		const top = this.levelTop(this.model.depth[node]), { scroller } = this;

		if (top < scroller.scrollTop)
			scroller.scrollTop = top - ROW;
		else if (top + ROW > scroller.scrollTop + scroller.clientHeight)
			scroller.scrollTop = top + 2 * ROW - scroller.clientHeight;
	}

	/* The frames that are wide enough for a reader to see, for tests and scripts. */
	visibleNodes(minPixels) {
		const nodes = [];

		for (let i = 0; i < this.model.count; i++) {
			const box = this.boxOf(i);

			if (box && box.width >= minPixels)
				nodes.push(i);
		}
		return nodes;
	}

	draw() {
		const { context, model, height } = this;
		const top = Math.max(0, Math.min(this.scroller.scrollTop, this.sheetHeight() - height));
		const labels = [];

		if (this.pending)
			cancelAnimationFrame(this.pending);
		this.pending = 0;
		if (!this.width)
			return;
		context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
		context.fillStyle = this.theme.ground;
		context.fillRect(0, 0, this.width, height);
		const first = Math.floor(top / ROW), last = Math.floor((top + height - 1) / ROW);

		for (let row = first; row <= last && row <= model.maxDepth; row++)
			this.drawLevel(this.inverted ? row : model.maxDepth - row, row * ROW - top, labels);
		this.drawLabels(labels);
	}

	/* Callers of the zoomed frame, and frames that a search did not find, stand back. */
	isQuiet(node) {
		const { model, matched, zoomed } = this;

		return matched ? !matched[model.frame[node]] : model.depth[node] < model.depth[zoomed];
	}

	colorOf(node) {
		const frame = this.model.frame[node];

		if (this.isQuiet(node))
			return this.theme.quiet;
		if (this.fill && !this.matched)
			return this.fill(node, this.theme);
		return this.matched ? this.theme.match : this.shades[this.model.types[frame]][this.shade[frame]];
	}

	drawLevel(depth, y, labels) {
		const { context, model, from, to, width, matched } = this;
		const { byDepth, left, total, frame } = model;
		const scale = width / (to - from), end = model.depthStart[depth + 1];
		let drawnTo = -1;

		for (let i = firstRightOf(model, depth, from); i < end; i++) {
			const node = byDepth[i];

			if (left[node] >= to)
				break;
			const x = Math.max(0, (left[node] - from) * scale);
			const right = Math.min(width, (left[node] + total[node] - from) * scale);
			let pixels = right - x;

			/* Frames too thin to see share one pixel; a match among them shows. */
			if (pixels < 1) {
				if (x < drawnTo && !(matched && matched[frame[node]]))
					continue;
				pixels = 1;
			} else if (pixels > 4) {
				pixels -= 1;
			} else if (pixels > 2) {
				pixels -= 0.5;
			}
			drawnTo = x + pixels;
			context.fillStyle = this.colorOf(node);
			context.fillRect(x, y, pixels, ROW - 1);
			if (right - x > 22)
				labels.push(node, x, y, right - x);
		}
	}

	drawLabels(labels) {
		const { context, model, matched, theme } = this;

		context.font = FONT;
		context.textBaseline = "middle";
		for (let i = 0; i < labels.length; i += 4) {
			const frame = model.frame[labels[i]];
			const text = this.labelFor(frame, labels[i + 3] - 9);

			if (!text)
				continue;
			context.fillStyle = this.isQuiet(labels[i]) ? theme.quietText :
				matched ? theme.matchText : theme.label;
			context.fillText(text, labels[i + 1] + 4, labels[i + 2] + ROW / 2);
		}
	}

	/* As much of a name as there is room for, the file's directories left out first. */
	labelFor(frame, room) {
		const { context, nameWidths } = this;
		let name = this.model.names[frame].slice(0, 400);

		if (!nameWidths[frame])
			nameWidths[frame] = context.measureText(name).width;
		if (nameWidths[frame] <= room)
			return name;
		name = shortName(name);
		let width = context.measureText(name).width;
		if (width <= room)
			return name;
		let length = Math.ceil(name.length * room / width);
		do {
			const text = name.slice(0, length).replace(/[\ud800-\udbff]$/, "") + "\u2026";

			if (context.measureText(text).width <= room)
				return text;
		} while (--length > 1);
		return "";
	}
}
