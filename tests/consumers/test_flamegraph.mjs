#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * Opens flame graphs in Chromium and uses them as a reader would: mouse, keys, search. Prints TAP
 * lines. What the page must show is computed here from the folded output of the same profile.
 *
 *   LUASPY_BUILD=build tests/consumers/test_flamegraph.mjs
 * Also needs python3; the rest is in browser.mjs.
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { browser, check, checkTrue, colorAt, contrast, end, firstPaint, focusedName, foldedStacks, names, open, percent, place,
	prepare, shadesOf, sum, test, work, zoomedName } from "./browser.mjs";

const TYPE = { thread: 0, kernel: 1, native: 2, lua: 3, compiled: 4, builtin: 5, note: 6 };

prepare(["nginx", "large", "hostile", "empty", "off"].flatMap((profile) =>
	["svg", "html", "folded"].map((format) => [profile, format, profile + "." + format])));

/* ---- the tests ---- */

const context = await browser({ permissions: ["clipboard-read", "clipboard-write"] });
const stacks = foldedStacks("nginx"), total = sum(stacks, () => true);

for (const format of ["svg", "html"]) {
	const file = "nginx." + format, label = format.toUpperCase() + ": ";

	await test(label + "all frames of the profile are there", () => open(context, file, async (page) => {
		const expected = new Set(["all", ...stacks.flatMap((stack) => stack.frames)]);

		check(await names(page), [...expected].sort(), "names");
		check(await page.evaluate(() => window.luaspy.model.total[0]), total, "samples");
	}));

	await test(label + "a click zooms, Escape and the button reset", () => open(context, file, async (page) => {
		const before = await names(page), at = await place(page, "dispatch@");
		const below = stacks.filter((stack) => stack.frames.some((name) => name.startsWith("dispatch@")));

		await page.mouse.click(at.x, at.y);
		check((await zoomedName(page)).split("@")[0], "dispatch", "zoomed");
		check(await names(page), [...new Set(["all", ...below.flatMap((stack) => stack.frames)])].sort(), "names when zoomed");
		check(await page.evaluate(() => window.luaspy.status.textContent.includes("100.00 % of the zoomed")), true, "status");
		checkTrue((await shadesOf(page, TYPE.lua)).includes(await colorAt(page, "dispatch@")), "the zoomed frame has its colour");
		check(await colorAt(page, "main"), "#e4e7ec", "callers stand back");
		await page.keyboard.press("Escape");
		check(await names(page), before, "names after Escape");
		await page.mouse.click(at.x, at.y);
		await page.getByText("Reset zoom").click();
		check(await zoomedName(page), "all", "zoomed after the button");
		check(await page.getByText("Reset zoom").isDisabled(), true, "the button is disabled");
	}));

	await test(label + "a search counts each sample once", () => open(context, file, async (page) => {
		const result = page.locator(".result"), input = page.locator("input");

		for (const [text, regex, pattern] of [["json", false, /json/i], ["match", false, /match/i],
			["deep@", false, /deep@/i], ["ngx.log", false, /ngx\.log/i], ["^lj_.*(step|new)$", true, /^lj_.*(step|new)$/i],
			["M.handle", false, /M\.handle/], ["m.HANDLE", false, /(?!)/]]) {
			const expected = sum(stacks, (stack) => stack.frames.some((name) => pattern.test(name)));

			if (regex !== ((await page.locator(".search button").getAttribute("aria-pressed")) === "true"))
				await page.locator(".search button").click();
			await input.fill(text);
			check(await result.textContent(), `Matched ${percent(expected, total)} (${expected.toLocaleString("en-US")} samples)`, text);
		}
		await input.fill("json");
		check(await colorAt(page, "cjson.encode"), "#b8126e", "a match");
		check(await colorAt(page, "table.sort"), "#e4e7ec", "no match");
		const at = await place(page, "render@");
		await page.mouse.click(at.x, at.y);
		const zoomed = stacks.filter((stack) => stack.frames.some((name) => name.startsWith("render@")));
		const matched = (stack) => stack.frames.some((name) => /json/.test(name));

		check(await result.textContent(), `Matched ${percent(sum(stacks, matched), total)} of all, ` +
			`${percent(sum(zoomed, matched), sum(zoomed, () => true))} of the zoomed`, "zoomed");
		await page.locator(".search button").click();
		await input.fill("(");
		check(await result.textContent(), "Not a regular expression", "bad pattern");
		check(await input.getAttribute("aria-invalid"), "true", "aria-invalid");
		await input.fill("");
		check(await result.textContent(), "", "no pattern");
	}));

	await test(label + "the legend and the table have true shares", () => open(context, file, async (page) => {
		const legend = await page.locator(".legend").textContent();

		checkTrue(legend.includes("Kernel" + percent(sum(stacks, (s) => s.leaf.endsWith("_[k]")), total)), legend);
		checkTrue(legend.includes("Lua, compiled" + percent(sum(stacks, (s) => s.leaf.endsWith("_[j]")), total)), legend);
		await page.getByText("Hottest", { exact: true }).click();
		const rows = await page.locator("tbody tr").evaluateAll((all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
		const self = sum(stacks, (s) => s.leaf === "match"), with_ = sum(stacks, (s) => s.frames.includes("match"));

		check(rows.find((row) => row[2] === "match"), [percent(self, total), percent(with_, total), "match"], "match");
		const leaves = stacks.map((s) => s.leaf), both = leaves.find((name) => leaves.includes(name + "_[j]"));

		check(rows.filter((row) => row[2] === both), [[
			percent(sum(stacks, (s) => s.leaf === both || s.leaf === both + "_[j]"), total),
			percent(sum(stacks, (s) => s.frames.includes(both)), total), both]], "interpreted and compiled are one function");
		checkTrue(rows.every((row, i) => !i || parseFloat(row[0]) <= parseFloat(rows[i - 1][0])), "sorted by self");
		await page.getByText("Total", { exact: true }).click();
		check(await page.locator("tbody tr").first().locator("td").nth(1).textContent(), "100.00 %", "sorted by total");
		await page.locator("tbody button", { hasText: "ngx_http_lua_run_thread" }).click();
		checkTrue((await page.locator(".result").textContent()).startsWith("Matched"), "a row searches");
	}));

	await test(label + "the root is at the bottom, and at the top when inverted", () => open(context, file, async (page) => {
		const top = () => page.evaluate(() => [window.luaspy.graph.boxOf(0).top, window.luaspy.graph.scroller.scrollTop,
			window.luaspy.graph.sheetHeight() - window.luaspy.graph.scroller.clientHeight]);
		const [root, scrolled, most] = await top();

		check(root, await page.evaluate(() => window.luaspy.graph.sheetHeight()) - 18, "root");
		check(scrolled, most, "scrolled to the root");
		await page.keyboard.press("i");
		check((await top()).slice(0, 2), [0, 0], "inverted");
		checkTrue((await shadesOf(page, TYPE.thread)).includes(await colorAt(page, "nginx")), "drawn there");
		await page.getByText("Flame", { exact: true }).click();
		check((await top())[0], root, "back");
	}));

	await test(label + "all can be done with keys", () => open(context, file, async (page) => {
		await page.locator(".graph").focus();
		for (const expected of ["nginx", "main", "ngx_master_process_cycle"]) {
			await page.keyboard.press("ArrowUp");
			check(await focusedName(page), expected, "up");
		}
		await page.keyboard.press("ArrowDown");
		check(await focusedName(page), "main", "down");
		await page.keyboard.press("ArrowLeft");
		check(await focusedName(page), "[truncated]", "left");
		await page.keyboard.press("ArrowRight");
		check(await focusedName(page), "main", "right");
		checkTrue((await page.locator("[aria-live]").textContent()).startsWith("main, C, "), "announced");
		checkTrue(await page.locator(".mark:not(.hover)").isVisible(), "marked");
		await page.keyboard.press("Enter");
		check(await zoomedName(page), "main", "Enter");
		await page.keyboard.press("Backspace");
		check(await zoomedName(page), "nginx", "Backspace");
		await page.keyboard.press("/");
		await page.keyboard.type("icd?t");
		check(await page.locator("input").evaluate((input) => input.value), "icd?t", "keys are text in the search field");
		await page.keyboard.press("Escape");
		check(await zoomedName(page), "nginx", "the first Escape leaves the search field");
		await page.keyboard.press("Escape");
		check(await zoomedName(page), "all", "the second resets the zoom");
		await page.keyboard.press("Escape");
		check(await page.locator("input").evaluate((input) => input.value), "", "the third clears the search");
		await page.keyboard.press("Control+f");
		check(await page.evaluate(() => document.activeElement.localName), "input", "Ctrl+F");
		await page.keyboard.press("Enter");
		await page.keyboard.press("?");
		checkTrue(await page.locator("dialog").isVisible(), "help");
		await page.keyboard.press("Escape");
		checkTrue(!await page.locator("dialog").isVisible(), "help closed");
		await page.keyboard.press("i");
		await page.keyboard.press("ArrowDown");
		check(await focusedName(page), "nginx", "the arrows follow the picture when inverted");
		/* Tab is never trapped. */
		for (let i = 0; i < 12 && await page.evaluate(() => document.activeElement === window.luaspy.scroller); i++)
			await page.keyboard.press("Tab");
		checkTrue(await page.evaluate(() => document.activeElement !== window.luaspy.scroller), "Tab leaves the graph");
	}));

	await test(label + "a tooltip has name, type, samples and shares", () => open(context, file, async (page) => {
		const at = await place(page, "cjson.encode"), count = sum(stacks, (s) => s.frames.includes("cjson.encode"));

		await page.mouse.move(at.x, at.y);
		const tip = await page.locator(".tip").innerText();

		for (const part of ["cjson.encode", "Lua built-in", count.toLocaleString("en-US") + " samples", percent(count, total) + " of all"])
			checkTrue(tip.includes(part), `${part} in ${tip}`);
		const box = await page.locator(".tip").boundingBox();
		checkTrue(box.x >= 0 && box.y >= 0 && box.x + box.width <= 1280 && box.y + box.height <= 800, "inside of the window");
		await page.mouse.move(5, 5);
		checkTrue(!await page.locator(".tip").isVisible(), "gone");
	}));

	await test(label + "a right click and c copy the name", () => open(context, file, async (page) => {
		let at = await place(page, "orders.list@");

		await page.mouse.click(at.x, at.y, { button: "right" });
		await page.getByText("Copied: ").first().waitFor();
		check(await page.evaluate(() => navigator.clipboard.readText()), "orders.list@/etc/nginx/app/handlers/orders.lua:27", "right click");
		at = await place(page, "table.sort");
		await page.mouse.move(at.x, at.y);
		await page.keyboard.press("c");
		await page.getByText("Copied: table.sort").first().waitFor();
		check(await page.evaluate(() => navigator.clipboard.readText()), "table.sort", "c");
	}));

	await test(label + "both themes are readable", () => open(context, file, async (page) => {
		const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
		let worst = 99;

		check(await ground(), "rgb(21, 24, 29)", "the system's theme");
		for (const name of ["dark", "light"]) {
			const { theme, shades, colors } = await page.evaluate(() => {
				const style = getComputedStyle(document.documentElement), colors = {};

				for (const key of ["ground", "panel", "text", "muted", "accent", "accent-text", "warn", "match", "button"])
					colors[key] = style.getPropertyValue("--" + key).trim();
				return { theme: window.luaspy.graph.theme, shades: window.luaspy.graph.shades, colors };
			});
			const pairs = [[theme.quiet, theme.quietText], [theme.match, theme.matchText], [colors.accent, colors["accent-text"]]];

			for (const shade of shades.flat())
				pairs.push([shade, theme.label]);
			for (const text of ["text", "muted", "warn", "match"])
				pairs.push([colors.ground, colors[text]], [colors.panel, colors[text]]);
			pairs.push([colors.button, colors.text]);
			for (const [a, b] of pairs) {
				checkTrue(contrast(a, b) >= 4.5, `${name}: ${b} on ${a} has a contrast of ${contrast(a, b).toFixed(2)}`);
				worst = Math.min(worst, contrast(a, b));
			}
			checkTrue((await shadesOf(page, TYPE.kernel)).includes(await colorAt(page, "ext4_file_write_iter")), "drawn in " + name);
			await page.keyboard.press("d");
		}
		check(await ground(), "rgb(21, 24, 29)", "back again");
		return "lowest contrast " + worst.toFixed(2);
	}, { dark: true }));

	for (const [width, height] of [[390, 844], [844, 390], [1280, 800], [2560, 1300]]) {
		await test(label + `nothing is clipped at ${width} x ${height}`, () => open(context, file, async (page) => {
			const atRoot = () => page.evaluate(() => Math.round(window.luaspy.scroller.scrollTop) ===
				window.luaspy.graph.sheetHeight() - window.luaspy.scroller.clientHeight ||
				window.luaspy.graph.sheetHeight() <= window.luaspy.scroller.clientHeight);

			checkTrue(await page.evaluate(() => window.luaspy.scroller.clientHeight) >= 120, "there is room for the graph");
			if (width < 700) {
				await page.getByText("Details").click();
				await page.locator("input").fill("json");
			}
			await page.waitForTimeout(100);
			checkTrue(await atRoot(), "the root stays in view");
			check(await page.evaluate(() => document.documentElement.scrollWidth), width, "no scrolling sideways");
			check(await page.evaluate(() => [...document.querySelectorAll("header, header *:not(input)")]
				.filter((e) => e.getClientRects().length && (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 ||
					e.getBoundingClientRect().right > innerWidth + 1)).map((e) => e.className || e.localName)), [], "clipped");
			const [canvas, area] = await page.evaluate(() => [window.luaspy.graph.width, window.luaspy.scroller.clientWidth]);

			check(canvas, area, "the canvas fills its place");
			await page.setViewportSize({ width: height, height: width });
			await page.waitForTimeout(100);
			checkTrue(await atRoot(), "the root stays in view when the device is turned");
		}, { width, height }));
	}

	await test(label + "the address restores the view", () => open(context, file, async (page) => {
		check((await zoomedName(page)).split("@")[0], "_M.handle", "zoomed");
		check(await page.locator("input").evaluate((input) => input.value), "json", "search");
		check(await page.evaluate(() => window.luaspy.graph.inverted), true, "inverted");
	}, { hash: "#zoom=" + nodeNumber("_M.handle") + "&search=json&icicle=1" }));

	await test(label + "names from the target stay text", () => open(context, "hostile." + format, async (page) => {
		const shown = await names(page);

		for (const literal of ["</script><script>window.hacked=1</script>", "<img src=x onerror=window.hacked=2>",
			"]]><script>window.hacked=3</script>", "\"+(window.hacked=4)+\"", "'+(window.hacked=5)+'", "`${window.hacked=6}`",
			"\\\");window.hacked=7;//", "<!--<script>", "&lt;&amp;&#60;", "__proto__", "constructor",
			"a\ufffdb\ufffdc\ufffd\ufffd\ufffd\ufffd", "cut \ufffd\ufffd", "\u6f22\u5b57 \u{1f525} \u00e9t\u00e9", "(no name)", "semi;colon"])
			checkTrue(shown.includes(literal), `${literal} in ${JSON.stringify(shown)}`);
		check(await page.title(), "</title><script>window.hacked=10</script>", "title");
		checkTrue((await page.locator("h1").textContent()) === "</title><script>window.hacked=10</script>", "heading");
		const literal = "<img src=x onerror=window.hacked=2>", at = await place(page, literal);

		await page.mouse.move(at.x, at.y);
		check(await page.locator(".tip strong").textContent(), literal, "tooltip");
		await page.mouse.click(at.x, at.y);
		check((await page.locator(".status").textContent()).startsWith(literal), true, "status");
		await page.keyboard.press("Escape");
		await page.locator("input").fill("</script>");
		checkTrue((await page.locator(".result").textContent()).startsWith("Matched"), "search");
		check(await page.locator("tbody tr").count(), 23, "rows of the table");
		await page.waitForTimeout(200);
		check(await page.evaluate(() => [window.hacked, document.querySelectorAll("img, svg").length]), [null, 0], "nothing ran");
	}));

	await test(label + "an empty profile says so", () => open(context, "empty." + format, async (page) => {
		checkTrue(await page.getByText("No samples were taken.").isVisible(), "the text");
	}));

	await test(label + "time off the CPU is shown as time", () => open(context, "off." + format, async (page) => {
		const header = await page.locator(".facts").textContent();

		for (const part of ["Off the CPU2.45 s", "Events115"])
			checkTrue(header.includes(part), `${part} in ${header}`);
		checkTrue(!header.includes("Rate"), "there is no rate");
		const at = await place(page, "io_schedule");

		await page.mouse.move(at.x, at.y);
		const tip = await page.locator(".tip").innerText();

		for (const part of ["45.6 ms", percent(45600, 2446470) + " of all", "itself 45.6 ms"])
			checkTrue(tip.includes(part), `${part} in ${tip}`);
		await page.locator("input").fill("futex_wait");
		check(await page.locator(".result").textContent(), `Matched ${percent(870, 2446470)} (870 \u00b5s)`, "search");
		checkTrue((await page.locator(".legend .hint").getAttribute("title")).startsWith("Share of the time"), "legend");
		checkTrue((await page.locator("dialog").textContent()).includes("share of the time."), "help");
		checkTrue(!(await page.locator("body").innerText()).includes("samples"), "no samples are spoken of");
	}));

	await test(label + "50,000 frames open at once and zoom smoothly", () => open(context, "large." + format, async (page) => {
		const paint = await firstPaint(context, "large." + format, { width: 1920, height: 1080 });
		const counts = await page.evaluate(() => [window.luaspy.model.names.length, window.luaspy.model.count, window.luaspy.model.maxDepth]);

		checkTrue(counts[0] > 50000 && counts[2] > 100, "the profile is large: " + counts);
		checkTrue(paint < 1000, "first paint after " + paint + " ms");
		const times = await page.evaluate(async () => {
			const { graph, model } = window.luaspy, draws = [], draw = graph.draw;
			let node = 0;

			graph.draw = function () {
				const start = performance.now();

				draw.call(this);
				draws.push(performance.now() - start);
			};
			for (let i = 0; i < 10; i++) {
				node = window.luaspy.childOf(node);
				await new Promise((done) => {
					graph.onsettled = done;
					graph.zoom(node, true);
				});
			}
			for (let top = graph.scroller.scrollTop; top > 0; top -= 90) {
				graph.scroller.scrollTop = top;
				graph.draw();
			}
			draws.sort((a, b) => a - b);
			return [draws[draws.length >> 1], draws[draws.length - 1], draws.length];
		});
		const start = Date.now();

		await page.locator("input").fill("module_7");
		await page.locator(".result", { hasText: "Matched" }).waitFor();
		const search = Date.now() - start;

		checkTrue(times[0] < 16, "the median drawing takes " + times[0] + " ms");
		checkTrue(search < 1000, "a search takes " + search + " ms");
		return `first paint ${paint.toFixed(0)} ms, drawing median ${times[0].toFixed(1)} ms, longest ` +
			`${times[1].toFixed(1)} ms of ${times[2]}, search ${search} ms`;
	}, { motion: true, width: 1920, height: 1080 }));
}

/* The preorder number that the page gives to the first frame of this name: the order of the folded
 * lines is that of the graph where no name is a prefix of another. */
function nodeNumber(name) {
	const seen = new Set();
	let number = 0;

	for (const stack of [...stacks].sort((a, b) => compare(a.frames, b.frames))) {
		for (let depth = 1; depth <= stack.frames.length; depth++) {
			const path = stack.frames.slice(0, depth).join(";");

			if (!seen.has(path)) {
				seen.add(path);
				number++;
				if (stack.frames[depth - 1].startsWith(name))
					return number;
			}
		}
	}
	return -1;
}

function compare(a, b) {
	for (let i = 0; i < a.length && i < b.length; i++) {
		if (a[i] !== b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return a.length - b.length;
}

await context.close();
const still = await browser({ javaScriptEnabled: false });

await test("without scripts, the SVG file is a picture of the widest frames", () => open(still, "nginx.svg", async (page) => {
	checkTrue(await page.locator("text.title", { hasText: "nginx worker 1234" }).isVisible(), "title");
	checkTrue(await page.locator("g.f").count() > 200, "frames");
	const box = await page.locator("g.f rect").first().boundingBox(), all = await page.locator("g.f rect").nth(1).boundingBox();

	checkTrue(box.width > 1170 && box.y > all.y, "the root is at the bottom and wide");
	checkTrue((await page.locator("g.f title").first().textContent()).startsWith("all (" + total), "title of a frame");
}));
await test("without scripts, the large SVG file is bounded", () => open(still, "large.svg", async (page) => {
	const count = await page.locator("g.f").count();

	checkTrue(count > 1000 && count <= 2500, count + " frames");
}));
await test("without scripts, the HTML file says so", () => open(still, "nginx.html", async (page) => {
	checkTrue((await page.locator("noscript").innerText()).includes("scripts do not run"), "text");
}));
await still.close();

await test("the SVG files are well-formed XML", () => {
	for (const profile of ["nginx", "large", "hostile", "empty"]) {
		execFileSync("python3", ["-c", "import sys, xml.etree.ElementTree as e; e.parse(sys.argv[1])",
			join(work, profile + ".svg")]);
	}
});

end();
