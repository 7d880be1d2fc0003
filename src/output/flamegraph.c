// SPDX-License-Identifier: Apache-2.0
/*
 * The flame graph's two files. Both carry the same three parts: the page's style (assets/page.css),
 * the data (JSON, never run as a script) and the script that draws it (assets/ *.js). The HTML file
 * is empty but for them: the script makes the page. The SVG file also holds a still picture for
 * viewers that run no scripts; where they run, the script puts the same page in its place.
 *
 * Neither file asks the network for anything; the HTML file forbids it with a policy.
 */
#include "output.h"

#include <errno.h>

#include "flamegraph_parts.h"
#include "text.h"

/* Paths are relative to the root of the tree, where make runs. */
#define ASSET(symbol, file)                                                                        \
	__asm__(".pushsection .rodata." #symbol ", \"a\"\n" #symbol ":\n"                          \
		".incbin \"src/output/assets/" file "\"\n" #symbol "_end:\n.popsection\n");        \
	extern const char symbol[] __attribute__((visibility("hidden")));                          \
	extern const char symbol##_end[] __attribute__((visibility("hidden")))

ASSET(asset_style, "page.css");
ASSET(asset_model, "model.js");
ASSET(asset_graph, "graph.js");
ASSET(asset_view, "view.js");
ASSET(asset_page, "page.js");
ASSET(asset_start, "start.js");

static void write_asset(FILE *out, const char *start, const char *end)
{
	fwrite(start, 1, (size_t)(end - start), out);
}

static void write_script(FILE *out)
{
	fputs("(function () {\n\"use strict\";\n", out);
	write_asset(out, asset_model, asset_model_end);
	write_asset(out, asset_graph, asset_graph_end);
	write_asset(out, asset_view, asset_view_end);
	write_asset(out, asset_page, asset_page_end);
	write_asset(out, asset_start, asset_start_end);
	fputs("})();\n", out);
}

static int finish(FILE *out)
{
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int flamegraph__write_svg(const struct profile *profile, FILE *out)
{
	struct flamegraph_tree tree;
	int err = flamegraph_tree__build(&tree, profile);

	if (err)
		goto out;
	errno = 0;
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	err = flamegraph_static__write(&(struct flamegraph_page){profile, &tree}, out);
	if (err)
		goto out;
	fputs("<script type=\"text/css\" id=\"luaspy-style\"><![CDATA[\n", out);
	write_asset(out, asset_style, asset_style_end);
	fputs("]]></script>\n<script type=\"application/json\" id=\"luaspy-data\">", out);
	flamegraph_data__write(&(struct flamegraph_page){profile, &tree}, out);
	fputs("</script>\n<script><![CDATA[\n", out);
	write_script(out);
	fputs("]]></script>\n</svg>\n", out);
	err = finish(out);
out:
	flamegraph_tree__free(&tree);
	return err;
}

int flamegraph__write_html(const struct profile *profile, FILE *out)
{
	struct flamegraph_tree tree;
	int err = flamegraph_tree__build(&tree, profile);

	if (err)
		goto out;
	errno = 0;
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
	      "form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
	      out);
	text__write_xml(out, text__name(profile__info(profile)->title), 0);
	fputs("</title>\n<style id=\"luaspy-style\">\n", out);
	write_asset(out, asset_style, asset_style_end);
	fputs("</style>\n</head>\n<body>\n"
	      "<noscript>This flame graph is drawn by a script inside of this file, but scripts "
	      "do not run here.</noscript>\n"
	      "<script type=\"application/json\" id=\"luaspy-data\">",
	      out);
	flamegraph_data__write(&(struct flamegraph_page){profile, &tree}, out);
	fputs("</script>\n<script>\n", out);
	write_script(out);
	fputs("</script>\n</body>\n</html>\n", out);
	err = finish(out);
out:
	flamegraph_tree__free(&tree);
	return err;
}
