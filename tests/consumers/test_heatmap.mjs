#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * Opens a heat map in Chromium and selects parts of it, with mouse, keys and fingers. Prints TAP
 * lines. What the flame graph must show is computed here from the times of each stack's samples.
 *
 *   LUASPY_BUILD=build tests/consumers/test_heatmap.mjs
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { browser, check, checkTrue, contrast, end, firstPaint, names, open, percent, place, prepare, test, work, zoomedName }
	from "./browser.mjs";

prepare([["heat", "heatmap", "heat.html"], ["heat", "times", "heat.times"], ["empty", "heatmap", "heat-empty.html"]]);

const ROWS = 50, CELL = 1000 / ROWS;
const stacks = readFileSync(join(work, "heat.times"), "utf8").split("\n").filter(Boolean).map((line) => {
	const [frames, times] = line.split("\t");

	return { frames: frames.split(";"), times: times.split(" ").map(Number) };
});
const total = stacks.reduce((sum, stack) => sum + stack.times.length, 0);

/* Samples by the path of their frames, of those from..to - 1 ms: what each node of the graph must have. */
function expectedNodes(from, to) {
	const nodes = {};

	for (const { frames, times } of stacks) {
		const count = times.filter((time) => time >= from && time < to).length;

		for (let depth = 0; count && depth <= frames.length; depth++) {
			const path = frames.slice(0, depth).join(";");

			nodes[path] = (nodes[path] || 0) + count;
		}
	}
	return nodes;
}

const shownNodes = (page) => page.evaluate(() => {
	const { model } = window.luaspy, paths = [""], nodes = { "": model.total[0] };

	for (let i = 1; i < model.count; i++) {
		const above = paths[model.parent[i]];

		paths[i] = above + (above ? ";" : "") + model.names[model.frame[i]];
		nodes[paths[i]] = model.total[i];
	}
	return nodes;
});

const sorted = (object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
const rangeText = (page) => page.locator(".range").textContent();

async function checkRange(page, from, to, what) {
	const expected = expectedNodes(from, to);

	check(sorted(await shownNodes(page)), sorted(expected), what);
	const text = await rangeText(page);

	checkTrue(text.includes(`${(expected[""] || 0).toLocaleString("en-US")} sample`) &&
		text.includes(percent(expected[""] || 0, total) + " of all"), `${what}: ${text}`);
}

/* The centre of a cell on screen. */
const cellAt = (page, second, row) => page.evaluate(([s, r]) => {
	const { map } = window.luaspy, sheet = map.sheet.getBoundingClientRect(), box = map.boxOf(s * map.rows + r);

	return { x: sheet.left + box.left + box.width / 2, y: sheet.top + box.top + box.height / 2 };
}, [second, row]);

async function drag(page, from, to) {
	await page.mouse.move(from.x, from.y);
	await page.mouse.down();
	await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2);
	await page.mouse.move(to.x, to.y);
	await page.mouse.up();
}

const context = await browser({});
const use = (run, view) => () => open(context, "heat.html", run, view);

await test("all samples are in the map and in the graph", use(async (page) => {
	checkTrue(total > 60000, "the profile is large: " + total);
	check(sorted(await shownNodes(page)), sorted(expectedNodes(0, Infinity)), "nodes");
	const cells = await page.evaluate(() => [...window.luaspy.map.counts]), expected = new Array(600 * ROWS).fill(0);

	for (const { times } of stacks) {
		for (const time of times)
			expected[Math.floor(time / CELL)]++;
	}
	check(cells, expected, "cells");
	checkTrue(await page.getByText("Clear selection").isDisabled(), "nothing to clear");
}));

await test("a range that is dragged over has its own flame graph", use(async (page) => {
	/* The burst: 123.456 s to 124.256 s. */
	await drag(page, await cellAt(page, 123, 23), await cellAt(page, 124, 12));
	await checkRange(page, 123460, 124260, "from left to right");
	checkTrue((await rangeText(page)).startsWith("2:03.460 \u2013 2:04.260 \u00b7 "), "times");
	check(await page.locator("tbody tr").count() > 0 || await page.locator(".table").isHidden(), true, "table");
	await drag(page, await cellAt(page, 300, 10), await cellAt(page, 250, 40));
	await checkRange(page, 250800, 300220, "from right to left");
	await page.mouse.click(...Object.values(await cellAt(page, 5, 20)));
	await checkRange(page, 5400, 5420, "one cell");
	await page.keyboard.down("Shift");
	await page.mouse.click(...Object.values(await cellAt(page, 9, 3)));
	await page.keyboard.up("Shift");
	await checkRange(page, 5400, 9080, "up to a cell");
	await page.getByText("Clear selection").click();
	check((await shownNodes(page))[""], total, "cleared");
	check(await page.evaluate(() => location.hash), "", "the address");
}));

