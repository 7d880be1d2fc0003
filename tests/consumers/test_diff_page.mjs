#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * Opens the differential flame graph in Chromium. Prints TAP lines. What it must show is computed here
 * from the folded stacks of the two profiles and from `luaspy diff --json` (which test_diff.py checks).
 *
 *   LUASPY_BUILD=build tests/consumers/test_diff_page.mjs
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { BUILD, browser, check, checkTrue, colorAt, compile, contrast, end, names, open, place, prepare, test, work,
	zoomedName } from "./browser.mjs";

const LUASPY = join(BUILD, "luaspy");
const luaspy = (...args) => execFileSync(LUASPY, args, { cwd: work, stdio: ["ignore", "pipe", "ignore"] }).toString();

prepare([]);
compile("make_diff", (maker) => {
	for (const kind of ["cpu", "off", "hostile"]) {
		const [before, after] = ["before", "after"].map((side) => `diff-${kind}-${side}.pb.gz`);

		execFileSync(maker, [kind, before, after], { cwd: work });
		for (const format of ["html", "svg"])
			luaspy("diff", before, after, "-o", `diff-${kind}.${format}`);
	}
	luaspy("diff", "diff-cpu-before.pb.gz", "diff-cpu-after.pb.gz", "-o", "diff-before.html", "--width", "before", "--per-second");
});

/* Weights by path, of both profiles, as the merged tree has them. */
const nodes = {}, totals = [0, 0];

for (const [side, name] of ["before", "after"].entries()) {
	for (const line of luaspy("report", `diff-cpu-${name}.pb.gz`, "-f", "folded").split("\n").filter(Boolean)) {
		const space = line.lastIndexOf(" "), count = Number(line.slice(space + 1));
		const frames = line.slice(0, space).replace("total@/app/orders.lua:40", "total@/app/orders.lua:46")
			.split(";").map((frame) => frame.replace(/_\[[jk]\]$/, ""));

		totals[side] += count;
		for (let depth = 0; depth <= frames.length; depth++) {
			const path = frames.slice(0, depth).join(";");

			nodes[path] = nodes[path] || [0, 0];
			nodes[path][side] += count;
		}
	}
}
const functions = JSON.parse(luaspy("diff", "diff-cpu-before.pb.gz", "diff-cpu-after.pb.gz", "--json")).functions;

const sorted = (object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
const shownNodes = (page) => page.evaluate(() => {
	const { model } = window.luaspy, paths = [""], shown = { "": model.total[0] };

	for (let i = 1; i < model.count; i++) {
		const above = paths[model.parent[i]];

		paths[i] = above + (above ? ";" : "") + model.names[model.frame[i]];
		shown[paths[i]] = model.total[i];
	}
	return shown;
});
const expectedNodes = (side) => Object.fromEntries(Object.entries(nodes).filter(([, weights]) => weights[side])
	.map(([path, weights]) => [path, weights[side]]));

/* Red, blue or neither. */
function hue(color) {
	const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));

	return r - b > 30 && r - g > 30 ? "red" : b - r > 20 ? "blue" : "plain";
}

const context = await browser({});

