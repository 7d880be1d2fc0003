// SPDX-License-Identifier: Apache-2.0
/*
 * Packages from npm for the tests of this folder, in the versions that the tests were written with, which
 * run with Node.js 18 (Debian 12's) and newer ones. They are installed below $LUASPY_BUILD.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const OLDEST_NODE = 18;

export const VERSIONS = {
	"@firefox-devtools/profiler-cli": "0.10.0", /* asks for Node.js 24, but what is used of it runs with 18 */
	"ajv": "8.20.0",
	"playwright-core": "1.61.1", /* the last one for Node.js 18: 1.62 needs 20 */
	"speedscope": "1.25.0",
	"stackvis": "0.5.0",
};

/* Newer packages end the program without a test line when Node.js is too old for them. */
if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
	console.log(`not ok - these tests need Node.js ${OLDEST_NODE} or newer, and this is ${process.versions.node}`);
	process.exit(1);
}

function installed(prefix, name) {
	const path = join(prefix, "node_modules", name, "package.json");

	return existsSync(path) && JSON.parse(readFileSync(path, "utf8")).version === VERSIONS[name];
}

/* The folder with the packages in it; null when they cannot be had. */
export function npmPackages(build, ...names) {
	const prefix = join(build, "npm-pinned"), missing = names.filter((name) => !installed(prefix, name));

	mkdirSync(prefix, { recursive: true });
	try {
		if (missing.length)
			execFileSync("npm", ["install", "--prefix", prefix, "--no-audit", "--no-fund", "--ignore-scripts",
				...missing.map((name) => name + "@" + VERSIONS[name])], { stdio: "ignore", timeout: 300000 });
	} catch (error) {
		return null;
	}
	return names.every((name) => installed(prefix, name)) ? join(prefix, "node_modules") : null;
}