await test("on the axis, whole seconds are selected", use(async (page) => {
	const from = await cellAt(page, 40, 0), to = await cellAt(page, 43, 0);

	await drag(page, { x: from.x, y: from.y + 10 }, { x: to.x, y: to.y + 10 });
	await checkRange(page, 40000, 44000, "four seconds");
}));

await test("all can be done with keys", use(async (page) => {
	const press = async (...keys) => {
		for (const key of keys)
			await page.keyboard.press(key);
	};

	await page.locator(".cells").focus();
	await press("PageDown", "ArrowRight", "ArrowRight", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowDown");
	checkTrue((await page.locator("[aria-live]").textContent()).startsWith("0:12.040 \u2013 0:12.060"), "announced");
	await press("Enter", "ArrowRight", "ArrowRight", "ArrowUp", "Enter");
	await checkRange(page, 12040, 14080, "Enter to Enter");
	await press("Shift+ArrowRight", "Shift+ArrowLeft", "Shift+ArrowUp");
	await checkRange(page, 12040, 14100, "Shift goes on from there");
	await press("ArrowRight", "Shift+ArrowRight");
	await checkRange(page, 15080, 16100, "a new one");
	await press("Home", "Shift+End");
	await checkRange(page, 0, 600000, "all of it");
	await press("Escape");
	check(await page.evaluate(() => window.luaspy.map.selected), null, "Escape");
	await press("m");
	checkTrue(await page.locator(".heat").isHidden(), "hidden");
	await press("m");
	checkTrue(await page.locator(".heat").isVisible(), "shown");
	await page.locator(".cells").focus();
	await press("Tab");
	checkTrue(await page.evaluate(() => document.activeElement !== window.luaspy.map.scroller), "Tab leaves the map");
	await page.locator(".graph").focus();
	await press("ArrowUp");
	check(await page.evaluate(() => window.luaspy.nameOf(window.luaspy.focused)), "nginx", "the graph has its own keys");
}));

await test("the zoom stays where the selection still has the frame", use(async (page) => {
	const at = await place(page, "ngx_http_core_run_phases");

	await page.mouse.click(at.x, at.y);
	check(await zoomedName(page), "ngx_http_core_run_phases", "zoomed");
	await drag(page, await cellAt(page, 123, 25), await cellAt(page, 123, 49));
	check(await zoomedName(page), "ngx_http_core_run_phases", "still");
	await page.locator(".graph").focus();
	await page.keyboard.press("Escape");
	check(await zoomedName(page), "all", "the first Escape resets the zoom");
	await page.keyboard.press("Escape");
	check((await shownNodes(page))[""], total, "the next one the selection");
	await page.evaluate(() => {
		const { model, map } = window.luaspy, wanted = model.names.findIndex((name) => name.startsWith("rebuild@"));

		window.luaspy.zoom(model.frame.indexOf(wanted));
		map.show({ from: 0, to: 99 });
	});
	check((await zoomedName(page)).split("@")[0], "_M.handle", "its caller, where the frame is gone");
}));

await test("the map shows when what is searched for was on the stack", use(async (page) => {
	await page.locator("input").fill("on_timer");
	const cells = await page.evaluate(() => [...window.luaspy.map.counts]), expected = new Array(600 * ROWS).fill(0);

	for (const { times } of stacks.filter(({ frames }) => frames.some((name) => name.startsWith("on_timer@")))) {
		for (const time of times)
			expected[Math.floor(time / CELL)]++;
	}
	check(cells, expected, "cells");
	checkTrue(cells.every((count, cell) => !count || Math.floor(cell / ROWS) % 5 === 0), "each fifth second");
	checkTrue((await page.locator(".hint", { hasText: "Matching in 20 ms" }).count()) === 1, "the legend");
	await page.locator("input").fill("");
	check(await page.evaluate(() => window.luaspy.map.counts.reduce((sum, count) => sum + count)), total, "all again");
}));

await test("a tooltip has the cell's time and samples", use(async (page) => {
	const at = await cellAt(page, 123, 30), count = expectedNodes(123600, 123620)[""];

	await page.mouse.move(at.x, at.y);
	const tip = await page.locator(".tip").innerText();

	for (const part of ["2:03.600 \u2013 2:03.620", count + " samples", "about 00:02:03 UTC"])
		checkTrue(tip.includes(part), `${part} in ${tip}`);
	await page.mouse.move(at.x, 5);
	checkTrue(await page.locator(".tip").isHidden(), "gone");
}));

await test("the address restores the selection", () => open(context, "heat.html", async (page) => {
	await checkRange(page, 123460, 124260, "range");
	check(await page.locator("input").evaluate((input) => input.value), "rebuild", "search");
	checkTrue((await page.evaluate(() => location.hash)).includes("range=6173-6212"), "kept");
}, { hash: "#range=6173-6212&search=rebuild" }));

await test("addresses that make no sense are ignored", async () => {
	for (const hash of ["#range=9-3", "#range=0-99999999", "#range=-5", "#range=1-2x&zoom=1e9", "#zoom=-4&range=NaN-1"])
		await open(context, "heat.html", async (page) => check((await shownNodes(page))[""], total, hash), { hash });
});

await test("a range without samples and a profile without samples say so", async () => {
	await open(context, "heat.html", async (page) => {
		const empty = await page.evaluate(() => window.luaspy.map.counts.indexOf(0));

		await page.evaluate((cell) => window.luaspy.map.show({ from: cell, to: cell }), empty);
		checkTrue(await page.getByText("No samples in the selected range.").isVisible(), "range");
		check(await names(page), [], "frames");
		await page.keyboard.press("Escape");
		check((await shownNodes(page))[""], total, "back");
	});
	await open(context, "heat-empty.html", async (page) =>
		checkTrue(await page.getByText("No samples were taken.").isVisible(), "profile"));
});

for (const dark of [false, true]) {
	await test("cells are drawn in the scale's colours, " + (dark ? "dark" : "light"), use(async (page) => {
		const colors = await page.evaluate(() => {
			const { map } = window.luaspy, context = map.canvas.getContext("2d"), found = [];

			map.draw();
			for (let cell = 0; cell < map.counts.length && found.length < 400; cell += 37) {
				const box = map.boxOf(cell);
				const [r, g, b] = context.getImageData(box.left * map.ratio, box.top * map.ratio, 1, 1).data;

				found.push([map.counts[cell], map.colorOf(map.counts[cell]),
					"#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")]);
			}
			return found;
		});

		for (const [count, expected, drawn] of colors)
			check(drawn, expected, count + " samples");
		checkTrue(new Set(colors.map(([count]) => count)).size >= 4, "different counts");
		const { ground, steps, empty } = await page.evaluate(() => window.luaspy.map);

		checkTrue(contrast(ground, steps[steps.length - 1]) > 7, "many stand out");
		checkTrue(contrast(empty, steps[0]) > 1.1, "one can be told from none");
		await page.keyboard.press("d");
		checkTrue(await page.evaluate(() => window.luaspy.map.ground) !== ground, "the other theme");
	}, { dark }));
}

