// SPDX-License-Identifier: Apache-2.0
/*
 * The page around the graph: heading, legend, tooltip, table. What the user can do with it is in
 * page.js. Text only ever reaches the document as text nodes; elements are made in the XHTML
 * namespace, as the document may be an SVG file.
 */

const XHTML = "http://www.w3.org/1999/xhtml";
const TABLE_ROWS = 100;

const KEYS = [
	["Click, Enter", "zoom into the frame"],
	["Esc", "reset the zoom, then the search"],
	["Backspace", "zoom out to the caller"],
	["Arrow keys", "move between frames: callers, callees and their neighbours"],
	["/ or Ctrl+F", "search"],
	["i", "root at the top or at the bottom"],
	["t", "table of the hottest functions"],
	["c or right click", "copy the frame's name"],
	["d", "dark or light theme"],
	["?", "this help"],
];

function element(name, properties, ...children) {
	const made = document.createElementNS(XHTML, name);

	for (const [key, value] of Object.entries(properties || {})) {
		if (key.startsWith("on"))
			made.addEventListener(key.slice(2), value);
		else if (value === true)
			made.setAttribute(key, "");
		else if (value !== false && value !== undefined)
			made.setAttribute(key, value);
	}
	made.append(...children);
	return made;
}

function number(value) {
	return value.toLocaleString("en-US");
}

/* Microseconds for a reader. */
function duration(value) {
	if (value < 1000)
		return value + " \u00b5s";
	value /= 1000;
	const unit = value < 1000 ? "ms" : "s";

	if (unit === "s")
		value /= 1000;
	return (value < 100 ? value.toFixed(value < 10 ? 2 : 1) : number(Math.round(value))) + " " + unit;
}

/* What a frame's width stands for, by the data's unit. */
function makeAmount(unit) {
	const one = unit.slice(0, -1);

	return unit === "microseconds" ? duration : (value) => number(value) + " " + (value === 1 ? one : unit);
}

function percent(part, whole) {
	return (whole ? 100 * part / whole : 0).toFixed(2) + " %";
}

function swatch(color) {
	const made = element("span", { class: "swatch" });

	made.style.background = color;
	return made;
}

class PageView {
	constructor(data) {
		this.data = data;
		this.tree = decodeTree(data);
		this.model = makeModel(this.tree, this.weights());
		this.types = data.types;
		this.amount = makeAmount(data.unit);
		this.whole = data.unit === "microseconds" ? "time" : data.unit;
		this.focused = 0;
		this.hovered = -1;
		this.matched = null;
		this.sortBy = "self";
		this.tableAsked = null; /* null: shown where there is room for it */
		this.dark = matchMedia("(prefers-color-scheme: dark)");
	}

	/* What the frames' widths are, by node of the tree. */
	weights() {
		this.tree.values[0][0] = this.data.total;
		return this.tree.values[0];
	}

	/* ---- making the page ---- */

	build(body) {
		const { data } = this;

		this.canvas = element("canvas", { "aria-hidden": "true" });
		this.focusMark = element("div", { class: "mark", hidden: true });
		this.hoverMark = element("div", { class: "mark hover", hidden: true });
		this.sheet = element("div", { class: "sheet" }, this.canvas, this.hoverMark, this.focusMark);
		this.scroller = element("div", {
			class: "graph", tabindex: "0", role: "application",
			"aria-roledescription": "flame graph", "aria-describedby": "keys",
		}, this.sheet);
		this.empty = element("p", { class: "empty" });
		this.table = element("section", { class: "table", hidden: true, "aria-label": "Hottest functions" });
		this.status = element("div", { class: "status" });
		this.live = element("div", { class: "unseen", role: "status", "aria-live": "polite" });
		this.tip = element("div", { class: "tip", role: "tooltip", hidden: true });
		this.help = this.buildHelp();
		body.append(
			this.header = element("header", {}, this.buildHeading(), this.buildTools(), this.buildLegend()),
			element("main", {}, ...this.buildPanels(), this.empty, this.scroller, this.table),
			element("footer", {}, this.status,
				element("div", { class: "by" }, "luaspy " + data.version)),
			this.tip, this.live, this.help,
			element("div", { class: "unseen", id: "keys" },
				"Arrow keys move between frames, Enter zooms, Escape resets, slash searches."));

		this.graph = new Graph(this.model, this.types, this.scroller, this.sheet, this.canvas);
		this.prepareGraph();
		this.graph.onsettled = () => this.placeMarks();
		this.showSize();
		this.setTheme(null);
		this.dark.addEventListener("change", () => this.themeAsked || this.setTheme(null));
		this.layout();
		this.graph.setInverted(false);
		this.graph.draw();
		this.showStatus(0);
		this.listen();
		this.restore(location.hash.slice(1));
	}

