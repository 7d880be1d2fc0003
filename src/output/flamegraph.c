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

FLAMEGRAPH_ASSET(asset_style, "page.css");
FLAMEGRAPH_ASSET(asset_model, "model.js");
FLAMEGRAPH_ASSET(asset_graph, "graph.js");
FLAMEGRAPH_ASSET(asset_view, "view.js");
FLAMEGRAPH_ASSET(asset_page, "page.js");
FLAMEGRAPH_ASSET(asset_start, "start.js");

static void write_asset(FILE *out, const char *start, const char *end)
{
	fwrite(start, 1, (size_t)(end - start), out);
}

static void write_script(const struct flamegraph_page *page, FILE *out)
{
	fputs("(function () {\n\"use strict\";\n", out);
	write_asset(out, asset_model, asset_model_end);
	write_asset(out, asset_graph, asset_graph_end);
	write_asset(out, asset_view, asset_view_end);
	write_asset(out, asset_page, asset_page_end);
	if (page->script)
		write_asset(out, page->script, page->script_end);
	write_asset(out, asset_start, asset_start_end);
	fputs("})();\n", out);
}

static int finish(FILE *out)
{
	if (fflush(out) || ferror(out))
		return errno ? -errno : -EIO;
	return 0;
}

int flamegraph_page__write_svg(const struct flamegraph_page *page, FILE *out)
{
	int err;

	errno = 0;
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	err = flamegraph_static__write(page, out);
	if (err)
		return err;
	fputs("<script type=\"text/css\" id=\"luaspy-style\"><![CDATA[\n", out);
	write_asset(out, asset_style, asset_style_end);
	fputs("]]></script>\n<script type=\"application/json\" id=\"luaspy-data\">", out);
	flamegraph_data__write(page, out);
	fputs("</script>\n<script><![CDATA[\n", out);
	write_script(page, out);
	fputs("]]></script>\n</svg>\n", out);
	return finish(out);
}

int flamegraph_page__write_html(const struct flamegraph_page *page, FILE *out)
{
	errno = 0;
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
	      "form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
	      out);
	text__write_xml(out, text__name(profile__info(page->profile)->title), 0);
	fputs("</title>\n<style id=\"luaspy-style\">\n", out);
	write_asset(out, asset_style, asset_style_end);
	fputs("</style>\n</head>\n<body>\n"
	      "<noscript>This flame graph is drawn by a script inside of this file, but scripts "
	      "do not run here.</noscript>\n"
	      "<script type=\"application/json\" id=\"luaspy-data\">",
	      out);
	flamegraph_data__write(page, out);
	fputs("</script>\n<script>\n", out);
	write_script(page, out);
	fputs("</script>\n</body>\n</html>\n", out);
	return finish(out);
}

static int write_graph(const struct profile *profile, FILE *out,
		       int (*write)(const struct flamegraph_page *page, FILE *out))
{
	struct flamegraph_tree tree;
	struct flamegraph_page page = {.profile = profile, .tree = &tree, .columns = 1};
	int err = flamegraph_tree__build(&tree, profile);

	if (!err)
		err = write(&page, out);
	flamegraph_tree__free(&tree);
	return err;
}

int flamegraph__write_svg(const struct profile *profile, FILE *out)
{
	return write_graph(profile, out, flamegraph_page__write_svg);
}

int flamegraph__write_html(const struct profile *profile, FILE *out)
{
	return write_graph(profile, out, flamegraph_page__write_html);
}
