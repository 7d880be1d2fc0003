/* SPDX-License-Identifier: Apache-2.0 */
#include "record_builds.h"

#include <inttypes.h>
#include <string.h>

#include "../output/text.h"
#include "../vm/luajit.h"

#define REPORT "Please report it, with what -v shows"

/* ---- disagreements --------------------------------------------------------------------------- */

/* Of a file: NULL when its sources agree. `facts` has LUAJIT_OFFSETS elements. */
static const struct luajit_fact *
file_conflict(const struct modules *modules, const struct module *module, struct luajit_fact *facts)
{
	const struct luajit_found *found =
		module->vm_conflict ? modules__luajit(modules, module->id) : NULL;

	return found ? luajit_facts__conflict(facts, luajit__facts(found, facts)) : NULL;
}

static void warn_file(const struct modules *modules, const struct module *module, FILE *out)
{
	struct luajit_fact facts[LUAJIT_OFFSETS];
	const struct luajit_fact *fact = file_conflict(modules, module, facts);

	if (module->unwalked) {
		fprintf(out, "luaspy: warning: ");
		text__write(out, module->path);
		fprintf(out,
			": the BPF programs for its kind of Lua, which came after the start, could "
			"not be loaded: %s. No Lua frames are shown for this file; C frames are "
			"right. Begin again, now that it is there.\n",
			strerror(-module->unwalked));
	}
	if (!fact)
		return;
	fprintf(out, "luaspy: warning: ");
	text__write(out, module->path);
	fprintf(out,
		": %s is 0x%x by its code, but 0x%x by the table of known builds (%s). No Lua "
		"frames are shown for this file; C frames are right. " REPORT ".\n",
		fact->what, fact->value, fact->table_value,
		modules__luajit(modules, module->id)->known->sources);
}

static void warn_process(const struct modules *modules, const struct lua_conflict *conflict,
			 FILE *out)
{
	const struct module *module = modules__of_build(modules, conflict->build);

	fprintf(out, "luaspy: warning: process %u, ", conflict->tgid);
	text__write(out, module ? module->path : "");
	fprintf(out,
		": %s is 0x%x by its code, but in the live heap that place holds 0x%" PRIx64
		", not %s. No Lua frames are shown for this process; C frames are "
		"right. " REPORT ".\n",
		conflict->fact.what, conflict->fact.value, conflict->fact.heap_value,
		conflict->fact.heap_wants);
}

void record_builds__warn(struct record_builds *self, const struct modules *modules,
			 const struct lua_vms *vms, FILE *out)
{
	const struct lua_conflict *conflict;
	const struct module *module;

	for (; (module = modules__find(modules, self->modules)); self->modules++)
		warn_file(modules, module, out);
	for (; (conflict = lua_vms__conflict(vms, self->conflicts)); self->conflicts++)
		warn_process(modules, conflict, out);
}

void record_builds__print_conflicts(const struct modules *modules, const struct lua_vms *vms,
				    FILE *out)
{
	struct luajit_fact facts[LUAJIT_OFFSETS];
	const struct lua_conflict *conflict;
	const struct luajit_fact *fact;
	const struct module *module;
	uint32_t id;
	size_t i;

	for (id = 0; (module = modules__find(modules, id)); id++) {
		if (module->unwalked) {
			fprintf(out, "  without Lua frames            ");
			text__write(out, module->path);
			fprintf(out, ": its programs could not be loaded\n");
		}
		fact = file_conflict(modules, module, facts);
		if (!fact)
			continue;
		fprintf(out, "  without Lua frames            ");
		text__write(out, module->path);
		fprintf(out, ": known otherwise (%s)\n", fact->what);
	}
	for (i = 0; (conflict = lua_vms__conflict(vms, i)); i++)
		fprintf(out,
			"  without Lua frames            process %u: its heap disagrees (%s)\n",
			conflict->tgid, conflict->fact.what);
	if (lua_vms__conflicts(vms) > i)
		fprintf(out, "  without Lua frames            %zu more processes\n",
			lua_vms__conflicts(vms) - i);
}

/* ---- with -v --------------------------------------------------------------------------------- */

static const char *verdict_text(enum luajit_verdict verdict)
{
	switch (verdict) {
	case LUAJIT_AGREES:
		return "agrees";
	case LUAJIT_DISAGREES:
		return "disagrees";
	case LUAJIT_NOT_CHECKED:
		break;
	}
	return "not checked";
}

static void print_fact(const struct luajit_fact *fact, FILE *out)
{
	fprintf(out, "  %-21s 0x%-6x %s [table ", fact->what, fact->value, fact->from);
	if (fact->table == LUAJIT_DISAGREES)
		fprintf(out, "says 0x%x", fact->table_value);
	else
		fprintf(out, "%s", verdict_text(fact->table));
	fprintf(out, ", heap %s]\n", verdict_text(fact->heap));
}

static void print_build(const struct module *module, const struct luajit_found *found,
			const struct lua_vms *vms, FILE *out)
{
	const char *version = lua_vms__version(vms, module->vm);
	struct luajit_fact decoded[LUAJIT_OFFSETS];
	const struct luajit_fact *facts;
	uint32_t checked;
	size_t count, i;

	count = lua_vms__facts(vms, module->vm, &facts, &checked);
	if (!count) {
		count = luajit__facts(found, decoded);
		facts = decoded;
	}
	text__write(out, module->path);
	fprintf(out, ": ");
	text__write(out, version ? version : "LuaJIT 2.1");
	fprintf(out, ", %s, %s, %s\n", found->build.gc64 ? "GC64" : "GC32",
		found->build.trace_array ? "with JIT compiler" : "without JIT compiler",
		found->build.ffi ? "with FFI" : "without FFI");
	if (found->known)
		fprintf(out, "  known build: %s; ", found->known->sources);
	else
		fprintf(out, "  not in the table of known builds (%016" PRIx64 "); ",
			found->fingerprint);
	fprintf(out, "heaps checked: %u\n", checked);
	for (i = 0; i < count; i++)
		print_fact(&facts[i], out);
}

static void print_puc(const struct module *module, const struct puc_build *puc, FILE *out)
{
	text__write(out, module->path);
	fprintf(out,
		": PUC Lua, layouts of %u.%u.%u, luaV_execute at 0x%" PRIx64 " to 0x%" PRIx64 "\n",
		puc->release / 10000, puc->release / 100 % 100, puc->release % 100,
		(uint64_t)puc->execute_start, (uint64_t)puc->execute_end);
}

void record_builds__print(const struct modules *modules, const struct lua_vms *vms, FILE *out)
{
	const struct luajit_found *found;
	const struct module *module;
	const struct puc_build *puc;
	uint32_t id;

	for (id = 0; (module = modules__find(modules, id)); id++) {
		if (module->vm_unknown || module->puc_unknown) {
			text__write(out, module->path);
			fprintf(out,
				": %s of a form that is not known here: its C frames are shown\n",
				module->vm_unknown ? "LuaJIT" : "PUC Lua");
		}
		puc = modules__puc(modules, module->puc);
		if (puc)
			print_puc(module, puc, out);
		found = modules__luajit(modules, id);
		if (found)
			print_build(module, found, vms, out);
	}
}
