// SPDX-License-Identifier: Apache-2.0
/*
 * The heat map: a column for each second, in it the parts of that second from the bottom up, and the
 * flame graph of the range that is selected. Times are milliseconds since the recording's start.
 */

/* What a cell's colour goes through from few samples to many; `cell` is one without any. */
const HEAT = {
	light: { cell: "#eef0f4", ramp: ["#fde3a7", "#f9a94a", "#e8602c", "#b81f24", "#640d2c"] },
	dark: { cell: "#1d2128", ramp: ["#452c5c", "#83307a", "#c8435b", "#f2863c", "#fde59b"] },
};
const HEAT_STEPS = 64, AXIS = 18, MIN_CELL = 2, MAX_CELL = 40;

const HEAT_KEYS = [
	["Drag", "in the heat map: select a range, on its time axis whole seconds"],
	["Click, Shift+click", "select a cell, up to a cell"],
	["Arrow keys", "in the heat map: move between cells; with Shift, select"],
	["Enter", "in the heat map: the range begins here, then ends here"],
	["m", "show or hide the heat map"],
];

/* The samples in the order of time: when[i], and the tree's node at which its stack ends. */
function decodeSamples(heat) {
	const stack = numberReader(heat.stacks), read = numberReader(heat.samples);
	const ends = Uint32Array.from({ length: heat.stackCount }, stack);
	const when = new Uint32Array(heat.sampleCount), node = new Uint32Array(heat.sampleCount);
	let now = 0;

	for (let i = 0; i < heat.sampleCount; i++) {
		when[i] = now += read();
		node[i] = ends[read()];
	}
	return { when, node };
}