for (const format of ["html", "svg"]) {
	const file = "diff-cpu." + format, label = format.toUpperCase() + ": ";

	await test(label + "frames are as wide as after, or as before", () => open(context, file, async (page) => {
		check(sorted(await shownNodes(page)), sorted(expectedNodes(1)), "after");
		checkTrue(!(await names(page)).some((name) => name.startsWith("legacy@")), "what is gone has no width");
		await page.keyboard.press("w");
		check(sorted(await shownNodes(page)), sorted(expectedNodes(0)), "before");
		checkTrue((await names(page)).some((name) => name.startsWith("legacy@")), "what is gone has its width");
		await page.getByText("Widths: before").click();
		check(sorted(await shownNodes(page)), sorted(expectedNodes(1)), "after again");
	}));

	await test(label + "red grew, blue shrank, and noise has no colour", () => open(context, file, async (page) => {
		for (const dark of [false, true]) {
			for (const [name, expected] of [["cjson.encode", "red"], ["render@", "red"], ["recv", "blue"], ["fetch@", "blue"],
				["main", "plain"], ["total@", "plain"], ["do_epoll_wait", "plain"], ["nginx", "plain"]])
				check([name, hue(await colorAt(page, name))], [name, expected], dark ? "dark" : "light");
			await page.keyboard.press("d");
		}
	}));

	await test(label + "a tooltip has both shares and the change", () => open(context, file, async (page) => {
		const at = await place(page, "cjson.encode");

		await page.mouse.move(at.x, at.y);
		const tip = await page.locator(".tip").innerText();

		for (const part of ["cjson.encode", "before 7.62 % (1,000 samples)", "after 13.89 % (2,700 samples)", "+6.27 points"])
			checkTrue(tip.includes(part), `${part} in ${tip}`);
		checkTrue(!tip.includes("noise"), "no noise");
		const other = await place(page, "total@");

		await page.mouse.move(other.x, other.y);
		checkTrue((await page.locator(".tip").innerText()).includes("within noise"), "noise");
	}));

	await test(label + "the table has the changes", () => open(context, file, async (page) => {
		const rows = () => page.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
		const text = (one, key) => {
			const change = one[key].change_points;
			const shown = (Math.abs(change) < 0.005 ? "\u00b1" : change > 0 ? "+" : "\u2212") + Math.abs(change).toFixed(2);

			return [one[key].before_percent.toFixed(2) + " %", one[key].after_percent.toFixed(2) + " %",
				shown + (one[key].noise ? " noise" : "")];
		};

		check(await page.locator(".table").isVisible(), true, "shown");
		check((await rows()).slice(0, 20), functions.slice(0, 20).map((one) => [...text(one, "self"), ...text(one, "total"), one.name]),
			"by themselves");
		await page.locator("th button").nth(1).click();
		check((await rows()).slice(0, 4).map((row) => row[6]), ["recv", "fetch@/app/db.lua:7", "cjson.encode",
			"render@/app/view.lua:20"], "in total");
		await page.locator("th button").first().click();
		await page.locator("tbody button", { hasText: "legacy@" }).click();
		checkTrue((await page.locator(".result").textContent()).startsWith("Matched 0.28 %"), "what is gone is found where it was");
		checkTrue(await page.getByText("Widths: before").isVisible(), "with these widths");
	}));

	await test(label + "zoom, search, icicle and the address work as in any flame graph", () => open(context, file, async (page) => {
		const at = await place(page, "render@");

		await page.mouse.click(at.x, at.y);
		check(await zoomedName(page), "render@/app/view.lua:20", "zoomed");
		await page.keyboard.press("w");
		check(await zoomedName(page), "render@/app/view.lua:20", "with other widths");
		await page.keyboard.press("Escape");
		await page.locator("input").fill("recv");
		checkTrue((await page.locator(".result").textContent()).startsWith("Matched 12.19 % (1,600 samples)"), "search");
		check(await colorAt(page, "recv"), "#b8126e", "a match");
		await page.keyboard.press("Escape");
		await page.keyboard.press("i");
		check(await page.evaluate(() => window.luaspy.graph.boxOf(0).top), 0, "icicle");
		checkTrue((await page.evaluate(() => location.hash)).includes("search=recv&icicle=1"), "the address");
	}));

	await test(label + "what is compared stands there", () => open(context, file, async (page) => {
		const header = await page.locator("header").innerText();

		for (const part of ["nginx 1234, before and after", "diff-cpu-before.pb.gz", "diff-cpu-after.pb.gz",
			"as if both totals were equal", "the same, within noise", "at most 7.41 points"])
			checkTrue(header.includes(part), `${part} in ${header}`);
		check(await page.locator(".facts").count(), 2, "facts of both");
	}));

	await test(label + "colours are readable in both themes", () => open(context, file, async (page) => {
		let worst = 99;

		for (let i = 0; i < 2; i++) {
			const [label_, colors] = await page.evaluate(() => {
				const { graph, data } = window.luaspy, shades = [];

				for (let part = -16; part <= 16; part++)
					shades.push(window.luaspy.colorFor(part / 16 * data.diff.most, false));
				return [graph.theme.label, shades];
			});

			for (const color of colors) {
				checkTrue(contrast(color, label_) >= 4.5, `${label_} on ${color} has a contrast of ${contrast(color, label_)}`);
				worst = Math.min(worst, contrast(color, label_));
			}
			await page.keyboard.press("d");
		}
		return "lowest contrast " + worst.toFixed(2);
	}));

	for (const [width, height] of [[390, 844], [844, 390], [2560, 1300]]) {
		await test(label + `nothing is clipped at ${width} x ${height}`, () => open(context, file, async (page) => {
			check(await page.evaluate(() => document.documentElement.scrollWidth), width, "no scrolling sideways");
			checkTrue(await page.evaluate(() => window.luaspy.scroller.clientHeight) >= 90, "there is room for the graph");
		}, { width, height }));
	}

	await test(label + "time off the CPU is compared as time, without noise", () => open(context, "diff-off." + format, async (page) => {
		const at = await place(page, "wait@"), header = await page.locator("header").innerText();

		await page.mouse.move(at.x, at.y);
		const tip = await page.locator(".tip").innerText();

		for (const part of ["before 20.00 % (101 ms)", "after 55.56 % (505 ms)", "+35.56 points"])
			checkTrue(tip.includes(part), `${part} in ${tip}`);
		checkTrue(!(header + tip).includes("noise"), "nothing is said of noise");
	}));

	await test(label + "names from the target stay text", () => open(context, "diff-hostile." + format, async (page) => {
		const shown = await names(page);

		for (const literal of ["</script><script>window.hacked=1</script>@:0", "<img src=x onerror=window.hacked=2>",
			"]]><script>window.hacked=3</script>", "\"+(window.hacked=4)+\"", "__proto__@:0"])
			checkTrue(shown.includes(literal), `${literal} in ${JSON.stringify(shown)}`);
		await page.waitForTimeout(200);
		check(await page.evaluate(() => [window.hacked, document.querySelectorAll("img, svg").length]), [null, 0], "nothing ran");
	}));
}

