/* SPDX-License-Identifier: Apache-2.0 */
#include "record_builds.h"

#include "../output/text.h"
#include "../vm/luajit.h"

/* A path or version is the target's own text. */
static void print_text(FILE *out, const char *text)
{
	char bytes[4] = {};
	uint32_t c;

	while ((c = text__next(&text)))
		fwrite(bytes, 1, text__encode(c, bytes), out);
}

static void print_build(const struct module *module, const struct luajit_build *build,
			const char *version, FILE *out)
{
	struct luajit_fact facts[LUAJIT_MAX_FACTS];
	size_t count = luajit__facts(build, facts), i;

	print_text(out, module->path);
	fprintf(out, ": ");
	print_text(out, version ? version : "LuaJIT 2.1");
	fprintf(out, ", %s, %s, %s\n", build->gc64 ? "GC64" : "GC32",
		build->trace_array ? "with JIT compiler" : "without JIT compiler",
		build->ffi ? "with FFI" : "without FFI");
	for (i = 0; i < count; i++)
		fprintf(out, "  %-21s 0x%-6x %s\n", facts[i].what, facts[i].value, facts[i].from);
}

void record_builds__print(const struct modules *modules, const struct lua_vms *vms, FILE *out)
{
	const struct luajit_build *build;
	const struct module *module;
	uint32_t id;

	for (id = 0; (module = modules__find(modules, id)); id++) {
		if (module->vm_unknown) {
			print_text(out, module->path);
			fprintf(out, ": LuaJIT of a form that is not known here: its C frames are "
				     "shown\n");
		}
		build = modules__build(modules, module->vm);
		if (build)
			print_build(module, build, lua_vms__version(vms, module->vm), out);
	}
}
