#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * Our formats as their readers see them: speedscope (its schema, and what it imports, in Chromium), the
 * Firefox Profiler's importers, and stackvis for the text of perf script. What they have to say is what
 * `luaspy report -f json` says of the same profile.
 *
 *   LUASPY_BUILD=build tests/consumers/test_formats.mjs
 *
 * Needs nodejs, npm, chromium, $LUASPY_BUILD/luaspy and $LUASPY_BUILD/libluaspy.a.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { npmPackages } from "./npm.mjs";

const BUILD = resolve(process.env.LUASPY_BUILD || "build"), work = join(BUILD, "formats");
const CHROMIUM = "/usr/bin/chromium", LUASPY = join(BUILD, "luaspy");
const KINDS = ["cpu", "times", "off_cpu"];
let failures = 0;

function skip(why) {
	console.log("ok - readers of our formats # SKIP " + why);
	process.exit(0);
}

function check(got, expected, what) {
	const a = JSON.stringify(got), b = JSON.stringify(expected);

	if (a !== b)
		throw new Error(`${what}: expected ${b.slice(0, 2000)}, got ${a.slice(0, 2000)}`);
}

function checkTrue(condition, what) {
	if (!condition)
		throw new Error(what);
}

async function test(name, run) {
	try {
		await run();
		console.log("ok - " + name);
	} catch (error) {
		failures++;
		console.log("# " + String(error.stack).replace(/\n/g, "\n# "));
		console.log("not ok - " + name);
	}
}

/* ---- the files ---- */

function path(kind, ending) {
	return join(work, kind + ending);
}

function report(kind, ending, ...filters) {
	execFileSync(LUASPY, ["report", "-q", path(kind, ".pb.gz"), "-o", path(kind, ending), ...filters]);
	return readFileSync(path(kind, ending), "utf8");
}

function prepare() {
	const library = join(BUILD, "libluaspy.a"), maker = join(work, "make_profile");

	if (!existsSync(library) || !existsSync(LUASPY))
		skip("no " + library + " or " + LUASPY);
	mkdirSync(work, { recursive: true });
	execFileSync(process.env.CC || "gcc", ["-std=gnu11", "-D_GNU_SOURCE", "-Isrc", "-O1",
		"tests/consumers/make_profile.c", library, "-lprotobuf-c", "-lz", "-o", maker]);
	for (const kind of KINDS)
		execFileSync(maker, [kind, path(kind, ".pb.gz")]);
}

/* name -> [self, total] by samples or nanoseconds, of the functions, and of the whole. */
function truth(kind, unit) {
	const profile = JSON.parse(report(kind, ".json")), functions = {};

	for (const one of profile.functions) {
		functions[one.function] = unit === "samples" ? [one.self, one.total] :
			[one.self_nanoseconds, one.total_nanoseconds];
	}
	const whole = profile.stacks.reduce((sum, s) => sum + (unit === "samples" ? s.count : s.nanoseconds), 0);

	return { functions, whole };
}

/* What formats add to a name, or put in the place of a character. */
function bare(name) {
	return name.replace(/_\[[jk]\]$/, "").replace(/ \(estimated\)$/, "").replace(/;/g, ":");
}

/* The same of stacks: [[name, ...] root first, weight]. */
function sums(stacks) {
	const functions = {};
	let whole = 0;

	for (const [names, weight] of stacks) {
		const path = names.map(bare);

		whole += weight;
		path.forEach((name, i) => {
			functions[name] = functions[name] || [0, 0];
			if (i === path.length - 1)
				functions[name][0] += weight;
			if (path.indexOf(name) === i)
				functions[name][1] += weight;
		});
	}
	return { functions, whole };
}

/* Roots are processes, and no functions. */
function checkSame(got, expected, what) {
	const sorted = (functions) => Object.entries(functions).map(([name, counts]) => [bare(name), counts])
		.filter(([name]) => name !== "nginx" && name !== "luajit").sort();

	check(got.whole, expected.whole, what + ", the whole");
	check(sorted(got.functions), sorted(expected.functions), what);
}

/* ---- speedscope ---- */

prepare();
const modules = npmPackages(BUILD, "@firefox-devtools/profiler-cli", "ajv", "playwright-core", "speedscope",
	"stackvis");
if (!modules)
	skip("cannot: npm cannot install the readers here");
const require = createRequire(join(modules, "x.js"));

