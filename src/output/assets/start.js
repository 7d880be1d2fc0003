// SPDX-License-Identifier: Apache-2.0
/*
 * Starts the page in either kind of document. In an SVG file, the picture's root element is replaced
 * by an XHTML one, after which the two do not differ.
 */
const style = document.getElementById("luaspy-style");
/* What a kind of page adds to the script is a class of its own. */
const Kind = typeof HeatPage !== "undefined" ? HeatPage : typeof DiffPage !== "undefined" ? DiffPage : Page;
const page = new Kind(JSON.parse(document.getElementById("luaspy-data").textContent));

if (document.documentElement.localName === "svg") {
	const text = style.textContent;
	const body = element("body");

	document.replaceChild(element("html", { lang: "en" },
		element("head", {},
			element("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
			element("title", {}, page.data.title || "Flame graph"),
			element("style", {}, text)),
		body), document.documentElement);
}
page.build(document.body);
/* For scripts in the browser's console, and for tests. */
window.luaspy = page;