await test("--width before and --per-second", () => open(context, "diff-before.html", async (page) => {
	check(sorted(await shownNodes(page)), sorted(expectedNodes(0)), "widths");
	const at = await place(page, "cjson.encode");

	await page.mouse.move(at.x, at.y);
	const tip = await page.locator(".tip").innerText();

	for (const part of ["before 33.67 % (1,000", "after 45.45 % (2,700", "+11.78 points"])
		checkTrue(tip.includes(part), `${part} in ${tip}`);
	checkTrue((await page.locator("header").innerText()).includes("CPU time per second: 441.9 % of a CPU before"), "header");
}));

await context.close();
const still = await browser({ javaScriptEnabled: false });

await test("without scripts, the SVG file is a picture in the same colours", () => open(still, "diff-cpu.svg", async (page) => {
	const fill = (name) => page.locator("g.f", { has: page.locator("title", { hasText: name }) }).first().locator("rect")
		.evaluate((rect) => "#" + getComputedStyle(rect).fill.match(/\d+/g).map((part) => Number(part).toString(16).padStart(2, "0")).join(""));

	for (const [name, expected] of [["cjson.encode (", "red"], ["recv (", "blue"], ["main (", "plain"]])
		check([name, hue(await fill(name))], [name, expected], "colour");
	checkTrue(await page.locator("text", { hasText: "before: diff-cpu-before.pb.gz, after: diff-cpu-after.pb.gz" }).isVisible(), "sources");
	check(await page.locator("g.f title", { hasText: "recv (" }).textContent(), "recv (before 12.19 %, after 4.79 %: -7.41 points)", "title");
	for (const text of ["grew", "shrank", "the same, within noise"])
		checkTrue(await page.locator("text", { hasText: text }).first().isVisible(), text);
}));
await still.close();
end();
