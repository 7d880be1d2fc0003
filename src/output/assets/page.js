// SPDX-License-Identifier: Apache-2.0
/*
 * What the user does: zooming, searching, moving between frames, themes, copying; and the events
 * that lead to it.
 */
class Page extends PageView {

	zoom(node, animated = !matchMedia("(prefers-reduced-motion: reduce)").matches) {
		this.focused = node;
		this.hovered = -1;
		this.tip.hidden = true;
		this.reset.disabled = node === 0;
		this.graph.zoom(node, animated);
		this.graph.scrollTo(node);
		this.showStatus(node);
		this.showLegend();
		this.showResult();
		if (!this.table.hidden)
			this.fillTable();
		this.announce((node ? "Zoomed into " : "Zoom reset: ") + this.nameOf(node) + ", " + this.describe(node));
		this.remember();
	}

	/* Draws another part of the tree. What was zoomed into stays so, or what is left of its callers. */
	setModel(model) {
		let zoomed = this.model.origin[this.graph.zoomed];

		while (nodeOf(model, zoomed) < 0)
			zoomed = this.tree.parent[zoomed];
		this.model = model;
		this.graph.setModel(model);
		this.showSize();
		this.layout();
		this.graph.setInverted(this.graph.inverted);
		this.zoom(nodeOf(model, zoomed), false);
	}

	focus(node) {
		this.focused = node;
		this.hovered = -1;
		this.tip.hidden = true;
		this.graph.scrollTo(node);
		this.placeMarks();
		this.showStatus(node);
		this.announce(this.nameOf(node) + ", " + this.typeOf(node) + ", " + this.describe(node) +
			", level " + this.model.depth[node]);
	}

	/* The widest callee. */
	childOf(node) {
		const { model } = this;
		let widest = -1;

		for (let i = node + 1; i < model.end[node]; i = model.end[i]) {
			if (widest < 0 || model.total[i] > model.total[widest])
				widest = i;
		}
		return widest;
	}

	/* The next frame of the same level that can be seen. */
	neighbourOf(node, step) {
		const { model } = this, depth = model.depth[node];
		let i = firstRightOf(model, depth, model.left[node]) + step;

		for (; i >= model.depthStart[depth] && i < model.depthStart[depth + 1]; i += step) {
			const box = this.graph.boxOf(model.byDepth[i]);

			if (!box)
				return -1;
			if (box.width >= 1)
				return model.byDepth[i];
		}
		return -1;
	}

	move(key) {
		const up = this.graph.inverted ? "ArrowUp" : "ArrowDown";
		const target = key === "ArrowLeft" ? this.neighbourOf(this.focused, -1) :
			key === "ArrowRight" ? this.neighbourOf(this.focused, 1) :
			key === up ? this.model.parent[this.focused] : this.childOf(this.focused);

		if (target >= 0)
			this.focus(target);
	}

	searchFor(name) {
		this.input.value = name;
		this.press(this.regex, false);
		this.search(true);
	}

	/* `exact`: the whole name, as from the table. */
	search(exact) {
		const pattern = this.input.value;
		const matcher = exact === true ? { test: (name) => name === pattern } :
			makeMatcher(pattern, this.regex.getAttribute("aria-pressed") === "true");

		this.input.setAttribute("aria-invalid", String(Boolean(pattern && matcher.error)));
		this.result.classList.toggle("error", Boolean(pattern && matcher.error));
		if (pattern && matcher.error) {
			this.matched = null;
			this.result.textContent = "Not a regular expression";
		} else {
			this.matched = pattern ? matchFrames(this.model, matcher.test) : null;
			this.showResult();
		}
		this.graph.setMatched(this.matched);
		this.remember();
	}

	showResult() {
		if (this.result.classList.contains("error"))
			return;
		if (!this.matched) {
			this.result.textContent = "";
			return;
		}
		const { model } = this, root = this.graph.zoomed;
		const all = matchedSamples(model, this.matched, 0);
		let text = "Matched " + percent(all, model.total[0]);

		if (root)
			text += " of all, " + percent(matchedSamples(model, this.matched, root), model.total[root]) + " of the zoomed";
		else
			text += " (" + this.amount(all) + ")";
		this.result.textContent = text;
		this.announce(text);
	}

	toggleInverted() {
		this.graph.setInverted(!this.graph.inverted);
		this.invert.textContent = this.graph.inverted ? "Flame" : "Icicle";
		this.hovered = -1;
		this.placeMarks();
		this.announce(this.graph.inverted ? "Root at the top" : "Root at the bottom");
		this.remember();
	}

	toggleTable() {
		this.tableAsked = this.table.hidden;
		this.layout();
	}

	toggleTheme() {
		this.setTheme(this.graph.theme === THEMES.dark ? "light" : "dark");
	}

	/* null: as the system has it. */
	setTheme(name) {
		this.themeAsked = name;
		name = name || (this.dark.matches ? "dark" : "light");
		document.documentElement.dataset.theme = name;
		this.theme.textContent = name === "dark" ? "Light" : "Dark";
		this.graph.setTheme(name);
		this.showTheme(this.graph.theme);
		this.showLegend();
		if (!this.table.hidden)
			this.fillTable();
	}