for (const [width, height] of [[390, 844], [844, 390], [1280, 800], [2560, 1300]]) {
	await test(`nothing is clipped at ${width} x ${height}`, use(async (page) => {
		check(await page.evaluate(() => document.documentElement.scrollWidth), width, "no scrolling sideways");
		checkTrue(await page.evaluate(() => window.luaspy.scroller.clientHeight) >= 60, "there is room for the graph");
		const fits = () => page.evaluate(() => {
			const { map } = window.luaspy, box = map.canvas.getBoundingClientRect(), area = map.scroller.getBoundingClientRect();

			return box.left >= area.left - 1 && box.right <= area.right + 1 && map.width <= map.scroller.clientWidth &&
				map.scroller.clientHeight >= map.mapHeight;
		});

		checkTrue(await fits(), "the canvas is in its place");
		await page.evaluate(() => window.luaspy.map.show({ from: 29900, to: 29999 }));
		await page.waitForTimeout(100);
		checkTrue(await fits(), "scrolled");
		const at = await cellAt(page, 599, 10);
		checkTrue(at.x > 0 && at.x < width, "the selected range is in view");
		await page.setViewportSize({ width: height, height: width });
		await page.waitForTimeout(150);
		checkTrue(await fits(), "turned");
		check(await page.evaluate(() => document.documentElement.scrollWidth), height, "no scrolling sideways when turned");
	}, { width, height }));
}

await test("60,000 samples open at once and are selected smoothly", use(async (page) => {
	const paint = await firstPaint(context, "heat.html");
	const [select, move] = await page.evaluate(() => {
		const { map } = window.luaspy, time = (run) => {
			const all = [];

			for (let i = 0; i < 15; i++) {
				const start = performance.now();

				run(i);
				all.push(performance.now() - start);
			}
			return all.sort((a, b) => a - b)[7];
		};

		return [time((i) => map.select(i * 100, 29000 - i * 100, true)), time((i) => {
			map.select(i * 50, 29000, false);
			map.draw();
		})];
	});

	checkTrue(paint < 1000, "first paint after " + paint + " ms");
	checkTrue(select < 250, "a selection takes " + select + " ms");
	return `first paint ${paint.toFixed(0)} ms, a selection ${select.toFixed(1)} ms, a drawing of the map ${move.toFixed(1)} ms`;
}));

await context.close();
const touch = await browser({ hasTouch: true, isMobile: true });

await test("two taps select", () => open(touch, "heat.html", async (page) => {
	for (const [second, row] of [[20, 10], [25, 40]]) {
		const at = await cellAt(page, second, row);

		await page.touchscreen.tap(at.x, at.y);
	}
	const range = await page.evaluate(() => window.luaspy.map.selected);

	await checkRange(page, range.from * CELL, (range.to + 1) * CELL, "range");
	check([Math.floor(range.from / ROWS), Math.floor(range.to / ROWS)], [20, 25], "seconds");
}, { width: 390, height: 844 }));
await touch.close();
end();
