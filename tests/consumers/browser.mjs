// SPDX-License-Identifier: Apache-2.0
/*
 * What the browser tests share: made-up profiles (make_flamegraph.c), Chromium without a network, and
 * TAP lines. Needs chromium, nodejs, npm and $LUASPY_BUILD/libluaspy.a; installs playwright-core
 * (npm.mjs).
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { npmPackages } from "./npm.mjs";

export const BUILD = resolve(process.env.LUASPY_BUILD || "build"), work = join(BUILD, "flamegraph-browser");
const CHROMIUM = "/usr/bin/chromium";
const profiles = [];
let failures = 0, chromium = null;

function skip(why) {
	console.log("ok - pages in a browser # SKIP " + why);
	process.exit(0);
}

export function check(got, expected, what) {
	const a = JSON.stringify(got), b = JSON.stringify(expected);

	if (a !== b)
		throw new Error(`${what}: expected ${b.slice(0, 1000)}, got ${a.slice(0, 1000)}`);
}

export function checkTrue(condition, what) {
	if (!condition)
		throw new Error(what);
}

export async function test(name, run) {
	try {
		const note = await run();

		console.log("ok - " + name + (note ? " (" + note + ")" : ""));
	} catch (error) {
		failures++;
		console.log("# " + String(error.stack).replace(/\n/g, "\n# "));
		console.log("not ok - " + name);
	}
}

/* ---- the profiles ---- */

/* Makes these files: [profile, format, file] each, in `work`. */
export function prepare(files) {
	compile("make_flamegraph", (maker) => {
		for (const [profile, format, file] of files)
			execFileSync(maker, [profile, format, join(work, file)]);
	});
	const packages = npmPackages(BUILD, "playwright-core");

	if (!packages)
		skip("cannot: npm cannot install playwright-core here");
	chromium = createRequire(join(packages, "playwright-core/"))("playwright-core").chromium;
}

/* Compiles a program of this folder, lets `use` run it, and removes it. */
export function compile(name, use) {
	const library = join(BUILD, "libluaspy.a"), maker = join(work, name + "-" + process.pid);

	if (!existsSync(CHROMIUM))
		skip("no " + CHROMIUM);
	if (!existsSync(library))
		skip("no " + library);
	mkdirSync(work, { recursive: true });
	execFileSync(process.env.CC || "gcc", ["-std=gnu11", "-D_GNU_SOURCE", "-Isrc", "-O1",
		`tests/consumers/${name}.c`, library, "-lprotobuf-c", "-lz", "-lm", "-o", maker]);
	try {
		use(maker);
	} finally {
		rmSync(maker);
	}
}

export function foldedStacks(profile) {
	return readFileSync(join(work, profile + ".folded"), "utf8").split("\n").filter(Boolean).map((line) => {
		const space = line.lastIndexOf(" ");

		return {
			frames: line.slice(0, space).split(";").map((name) => name.replace(/_\[[jk]\]$/, "")),
			leaf: line.slice(0, space).split(";").pop(),
			count: Number(line.slice(space + 1)),
		};
	});
}

export function sum(stacks, wanted) {
	return stacks.reduce((total, stack) => total + (wanted(stack) ? stack.count : 0), 0);
}

export function percent(part, whole) {
	return (100 * part / whole).toFixed(2) + " %";
}

/* ---- the browser ---- */

export async function browser(options) {
	const directory = mkdtempSync(join(tmpdir(), "luaspy-chromium-"));

	profiles.push(directory);
	return chromium.launchPersistentContext(directory, {
		executablePath: CHROMIUM, headless: true, viewport: { width: 1280, height: 800 },
		args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync"],
		...options,
	});
}

/* Opens a file, lets `use` act on it, and fails on script errors, dialogs and requests. */
export async function open(context, file, use, view = {}) {
	const page = await context.newPage(), troubles = [];

	page.on("pageerror", (error) => troubles.push("script error: " + error.message));
	page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
	page.on("dialog", (dialog) => { troubles.push("dialog"); dialog.dismiss(); });
	page.on("request", (request) => request.url().startsWith("file:") || troubles.push(request.url()));
	await page.emulateMedia({ colorScheme: view.dark ? "dark" : "light", reducedMotion: view.motion ? null : "reduce" });
	await page.setViewportSize({ width: view.width || 1280, height: view.height || 800 });
	await page.goto(pathToFileURL(join(work, file)).href + (view.hash || ""));
	try {
		const note = await use(page);

		check(troubles, [], "troubles");
		return note;
	} finally {
		await page.close();
	}
}

/* When the browser first painted the page, in ms after it was asked to load it: the best of `tries`, as
 * other programs may keep the machine busy. */
export async function firstPaint(context, file, view, tries = 3) {
	const times = [];

	while (times.length < tries)
		await open(context, file, async (page) => times.push(await page.evaluate(() => new Promise((done) => {
			const wait = () => {
				const [entry] = performance.getEntriesByName("first-contentful-paint");

				return entry ? done(entry.startTime) : setTimeout(wait, 20);
			};

			wait();
		}))), view);
	return Math.min(...times);
}

/* The centre of a frame on screen, by (the start of) its name. */
export function place(page, name) {
	return page.evaluate((wanted) => {
		const { model, graph, sheet } = window.luaspy;

		for (let i = 0; i < model.count; i++) {
			const box = model.names[model.frame[i]].startsWith(wanted) && graph.boxOf(i);

			if (box) {
				graph.scrollTo(i);
				const at = sheet.getBoundingClientRect();

				return { node: i, x: at.left + box.left + box.width / 2, y: at.top + box.top + box.height / 2 };
			}
		}
		return null;
	}, name);
}

export const names = (page) => page.evaluate(() => {
	const { model, graph } = window.luaspy;

	return [...new Set(graph.visibleNodes(0).map((node) => model.names[model.frame[node]]))].sort();
});

/* The colour on the canvas at a frame's right end, where no label is: "#rrggbb". */
export function colorAt(page, name) {
	return page.evaluate((wanted) => {
		const { model, graph } = window.luaspy;
		const node = model.frame.findIndex((frame) => model.names[frame].startsWith(wanted));
		const box = graph.boxOf(node);

		graph.scrollTo(node);
		graph.draw();
		const top = box.top - Math.min(graph.scroller.scrollTop, graph.sheetHeight() - graph.height);
		const data = graph.context.getImageData((box.left + box.width - 3) * graph.ratio, (top + 3) * graph.ratio, 1, 1).data;

		return "#" + [...data.slice(0, 3)].map((part) => part.toString(16).padStart(2, "0")).join("");
	}, name);
}

export const zoomedName = (page) => page.evaluate(() => window.luaspy.nameOf(window.luaspy.graph.zoomed));
export const focusedName = (page) => page.evaluate(() => window.luaspy.nameOf(window.luaspy.focused));
export const shadesOf = (page, type) => page.evaluate((t) => window.luaspy.graph.shades[t], type);

export function luminance(color) {
	const part = (i) => {
		const value = parseInt(color.slice(i, i + 2), 16) / 255;

		return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
	};

	return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

export function contrast(a, b) {
	const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);

	return (high + 0.05) / (low + 0.05);
}

/* Ends the program: to be called last. */
export function end() {
	for (const directory of profiles)
		rmSync(directory, { recursive: true, force: true });
	process.exit(failures ? 1 : 0);
}