await test("speedscope's schema", () => {
	const schema = JSON.parse(readFileSync(join(modules, "speedscope/dist/release/file-format-schema.json"), "utf8"));
	const Ajv = require("ajv"), validate = new Ajv({ strict: false }).compile(schema);

	for (const kind of KINDS) {
		const profile = JSON.parse(report(kind, ".speedscope.json"));

		check([validate(profile), validate.errors], [true, null], kind);
		check(profile.profiles[0].unit, "nanoseconds", "unit");
		check(profile.profiles[0].weights.reduce((a, b) => a + b, 0), profile.profiles[0].endValue, "weights");
	}
	/* A schema that accepts anything proves nothing. */
	check(validate({ shared: {} }), false, "what is no profile");
});

const directory = mkdtempSync(join(tmpdir(), "luaspy-speedscope-"));
const browser = existsSync(CHROMIUM) ? await require("playwright-core").chromium.launchPersistentContext(directory, {
	executablePath: CHROMIUM, headless: true, acceptDownloads: true,
	args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
}) : null;

/* What speedscope makes of a file, as it saves it. */
async function importInto(file) {
	const page = await browser.newPage(), problems = [];

	page.on("pageerror", (error) => problems.push(String(error)));
	page.on("dialog", (dialog) => { problems.push(dialog.message()); dialog.dismiss(); });
	await page.goto(pathToFileURL(join(modules, "speedscope/dist/release/index.html")).href);
	await page.setInputFiles("input[type=file]", file);
	await page.waitForFunction(() => document.title !== "speedscope" || document.querySelector("canvas"), null,
		{ timeout: 60000 });
	const saved = page.waitForEvent("download", { timeout: 60000 });
	await page.keyboard.press("Control+s");
	const text = readFileSync(await (await saved).path(), "utf8");

	await page.close();
	check(problems, [], "problems");
	return JSON.parse(text);
}

function stacksOf(imported, profiles = imported.profiles) {
	const frames = imported.shared.frames;
	const stacks = [];

	for (const profile of profiles) {
		if (profile.type === "sampled") {
			profile.samples.forEach((sample, i) => {
				stacks.push([sample.map((id) => frames[id].name), profile.weights[i]]);
			});
			continue;
		}
		const open = [];
		let at = profile.startValue;

		for (const event of profile.events) {
			if (event.at > at)
				stacks.push([open.map((id) => frames[id].name), event.at - at]);
			at = event.at;
			if (event.type === "O")
				open.push(event.frame);
			else
				open.pop();
		}
	}
	return stacks;
}

if (!browser)
	console.log("ok - speedscope # SKIP no " + CHROMIUM);
for (const kind of browser ? KINDS : []) {
	await test(`speedscope, ${kind}: its own format`, async () => {
		report(kind, ".speedscope.json");
		checkSame(sums(stacksOf(await importInto(path(kind, ".speedscope.json")))), truth(kind, "nanoseconds"),
			"functions");
	});
	await test(`speedscope, ${kind}: pprof`, async () => {
		const imported = await importInto(path(kind, ".pb.gz")), shown = imported.profiles[imported.activeProfileIndex || 0];

		check(shown.unit, "nanoseconds", "what is shown");
		checkSame(sums(stacksOf(imported, [shown])), truth(kind, "nanoseconds"), "functions");
	});
	await test(`speedscope, ${kind}: folded stacks`, async () => {
		report(kind, ".folded");
		const got = sums(stacksOf(await importInto(path(kind, ".folded"))));

		if (kind !== "off_cpu")
			checkSame(got, truth(kind, "samples"), "functions");
		else /* microseconds of each stack, without what is less than one */
			checkTrue(Math.abs(got.whole - truth(kind, "time").whole / 1000) <= 10, "the whole: " + got.whole);
	});
	await test(`speedscope, ${kind}: perf script`, async () => {
		/* It places a sample in the middle of its time, and half of the first and of the last one is cut off. */
		const lines = report(kind, ".perf.txt").split("\n").filter((line) => line.endsWith(": "));
		const imported = await importInto(path(kind, ".perf.txt")), got = sums(stacksOf(imported));
		const expected = truth(kind, "nanoseconds");
		const period = Math.max(...lines.map((line) => Number(/(\d+) \S+: $/.exec(line)[1])));
		const near = (a, b) => Math.abs(a * 1e9 - b) <= 3 * period + 10;

		check(imported.profiles.map((one) => one.name).sort(),
			["luajit pid: 5002 tid: 5002", "nginx pid: 4001 tid: 4001", "nginx pid: 4001 tid: 4009"], "threads");
		if (kind === "times") /* of samples with gaps between them */
			return;
		checkTrue(near(got.whole, expected.whole), "the whole: " + got.whole);
		for (const [name, [self, total]] of Object.entries(expected.functions)) {
			const [one, all] = got.functions[bare(name)] || [0, 0];

			checkTrue(near(one, self) && near(all, total), `${name}: ${one}, ${all}, expected ${self}, ${total}`);
		}
	});
}
if (browser)
	await browser.close();
