// SPDX-License-Identifier: Apache-2.0
/*
 * The differential flame graph: frames as wide as they are in one of two profiles, in colours that
 * say what has changed between them. Of each node, the tree has what it had before, what it has
 * after, and whether the difference is within noise.
 */
const BEFORE = 0, AFTER = 1, NOISE = 2;
const DIFF_ROWS = 100;

function points(value) {
	return (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + Math.abs(value).toFixed(2);
}

class DiffPage extends Page {
	weights() {
		const { diff } = this.data;

		this.side = this.side === undefined ? diff.widthBefore ? BEFORE : AFTER : this.side;
		this.tree.values[BEFORE][0] = diff.totals[BEFORE];
		this.tree.values[AFTER][0] = diff.totals[AFTER];
		this.tree.values[NOISE][0] = 1;
		return this.tree.values[this.side];
	}

	prepareGraph() {
		this.sortBy = "self";
		this.graph.fill = (node) => this.colorOf(node);
	}

	/* What a node of the tree had, in points of the whole or of a CPU. */
	share(from, side) {
		return this.tree.values[side][from] * this.data.diff.scale[side];
	}

	colorFor(change, noise) {
		const { ramps, most } = this.data.diff, name = this.graph.theme === THEMES.dark ? "dark" : "light";

		if (noise || !change)
			return ramps.same[name][0];
		return mixColors(...ramps[change < 0 ? "less" : "more"][name],
			Math.sqrt(Math.min(1, Math.abs(change) / (most || 1))));
	}

	colorOf(node) {
		const from = this.model.origin[node];

		return this.colorFor(this.share(from, AFTER) - this.share(from, BEFORE), this.tree.values[NOISE][from]);
	}

	describe(node) {
		const from = this.model.origin[node], before = this.share(from, BEFORE), after = this.share(from, AFTER);
		const { values } = this.tree, change = points(after - before) + " points";

		return ["before " + before.toFixed(2) + " % (" + this.amount(values[BEFORE][from]) + ")",
			"after " + after.toFixed(2) + " % (" + this.amount(values[AFTER][from]) + ")",
			after === before ? "the same" : values[NOISE][from] ? change + ", within noise" : change].join(" \u00b7 ");
	}

	typeOf(node) {
		const { frame, types } = this.model, type = types[frame[node]];

		return node ? this.types[type][0].replace(", interpreted", "") : "Root";
	}

	emptyText() {
		return "No samples " + (this.side === BEFORE ? "before." : "after.");
	}

	explain() {
		return "A frame is as wide as it is in one of the two profiles. Red: it grew, blue: it shrank, by the change in its " +
			(this.data.diff.perSecond ? "time per second." : "share of the whole, as if both totals were equal.") +
			" Without colour: it is the same" + (this.data.diff.tested ? ", or the change is likely to be noise." : ".");
	}

	buildAllFacts() {
		return [["Before", this.data.diff.before], ["After", this.data.diff.after]].map(([name, side], i) =>
			this.buildFacts([[name, side.source], ["Title", side.title],
				...this.factsOf({ ...side, total: this.data.diff.totals[i] })]));
	}

	buildTools() {
		const tools = super.buildTools();

		this.sideButton = element("button", {
			title: "Frames as wide as before or as after (w)", onclick: () => this.toggleSide(),
		});
		tools.insertBefore(this.sideButton, this.invert);
		this.tableButton.textContent = "Changes";
		this.tableButton.title = "What has changed most (t)";
		this.showSide();
		return tools;
	}

	showSide() {
		this.sideButton.textContent = "Widths: " + (this.side === BEFORE ? "before" : "after");
	}

	toggleSide() {
		this.side = 1 - this.side;
		this.showSide();
		this.setModel(makeModel(this.tree, this.weights()));
		this.announce("Frames are as wide as " + (this.side === BEFORE ? "before" : "after"));
	}

	keys() {
		return [...super.keys().map(([key, what]) => [key, what.replace("hottest functions", "what has changed most")]),
			["w", "frames as wide as before or as after"]];
	}

	onKey(event) {
		if (event.key === "w" && !event.ctrlKey && !event.metaKey && !event.altKey && !this.help.open &&
			document.activeElement !== this.input) {
			event.preventDefault();
			this.toggleSide();
		} else {
			super.onKey(event);
		}
	}

	/* Finds a row's function; one that is not there with these widths is there with the others. */
	find(row) {
		if (!row[4 + this.side])
			this.toggleSide();
		this.searchFor(this.model.names[row[0]]);
	}

	showLegend() {
		const { diff } = this.data, most = diff.most || 1;
		const item = (change, text) => element("li", {}, swatch(this.colorFor(change, false)), text);

		this.legend.setAttribute("aria-label", "Colours");
		this.legend.replaceChildren(
			item(-most, "shrank"), item(-most / 16, "shrank a little"),
			item(0, diff.tested ? "the same, within noise" : "the same"),
			item(most / 16, "grew a little"), item(most, "grew"),
			...diff.most ? [element("li", { class: "hint" }, "at most " + diff.most.toFixed(2) + " points")] : [],
			element("li", { class: "hint" }, "Compared: " + diff.basis));
	}

	fillTable() {
		const { diff } = this.data, at = { self: 1, total: 4 };
		const change = (row, i) => row[i + 1] * diff.scale[AFTER] - row[i] * diff.scale[BEFORE];
		const key = at[this.sortBy];
		/* What is beyond noise comes first, of itself or in total. */
		const news = (row) => [at.self, at.total].some((i) => !row[i + 2] && change(row, i));
		const rows = [...diff.functions].sort((a, b) =>
			news(b) - news(a) || Math.abs(change(b, key)) - Math.abs(change(a, key))).slice(0, DIFF_ROWS);
		const heading = (text, name, last) => element("th", {
			scope: "col", class: name || last ? false : "minor", "aria-sort": name === this.sortBy ? "descending" : "none",
		}, name ? element("button", {
			onclick: () => {
				this.sortBy = name;
				this.fillTable();
				this.table.querySelector("[aria-sort=descending] button").focus();
			},
		}, text + (name === this.sortBy ? " \u25be" : "")) : text);
		const cells = (row, i) => [
			element("td", { class: "minor" }, (row[i] * diff.scale[BEFORE]).toFixed(2) + " %"),
			element("td", { class: "minor" }, (row[i + 1] * diff.scale[AFTER]).toFixed(2) + " %"),
			element("td", { class: row[i + 2] ? "noise" : "change" }, points(change(row, i)) + (row[i + 2] ? " noise" : "")),
		];

		this.table.replaceChildren(element("table", {},
			element("caption", {}, "What has changed most" + (diff.functionCount > rows.length ?
				", the first " + rows.length + " of " + number(diff.functionCount) + " functions" : "") +
				(diff.moved ? "; " + number(diff.moved) + " found on another line, by name" : "")),
			element("thead", {}, element("tr", {}, heading("Self before"), heading("after"), heading("Self change", "self"),
				heading("Total before"), heading("after"), heading("Total change", "total"), heading("Function", null, true))),
			element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row, at.self), ...cells(row, at.total),
				element("td", {}, element("button", {
					title: "Find in the graph", onclick: () => this.find(row),
				}, swatch(this.colorFor(change(row, key), row[key + 2])), element("span", {}, this.model.names[row[0]]))))))));
	}
}