	/* [name, value, whether it is a warning] each; those without a value are not shown. */
	factsOf(data) {
		return [
			["Host", data.host], ["Started", data.startTime],
			["Duration", data.durationSeconds.toFixed(1) + " s"],
			["Rate", data.rateHz && number(data.rateHz) + " Hz"],
			...this.whole !== "time" ? [] :
				[[data.kind === "wall" ? "Wall time" : "Off the CPU", this.amount(data.total)]],
			[data.kind === "off-cpu" ? "Events" : data.kind === "wall" ? "Samples and events" : "Samples",
				number(data.samples)], ["Stacks", number(data.uniqueStacks)],
			["Complete", percent(data.complete, data.samples)],
			["With Lua", percent(data.withLua, data.samples)],
			["Truncated", number(data.truncated), data.truncated], ["Lost", number(data.lost), data.lost],
			...this.moreFacts(), ...data.errors.map(([name, count]) => [name, number(count), count]),
		];
	}

	buildFacts(facts) {
		return element("dl", { class: "facts" }, ...facts.filter((fact) => fact[1]).map((fact) =>
			element("div", { class: fact[2] ? "warn" : "fact" }, element("dt", {}, fact[0]), element("dd", {}, fact[1]))));
	}

	buildAllFacts() {
		return [this.buildFacts(this.factsOf(this.data))];
	}

	buildHeading() {
		const { data } = this;

		return element("div", { class: "heading" },
			element("div", {},
				element("h1", {}, data.title || "Flame graph"),
				element("div", { class: "command" }, data.commandLine), ...this.buildAllFacts()),
			element("button", {
				class: "narrow", "aria-expanded": "false",
				onclick: (event) => event.currentTarget.setAttribute("aria-expanded",
					String(this.header.classList.toggle("open"))),
			}, "Details"),
			element("button", { title: "Keys (?)", "aria-label": "Help", onclick: () => this.help.showModal() }, "?"));
	}

	buildTools() {
		this.input = element("input", {
			type: "search", placeholder: "Search frames  ( / )", "aria-label": "Search frames",
			autocomplete: "off", spellcheck: "false", oninput: () => this.search(),
		});
		this.regex = element("button", {
			title: "Regular expression", "aria-label": "Regular expression", "aria-pressed": "false",
			onclick: () => {
				this.press(this.regex, this.regex.getAttribute("aria-pressed") !== "true");
				this.search();
			},
		}, ".*");
		this.result = element("span", { class: "result" });
		this.reset = element("button", { title: "Reset the zoom (Esc)", disabled: true, onclick: () => this.zoom(0) },
			"Reset zoom");
		this.invert = element("button", { title: "Root at the top or at the bottom (i)", onclick: () => this.toggleInverted() },
			"Icicle");
		this.tableButton = element("button", {
			title: "Hottest functions (t)", "aria-pressed": "false", onclick: () => this.toggleTable(),
		}, "Hottest");
		this.theme = element("button", { title: "Dark or light theme (d)", onclick: () => this.toggleTheme() }, "Dark");
		return element("div", { class: "tools", role: "toolbar", "aria-label": "Graph" },
			element("div", { class: "search", role: "search" }, this.input, this.regex), this.result,
			element("span", { class: "spring" }), this.reset, this.invert, this.tableButton, this.theme);
	}

	buildLegend() {
		this.legend = element("ul", { class: "legend", "aria-label": "Shares by the type of the innermost frame" });
		return this.legend;
	}

	/* [name, value, whether it is a warning], of a kind of page. */
	moreFacts() {
		return [];
	}

	/* Before the graph is drawn for the first time. */
	prepareGraph() {
	}

	/* What stands above the graph. */
	buildPanels() {
		return [];
	}

	emptyText() {
		return this.data.kind === "off-cpu" ? "Nothing was off the CPU." : "No samples were taken.";
	}

	explain() {
		return "A frame is as wide as its share of the " + this.whole + ".";
	}

	keys() {
		return KEYS;
	}

	buildHelp() {
		const close = element("button", { onclick: () => this.help.close() }, "Close");

		return element("dialog", { "aria-label": "Help" },
			element("h2", {}, "Keys"),
			element("dl", {}, ...this.keys().flatMap(([key, what]) =>
				[element("dt", {}, element("kbd", {}, key)), element("dd", {}, what)])),
			element("p", {}, this.explain() + " Callers and callees are stacked. The order from left to right is by name and says nothing of time. A search is " +
				"case-sensitive if it has capitals; what matches more than once counts once."),
			close);
	}

	/* ---- showing state ---- */

	showSize() {
		const total = this.model.total[0];

		this.sheet.style.height = this.graph.sheetHeight() + "px";
		this.scroller.setAttribute("aria-label", "Flame graph of " + this.data.title + ", " + this.amount(total));
		this.empty.hidden = total > 0;
		this.empty.textContent = total > 0 ? "" : this.emptyText();
	}

	press(button, pressed) {
		button.setAttribute("aria-pressed", String(pressed));
	}

	announce(text) {
		this.live.textContent = text;
	}