rmSync(directory, { recursive: true, force: true });

/* ---- the Firefox Profiler ---- */

const SESSIONS = join(work, "firefox");
const environment = { ...process.env, PROFILER_CLI_SESSION_DIR: SESSIONS, HOME: work };
const CLI = join(modules, "@firefox-devtools/profiler-cli/dist/profiler-cli.js");

function firefox(session, ...words) {
	return execFileSync(process.execPath, [CLI, ...words, "--session", session],
		{ env: environment, encoding: "utf8", timeout: 60000, stdio: ["ignore", "pipe", "pipe"] });
}

/* What it says of a file when it has loaded it. Its own `load` waits for half a second only, which a busy machine
 * may take to start it. A command that finds no session's file, or half of one, removes the socket that the daemon
 * has just made, and nothing reaches it from then on: so the first one has to wait for the file. */
async function firefoxLoaded(session) {
	const file = join(SESSIONS, session + ".json");
	let trouble = null;

	for (const end = Date.now() + 60000; Date.now() < end;) {
		try {
			JSON.parse(readFileSync(file, "utf8"));
			return JSON.parse(firefox(session, "profile", "info", "--all", "--json"));
		} catch (error) {
			trouble = error;
			await new Promise((resume) => setTimeout(resume, 200));
		}
	}
	throw new Error("the Firefox Profiler does not start: " + trouble.message);
}

/* The samples that it finds in a file, by function, of all threads. */
async function firefoxSums(kind, ending) {
	const session = "luaspy-" + process.pid + "-" + kind + ending, functions = {}, names = [];
	const daemon = spawn(process.execPath, [CLI, "--daemon", path(kind, ending), "--session", session],
		{ env: environment, stdio: "ignore" });
	let whole = 0;

	try {
		const info = await firefoxLoaded(session);

		for (const process of info.processes) {
			for (const thread of process.threads) {
				const table = JSON.parse(firefox(session, "thread", "functions", "--thread", thread.threadHandle,
					"--limit", "1000", "--include-idle", "--json"));

				names.push(thread.name + " " + thread.tid);
				for (const one of table.functions) {
					const sum = functions[bare(one.name)] || [0, 0];

					functions[bare(one.name)] = [sum[0] + one.selfSamples, sum[1] + one.totalSamples];
					whole += one.selfSamples;
				}
			}
		}
	} finally {
		daemon.kill();
	}
	return { functions, whole, names };
}

rmSync(SESSIONS, { recursive: true, force: true });
for (const kind of KINDS) {
	await test(`the Firefox Profiler, ${kind}: perf script`, async () => {
		report(kind, ".perf.txt");
		const got = await firefoxSums(kind, ".perf.txt");

		check(got.names.sort(), ["luajit 5002", "nginx 4001", "nginx 4009"], "threads");
		checkSame(got, truth(kind, "samples"), "functions");
	});
}

await test("the Firefox Profiler: folded stacks", async () => {
	report("cpu", ".folded");
	checkSame(await firefoxSums("cpu", ".folded"), truth("cpu", "samples"), "functions");
});

/* ---- stackvis ---- */

await test("stackvis: perf script", () => {
	const text = execFileSync(process.execPath, [join(modules, "stackvis/cmd/stackcollapse-perf")],
		{ input: readFileSync(path("cpu", ".perf.txt")), encoding: "utf8" });
	const sum = (wanted) => text.split("\n").filter((line) => line && wanted(line))
		.reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" "))), 0);
	const expected = truth("cpu", "samples");

	check(sum(() => true), expected.whole, "samples");
	check(sum((line) => line.includes("`_M.content@shop/app.lua:92")),
		expected.functions["_M.content@shop/app.lua:92"][1], "_M.content");
});

process.exit(failures ? 1 : 0);