/* The index of the first sample at or after a time. */
function firstSampleAt(samples, time) {
	let low = 0, high = samples.when.length;

	while (low < high) {
		const middle = (low + high) >> 1;

		if (samples.when[middle] < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* "12.340 s", of long recordings "3:12.340". */
function clock(ms, long) {
	const seconds = (ms % 60000 / 1000).toFixed(3);

	return long ? Math.floor(ms / 60000) + ":" + seconds.padStart(6, "0") : (ms / 1000).toFixed(3) + " s";
}

/* The map itself. A cell is a number: second * rows + row. */
class HeatMap {
	constructor(samples, rows, seconds) {
		this.rows = rows;
		this.seconds = seconds;
		this.long = seconds > 120;
		this.cellMs = 1000 / rows;
		this.samples = samples;
		this.selected = null; /* { from, to }: cells, both included */
		this.cursor = 0;
		this.anchor = -1; /* where a range begins that can be extended */
		this.begun = false; /* by a key: the range has no end yet */
		this.pending = 0;
		this.width = 0;
		this.canvas = element("canvas", { "aria-hidden": "true" });
		this.sheet = element("div", { class: "sheet" }, this.canvas);
		this.scroller = element("div", {
			class: "cells", tabindex: "0", role: "application", "aria-roledescription": "heat map",
			"aria-label": "Samples by time", "aria-describedby": "heat-keys",
		}, this.sheet);
		this.scale = element("div", { class: "scale", "aria-hidden": "true" },
			element("span", {}, "1 s"), element("span", {}, "0.5"), element("span", {}, "0"));
		this.count(null);
		this.listen();
	}

	/* Counts the samples whose stack ends at one of these nodes of the tree (null: all). */
	count(nodes) {
		const { when, node } = this.samples;

		this.counts = new Uint32Array(this.seconds * this.rows);
		for (let i = 0; i < when.length; i++) {
			if (!nodes || nodes[node[i]])
				this.counts[Math.floor(when[i] / this.cellMs)]++;
		}
		this.most = this.counts.reduce((most, count) => Math.max(most, count), 0);
		this.redraw();
	}

	timeOf(cell) {
		return cell * this.cellMs;
	}

	setTheme(name, ground, text) {
		const { cell, ramp } = HEAT[name];

		this.ground = ground;
		this.text = text;
		this.empty = cell;
		this.steps = Array.from({ length: HEAT_STEPS }, (_, i) => {
			const at = i / (HEAT_STEPS - 1) * (ramp.length - 1), low = Math.min(ramp.length - 2, Math.floor(at));

			return mixColors(ramp[low], ramp[low + 1], at - low);
		});
		this.redraw();
	}

	/* Square roots: a burst does not hide what is usual. */
	colorOf(count) {
		if (!count)
			return this.empty;
		return this.steps[Math.round(Math.sqrt(this.most > 1 ? (count - 1) / (this.most - 1) : 1) * (HEAT_STEPS - 1))];
	}

	resize() {
		const tall = innerHeight, room = this.scroller.clientWidth, ratio = window.devicePixelRatio || 1;

		this.rowHeight = tall < 520 ? 2 : tall < 900 ? 3 : tall < 1200 ? 4 : 5;
		this.cellWidth = Math.max(MIN_CELL, Math.min(MAX_CELL, Math.floor(room / this.seconds)));
		this.mapHeight = this.rowHeight * this.rows;
		this.width = Math.min(room, this.cellWidth * this.seconds);
		this.scroller.style.height = this.sheet.style.height = this.mapHeight + AXIS + "px";
		this.sheet.style.width = this.cellWidth * this.seconds + "px";
		this.scale.style.height = this.mapHeight + "px";
		this.canvas.width = Math.round(this.width * ratio);
		this.canvas.height = Math.round((this.mapHeight + AXIS) * ratio);
		this.canvas.style.width = this.width + "px";
		this.canvas.style.height = this.mapHeight + AXIS + "px";
		this.ratio = ratio;
		/* Scroll bars, where they take room. */
		this.scroller.style.height = this.mapHeight + AXIS + this.scroller.offsetHeight - this.scroller.clientHeight + "px";
		this.draw();
	}

	redraw() {
		if (!this.pending)
			this.pending = requestAnimationFrame(() => this.draw());
	}

	draw() {
		const context = this.canvas.getContext("2d"), { rows, rowHeight, cellWidth, width } = this;
		const left = this.scroller.scrollLeft, first = Math.floor(left / cellWidth);
		const last = Math.min(this.seconds - 1, Math.floor((left + width - 1) / cellWidth));
		const gap = cellWidth >= 6 ? 1 : 0;

		cancelAnimationFrame(this.pending);
		this.pending = 0;
		if (!width)
			return;
		context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
		context.fillStyle = this.ground;
		context.fillRect(0, 0, width, this.mapHeight + AXIS);
		for (let second = first; second <= last; second++) {
			const x = second * cellWidth - left;

			context.fillStyle = this.empty;
			context.fillRect(x, 0, cellWidth - gap, this.mapHeight);
			for (let row = 0; row < rows; row++) {
				const count = this.counts[second * rows + row];

				if (!count)
					continue;
				context.fillStyle = this.colorOf(count);
				context.fillRect(x, (rows - 1 - row) * rowHeight, cellWidth - gap, rowHeight);
			}
		}
		context.save();
		context.translate(-left, 0);
		this.drawAxis(context, first, last);
		this.drawSelection(context, first, last);
		this.drawCursor(context);
		context.restore();
	}

	drawAxis(context, first, last) {
		const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((seconds) => seconds * this.cellWidth >= 64) || 7200;

		context.font = "11px " + FONT.slice(FONT.indexOf(" ") + 1);
		context.textBaseline = "middle";
		context.fillStyle = this.text;
		for (let second = first - first % step; second <= last; second += step) {
			const text = this.long ? Math.floor(second / 60) + ":" + String(second % 60).padStart(2, "0") : second + " s";

			context.fillRect(second * this.cellWidth, this.mapHeight, 1, 4);
			if (second * this.cellWidth + context.measureText(text).width + 4 < this.seconds * this.cellWidth || !second)
				context.fillText(text, second * this.cellWidth + 4, this.mapHeight + AXIS / 2 + 2);
		}
	}

	/* What is not selected stands back. */
	drawSelection(context, first, last) {
		const { rows, rowHeight, cellWidth, selected, mapHeight } = this;

		if (!selected)
			return;
		const from = Math.floor(selected.from / rows), to = Math.floor(selected.to / rows);
		const start = mapHeight - selected.from % rows * rowHeight, end = mapHeight - (selected.to % rows + 1) * rowHeight;

		context.globalAlpha = 0.72;
		context.fillStyle = this.ground;
		context.fillRect(first * cellWidth, 0, (Math.min(from, last + 1) - first) * cellWidth, mapHeight);
		context.fillRect(from * cellWidth, start, cellWidth, mapHeight - start);
		context.fillRect(to * cellWidth, 0, cellWidth, end);
		context.fillRect((to + 1) * cellWidth, 0, (last - to) * cellWidth, mapHeight);
		context.globalAlpha = 1;
		context.strokeStyle = this.text;
		context.lineWidth = 1.5;
		context.beginPath();
		if (from === to) {
			context.rect(from * cellWidth, end, cellWidth, start - end);
		} else {
			for (const [second, y] of [[from, start], [from, 0], [to, 0], [to, end], [to + 1, end], [to + 1, mapHeight],
				[from + 1, mapHeight], [from + 1, start]])
				context.lineTo(second * cellWidth, y);
			context.closePath();
		}
		context.stroke();
	}

	drawCursor(context) {
		if (document.activeElement !== this.scroller)
			return;
		const box = this.boxOf(this.cursor);

		context.strokeStyle = this.ground;
		context.lineWidth = 4;
		context.strokeRect(box.left - 2, box.top - 2, box.width + 4, box.height + 4);
		context.strokeStyle = this.text;
		context.lineWidth = 2;
		context.strokeRect(box.left - 2, box.top - 2, box.width + 4, box.height + 4);
	}

	/* In the sheet. */
	boxOf(cell) {
		return {
			left: Math.floor(cell / this.rows) * this.cellWidth, width: this.cellWidth,
			top: (this.rows - 1 - cell % this.rows) * this.rowHeight, height: this.rowHeight,
		};
	}

	/* The cell at a pointer; { cell, axis: whether it is the axis below the map }. */
	cellAt(event) {
		const box = this.sheet.getBoundingClientRect();
		const x = event.clientX - box.left, y = event.clientY - box.top;
		const second = Math.max(0, Math.min(this.seconds - 1, Math.floor(x / this.cellWidth)));
		const row = Math.max(0, Math.min(this.rows - 1, this.rows - 1 - Math.floor(y / this.rowHeight)));

		return { cell: second * this.rows + row, axis: y >= this.mapHeight };
	}

	/* Shows a range from cell to cell, in either order; `done`: it is what the user wants. */
	select(a, b, done) {
		const from = Math.min(a, b), to = Math.max(a, b);

		this.selected = { from, to };
		this.redraw();
		if (done)
			this.onselect(this.selected);
	}

	show(range) {
		this.cursor = range.from;
		this.showCursor();
		this.select(range.from, range.to, true);
	}

	clear() {
		this.selected = null;
		this.anchor = -1;
		this.redraw();
		this.onselect(null);
	}

	/* Both ends of the second that a cell is in, if it was pointed to on the axis. */
	reach(from, at) {
		if (!at.axis)
			return [from, at.cell];
		const a = from - from % this.rows, b = at.cell - at.cell % this.rows;

		return [Math.min(a, b), Math.max(a, b) + this.rows - 1];
	}

	listen() {
		const { scroller } = this;
		let dragged = null, last = null;

		scroller.addEventListener("pointerdown", (event) => {
			if (event.button !== 0 || event.pointerType === "touch")
				return;
			const at = this.cellAt(event);

			scroller.setPointerCapture(event.pointerId);
			dragged = event.shiftKey && this.anchor >= 0 ? this.anchor : at.cell;
			last = at;
			this.anchor = dragged;
			this.cursor = at.cell;
			this.select(...this.reach(dragged, at), false);
		});
		scroller.addEventListener("pointermove", (event) => {
			const at = this.cellAt(event);

			if (dragged !== null) {
				at.axis = last.axis;
				last = at;
				this.cursor = at.cell;
				this.select(...this.reach(dragged, at), false);
			}
			if (event.pointerType !== "touch")
				this.onhover(event, at.axis && dragged === null ? -1 : at.cell);
		});
		scroller.addEventListener("pointerup", () => {
			if (dragged === null)
				return;
			this.select(...this.reach(dragged, last), true);
			dragged = null;
		});
		scroller.addEventListener("pointercancel", () => { dragged = null; });
		scroller.addEventListener("pointerleave", (event) => this.onhover(event, -1));
		/* Fingers scroll; they select by one tap at each end. */
		scroller.addEventListener("click", (event) => {
			if (event.pointerType !== "touch")
				return;
			const at = this.cellAt(event), begun = this.anchor;

			this.anchor = begun < 0 ? at.cell : -1;
			this.cursor = at.cell;
			this.select(...this.reach(begun < 0 ? at.cell : begun, at), true);
		});
		scroller.addEventListener("keydown", (event) => this.onKey(event));
		scroller.addEventListener("scroll", () => this.redraw());
		scroller.addEventListener("focus", () => this.redraw());
		scroller.addEventListener("blur", () => this.redraw());
	}

	onKey(event) {
		const { rows } = this, steps = {
			ArrowUp: 1, ArrowDown: -1, ArrowRight: rows, ArrowLeft: -rows, PageDown: 10 * rows, PageUp: -10 * rows,
			Home: -this.cursor, End: this.counts.length - 1 - this.cursor,
		};

		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		if (event.key in steps) {
			const to = this.cursor + steps[event.key];

			if (event.shiftKey && this.anchor < 0)
				this.anchor = this.cursor;
			if (to >= 0 && to < this.counts.length)
				this.cursor = to;
			this.showCursor();
			if (event.shiftKey)
				this.select(this.anchor, this.cursor, true);
			else if (this.begun)
				this.select(this.anchor, this.cursor, false);
			else
				this.anchor = -1;
			if (!event.shiftKey)
				this.onmove(this.cursor);
		} else if (event.key === "Enter" || event.key === " ") {
			if (!this.begun)
				this.anchor = this.cursor;
			this.begun = !this.begun;
			this.select(this.anchor, this.cursor, !this.begun);
			if (this.begun)
				this.onmove(this.cursor);
		} else if (event.key === "Escape" && (this.selected || this.begun)) {
			this.begun = false;
			this.clear();
		} else {
			return;
		}
		event.preventDefault();
		event.stopPropagation();
	}

	showCursor() {
		const { left, width } = this.boxOf(this.cursor), { scroller } = this;

		if (left < scroller.scrollLeft)
			scroller.scrollLeft = left - 40;
		else if (left + width > scroller.scrollLeft + scroller.clientWidth)
			scroller.scrollLeft = left + width + 40 - scroller.clientWidth;
		this.redraw();
	}
}

class HeatPage extends Page {
	weights() {
		this.samples = this.samples || decodeSamples(this.data.heat);
		return this.weightsOf(0, this.samples.when.length);
	}

	/* By node of the tree, of the samples numbered from..to - 1. */
	weightsOf(from, to) {
		const weight = new Float64Array(this.tree.count);

		for (let i = from; i < to; i++)
			weight[this.samples.node[i]]++;
		return addUp(this.tree, weight);
	}

	buildPanels() {
		const { data, samples } = this, last = samples.when.length ? samples.when[samples.when.length - 1] : 0;
		const seconds = Math.max(1, Math.ceil(Math.min(data.durationSeconds, 100000) - 0.05), Math.floor(last / 1000) + 1);

		this.map = new HeatMap(samples, data.heat.rows, seconds);
		this.map.onselect = (range) => this.showRange(range);
		this.map.onhover = (event, cell) => this.showCell(event, cell);
		this.map.onmove = (cell) => this.announce(this.describeRange({ from: cell, to: cell }));
		this.range = element("span", { class: "range" });
		this.clearButton = element("button", { title: "Select all (Esc)", disabled: true, onclick: () => this.map.clear() },
			"Clear selection");
		this.ramp = element("span", { class: "ramp" });
		this.panel = element("section", { class: "heat", "aria-label": "Heat map" },
			element("div", { class: "heat-head" }, this.range, this.clearButton, element("span", { class: "spring" }),
				this.hint = element("span", { class: "hint" }), this.ramp),
			element("div", { class: "map" }, this.map.scale, this.map.scroller),
			element("div", { class: "unseen", id: "heat-keys" }, "Arrow keys move between cells, Enter begins and ends a " +
				"range, Shift with arrow keys selects, Escape selects all."));
		return [this.panel];
	}

	moreFacts() {
		const { untimed } = this.data.heat;

		return [["Without their time, left out", untimed && number(untimed), untimed]];
	}

	buildTools() {
		const tools = super.buildTools();

		this.mapButton = element("button", {
			title: "Heat map (m)", "aria-pressed": "true", onclick: () => this.toggleMap(),
		}, "Heat map");
		tools.insertBefore(this.mapButton, this.tableButton);
		return tools;
	}

	build(body) {
		super.build(body);
		new ResizeObserver(() => this.map.resize()).observe(this.map.scroller.parentElement);
	}

	keys() {
		return [...super.keys(), ...HEAT_KEYS];
	}

	emptyText() {
		return this.map.selected ? "No samples in the selected range." : super.emptyText();
	}

	panelHeight() {
		return this.panel.offsetHeight;
	}

	layout() {
		if (!this.panel.hidden)
			this.map.resize();
		super.layout();
	}

	toggleMap() {
		this.panel.hidden = !this.panel.hidden;
		this.press(this.mapButton, !this.panel.hidden);
		this.layout();
	}

	onKey(event) {
		if (event.key === "m" && !event.ctrlKey && !event.metaKey && !event.altKey && !this.help.open &&
			document.activeElement !== this.input) {
			event.preventDefault();
			this.toggleMap();
		} else {
			super.onKey(event);
		}
	}

	escapeMore() {
		if (this.map.selected)
			this.map.clear();
	}

	showTheme(theme) {
		const name = theme === THEMES.dark ? "dark" : "light", { map } = this;
		const style = getComputedStyle(document.documentElement);

		map.setTheme(name, theme.ground, style.getPropertyValue("--text").trim());
		this.showRamp();
	}

	showRamp() {
		const { map } = this;
		const ticks = [...new Set([1, Math.round(1 + (map.most - 1) / 4), map.most])].filter((count) => count <= map.most);

		this.hint.textContent = (this.matched ? "Matching in " : "In ") + map.cellMs + " ms:";
		this.ramp.replaceChildren(...[0, ...ticks].map((count) =>
			element("span", {}, swatch(map.colorOf(count)), number(count))));
	}

	/* The map shows when what is searched for was on the stack. */
	search(exact) {
		super.search(exact);
		if (!this.matched && !this.filtered)
			return;
		const { frame, parent } = this.tree, found = this.matched && new Uint8Array(this.tree.count);

		for (let i = 1; found && i < found.length; i++)
			found[i] = this.matched[frame[i]] || found[parent[i]];
		this.filtered = Boolean(found);
		this.map.count(found);
		this.showRamp();
	}

	/* The samples of a range of cells: the numbers of the first and of the one after the last. */
	samplesOf(range) {
		return [firstSampleAt(this.samples, this.map.timeOf(range.from)),
			firstSampleAt(this.samples, this.map.timeOf(range.to + 1))];
	}

	describeRange(range) {
		const { map } = this, [from, to] = this.samplesOf(range), start = map.timeOf(range.from), end = map.timeOf(range.to + 1);

		return clock(start, map.long) + " \u2013 " + clock(end, map.long) + " \u00b7 " + this.amount(to - from) + ", " +
			percent(to - from, this.samples.when.length) + " of all";
	}

	showRange(range) {
		this.clearButton.disabled = !range;
		this.setModel(makeModel(this.tree, range ? this.weightsOf(...this.samplesOf(range)) : this.weights()));
		this.showRangeText(range);
		this.announce(range ? "Selected " + this.describeRange(range) : "All samples");
		this.remember();
	}

	showRangeText(range) {
		this.range.textContent = range ? this.describeRange(range) :
			"All " + this.amount(this.samples.when.length) + ". Drag to select a range.";
	}

	showCell(event, cell) {
		this.tip.hidden = cell < 0;
		if (cell < 0)
			return;
		const { map } = this, begin = this.data.startSeconds, lines = [this.amount(map.counts[cell])];

		if (begin > 0 && begin < 1e11)
			lines.push("about " + new Date((begin + Math.floor(map.timeOf(cell) / 1000)) * 1000).toISOString().slice(11, 19) + " UTC");
		this.tip.replaceChildren(
			element("strong", {}, clock(map.timeOf(cell), map.long) + " \u2013 " + clock(map.timeOf(cell + 1), map.long)),
			...lines.map((line) => element("div", {}, line)));
		this.placeTip(event);
	}

	parameters() {
		const view = super.parameters(), { selected } = this.map;

		if (selected)
			view.set("range", selected.from + "-" + selected.to);
		return view;
	}

	restore(hash) {
		const range = /^(\d{1,9})-(\d{1,9})$/.exec(new URLSearchParams(hash).get("range") || "");

		this.showRangeText(null);
		if (range && Number(range[2]) < this.map.counts.length && Number(range[1]) <= Number(range[2]))
			this.map.show({ from: Number(range[1]), to: Number(range[2]) });
		super.restore(hash);
	}
}