	showLegend() {
		const root = this.graph.zoomed, whole = this.model.total[root];
		const sums = leafSamples(this.model, root, this.types.length);
		const used = new Set(this.model.types.subarray(1));

		this.legend.replaceChildren(
			element("li", { class: "hint", title: "Share of the " + this.whole + " whose innermost frame is of that type" },
				"Leaf:"),
			...this.types.map((type, i) => [type, i]).filter(([, i]) => used.has(i)).map(([type, i]) =>
				element("li", {}, swatch(type[this.graph.theme.key]), type[0],
					...sums[i] ? [element("b", {}, percent(sums[i], whole))] : [])));
	}

	describe(node) {
		const { model } = this, total = model.total[node], zoomed = this.graph.zoomed;
		const parts = [this.amount(total), percent(total, model.total[0]) + " of all"];

		if (zoomed > 0 && total <= model.total[zoomed])
			parts.push(percent(total, model.total[zoomed]) + " of the zoomed frame");
		if (model.self[node] > 0)
			parts.push("itself " + (this.whole === "time" ? this.amount : number)(model.self[node]) + " (" +
				percent(model.self[node], model.total[0]) + ")");
		return parts.join(" \u00b7 ");
	}

	nameOf(node) {
		return this.model.names[this.model.frame[node]];
	}

	typeOf(node) {
		return node ? this.types[this.model.types[this.model.frame[node]]][0] : "Root";
	}

	/* The colour that stands for a frame beside text. */
	colorOf(node) {
		return this.types[this.model.types[this.model.frame[node]]][this.graph.theme.key];
	}

	showStatus(node) {
		this.status.textContent = this.nameOf(node) + " \u2014 " + this.describe(node);
	}

	placeMark(mark, node) {
		const box = node < 0 ? null : this.graph.boxOf(node);

		mark.hidden = !box;
		if (!box)
			return;
		mark.style.left = box.left - (box.left > 0 ? 1 : 0) + "px";
		mark.style.top = box.top - 0.5 + "px";
		mark.style.width = Math.max(5, box.width + 1) + "px";
		mark.style.height = ROW + "px";
	}

	placeMarks() {
		this.placeMark(this.focusMark, document.activeElement === this.scroller ? this.focused : -1);
		this.placeMark(this.hoverMark, this.hovered);
	}

	showTip(event) {
		const node = this.hovered;

		this.tip.hidden = node < 0;
		if (node < 0)
			return;
		this.tip.replaceChildren(element("strong", {}, this.nameOf(node)),
			element("div", {}, swatch(this.colorOf(node)), this.typeOf(node)),
			...this.describe(node).split(" \u00b7 ").map((line) => element("div", {}, line)));
		this.placeTip(event);
	}

	placeTip(event) {
		const box = this.tip.getBoundingClientRect();
		let x = event.clientX + 14, y = event.clientY + 18;

		if (x + box.width > innerWidth - 8)
			x = Math.max(8, innerWidth - 8 - box.width);
		if (y + box.height > innerHeight - 8)
			y = Math.max(8, event.clientY - 12 - box.height);
		this.tip.style.transform = "translate(" + Math.round(x) + "px," + Math.round(y) + "px)";
	}

	/* The height of what stands above the graph. */
	panelHeight() {
		return 0;
	}

	/* Gives the graph what it needs and the table the rest. */
	layout() {
		const room = this.scroller.parentElement.clientHeight - this.panelHeight() - this.graph.sheetHeight();
		const shown = this.tableAsked === null ?
			room > 220 && innerWidth > 700 && this.model.count > 1 : this.tableAsked;

		this.table.classList.toggle("shared", room <= 220);
		if (shown !== !this.table.hidden) {
			this.table.hidden = !shown;
			this.press(this.tableButton, shown);
			if (shown)
				this.fillTable();
		}
		this.graph.resize();
		this.placeMarks();
	}

	fillTable() {
		const root = this.graph.zoomed, whole = this.model.total[root], key = this.sortBy;
		const rows = functionSums(this.model, root);
		const heading = (name, label) => element("th", {
			scope: "col", "aria-sort": key === name ? "descending" : "none",
		}, element("button", {
			onclick: () => {
				this.sortBy = name;
				this.fillTable();
				this.table.querySelector("[aria-sort=descending] button").focus();
			},
		}, label + (key === name ? " \u25be" : "")));

		rows.sort((a, b) => b[key] - a[key] || b.total - a.total || a.frame - b.frame);
		this.table.replaceChildren(element("table", {},
			element("caption", {}, "Hottest functions" + (root ? " in " + this.nameOf(root) : "") +
				(rows.length > TABLE_ROWS ? ", the first " + TABLE_ROWS + " of " + number(rows.length) : "")),
			element("thead", {}, element("tr", {}, heading("self", "Self"), heading("total", "Total"),
				element("th", { scope: "col" }, "Function"))),
			element("tbody", {}, ...rows.slice(0, TABLE_ROWS).map((row) => element("tr", {},
				element("td", {}, percent(row.self, whole)), element("td", {}, percent(row.total, whole)),
				element("td", {}, element("button", {
					title: "Find in the graph", onclick: () => this.searchFor(this.model.names[row.frame]),
				}, swatch(this.types[this.model.types[row.frame]][this.graph.theme.key]),
				element("span", {}, this.model.names[row.frame]))))))));
	}
}
