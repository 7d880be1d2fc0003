// SPDX-License-Identifier: Apache-2.0
/*
 * Packages from npm for the tests of this folder, in the versions that the tests were written with. They
 * are installed below $LUASPY_BUILD.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const VERSIONS = {
	"@firefox-devtools/profiler-cli": "0.10.0",
	"ajv": "8.20.0",
	"playwright-core": "1.65.1",
	"speedscope": "1.25.0",
	"stackvis": "0.5.0",
};

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