	/* For what else is drawn in colours of its own. */
	showTheme(theme) {
	}

	async copy(node) {
		const name = this.nameOf(node);

		try {
			await navigator.clipboard.writeText(name);
			this.status.textContent = "Copied: " + name;
		} catch (error) {
			/* No permission: leave the name selected for the browser's own copying. */
			this.status.textContent = name;
			getSelection().selectAllChildren(this.status);
		}
		this.announce(this.status.textContent);
	}

	/* The view, as the address keeps it: it can be reloaded and sent to others. */
	parameters() {
		const view = new URLSearchParams();

		if (this.graph.zoomed)
			view.set("zoom", this.model.origin[this.graph.zoomed]);
		if (this.input.value)
			view.set("search", this.input.value);
		if (this.regex.getAttribute("aria-pressed") === "true")
			view.set("regex", "1");
		if (this.graph.inverted)
			view.set("icicle", "1");
		return view;
	}

	remember() {
		try {
			history.replaceState(null, "", "#" + this.parameters());
		} catch (error) {
			/* Not allowed where the page is embedded; nothing depends on it. */
		}
	}

	/* Shows what an address says, without its "#". */
	restore(hash) {
		const view = new URLSearchParams(hash), from = Number(view.get("zoom"));
		const node = Number.isInteger(from) && from > 0 ? nodeOf(this.model, from) : 0;

		if (view.get("icicle"))
			this.toggleInverted();
		this.press(this.regex, Boolean(view.get("regex")));
		if (node > 0)
			this.zoom(node);
		if (view.get("search")) {
			this.input.value = view.get("search");
			this.search();
		}
	}

	/* ---- events ---- */

	nodeUnder(event) {
		const box = this.sheet.getBoundingClientRect();

		return this.graph.nodeAt(event.clientX - box.left, event.clientY - box.top);
	}

	listen() {
		const { scroller } = this;

		scroller.addEventListener("pointermove", (event) => {
			if (event.pointerType === "touch")
				return;
			const node = this.nodeUnder(event);

			if (node !== this.hovered) {
				this.hovered = node;
				this.placeMark(this.hoverMark, node);
				this.showStatus(node < 0 ? this.graph.zoomed : node);
			}
			this.showTip(event);
		});
		scroller.addEventListener("pointerleave", () => {
			this.hovered = -1;
			this.tip.hidden = true;
			this.placeMark(this.hoverMark, -1);
		});
		scroller.addEventListener("click", (event) => {
			const node = this.nodeUnder(event);

			if (node >= 0)
				this.zoom(node);
		});
		scroller.addEventListener("contextmenu", (event) => {
			const node = this.nodeUnder(event);

			if (node >= 0) {
				event.preventDefault();
				this.copy(node);
			}
		});
		scroller.addEventListener("focus", () => this.placeMarks());
		scroller.addEventListener("blur", () => this.placeMarks());
		document.addEventListener("keydown", (event) => this.onKey(event));
		new ResizeObserver(() => this.layout()).observe(scroller.parentElement);
		new ResizeObserver(() => this.graph.resize()).observe(scroller);
	}

	escape() {
		if (document.activeElement === this.input)
			this.scroller.focus({ preventScroll: true });
		else if (this.graph.zoomed)
			this.zoom(0);
		else if (this.input.value) {
			this.input.value = "";
			this.search();
		} else {
			this.escapeMore();
		}
	}

	/* What Escape does when there is neither a zoom nor a search. */
	escapeMore() {
	}

	onKey(event) {
		const typing = document.activeElement === this.input;
		const find = (event.ctrlKey || event.metaKey) && event.key === "f";
		const actions = {
			"/": () => this.startSearch(), "i": () => this.toggleInverted(), "t": () => this.toggleTable(),
			"d": () => this.toggleTheme(), "?": () => this.help.showModal(),
			"c": () => this.copy(this.hovered >= 0 ? this.hovered : this.focused),
			"Backspace": () => this.graph.zoomed && this.zoom(this.model.parent[this.graph.zoomed]),
		};

		if (this.help.open)
			return;
		/* A second Ctrl+F is the browser's own. */
		if (find && !typing) {
			event.preventDefault();
			this.startSearch();
		} else if (event.ctrlKey || event.metaKey || event.altKey) {
			return;
		} else if (event.key === "Escape") {
			event.preventDefault();
			this.escape();
		} else if (typing) {
			if (event.key === "Enter")
				this.scroller.focus({ preventScroll: true });
		} else if (actions[event.key]) {
			event.preventDefault();
			actions[event.key]();
		} else if (document.activeElement === this.scroller || document.activeElement === document.body) {
			this.onGraphKey(event);
		}
	}

	onGraphKey(event) {
		if (event.key.startsWith("Arrow")) {
			event.preventDefault();
			this.scroller.focus({ preventScroll: true });
			this.move(event.key);
		} else if ((event.key === "Enter" || event.key === " ") && document.activeElement === this.scroller) {
			event.preventDefault();
			this.zoom(this.focused);
		}
	}

	startSearch() {
		this.input.focus();
		this.input.select();
	}
}
