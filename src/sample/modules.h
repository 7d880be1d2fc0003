/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF files that targets have mapped: opened once each, however many processes map them, with
 * their unwind tables sent to the kernel and their symbols loaded when a name is first asked for.
 * A file is kept open, so that names can be found when the target has gone.
 */
#ifndef LUASPY_MODULES_H
#define LUASPY_MODULES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../target/maps.h"
#include "../vm/luajit.h"
#include "kernel_tables.h"
#include "profile.h"

struct modules;

struct module {
	uint32_t id;	  /* the file id of frames */
	uint32_t vm;	  /* 1 + index of its LuaJIT build, 0 when it has none */
	bool vm_unknown;  /* it has one, of a form that is not understood */
	bool vm_conflict; /* ... of which the table of known builds says something else */
	uint32_t puc;	  /* 1 + index of its build of PUC Lua, 0 when it has none */
	bool puc_unknown; /* it has one, of a form that is not understood */
	const char *name; /* base name of its path; "[vdso]" */
	const char *path; /* as in the target's mount namespace */
	int unwalked;	  /* why its Lua is not walked: the programs for it could not be loaded */
	int error;	  /* why it has no tables: a file that could not be opened or is corrupt */
};

struct modules *modules__new(struct kernel_tables *tables);
void modules__free(struct modules *self);

/* `need` is called before the kernel is told of a Lua VM's code of that kind (enum vm_kinds). If it
 * returns a negative errno the file counts as one without Lua, but for .unwalked. */
void modules__on_vm(struct modules *self, int (*need)(void *context, unsigned int kind),
		    void *context);

/*
 * The module behind a mapping of `pid`, opened and sent to the kernel if it is new. A file that
 * cannot be read still gives a module (with .error set), so that its frames have a file name.
 * Returns 0 and *module (borrowed) and *bias, -EINVAL for a mapping without a file, -ENOSPC when
 * there are too many files, -ENOMEM, or an error of the BPF maps.
 */
int modules__get(struct modules *self, pid_t pid, const struct map_entry *entry,
		 const struct module **module, uint64_t *bias);

/* The LuaJIT build with this number (module.vm, 1 or more); NULL when there is none. Borrowed. */
const struct luajit_build *modules__build(const struct modules *self, uint32_t vm);

/* What is known of the LuaJIT in module `id`, also of one with .vm_conflict; NULL when it has none
 * that was understood. Borrowed. */
const struct luajit_found *modules__luajit(const struct modules *self, uint32_t id);
/* The module that has this LuaJIT build; NULL when there is none. Borrowed. */
const struct module *modules__of_build(const struct modules *self, uint32_t vm);
/* The same of PUC Lua, by module.puc. */
const struct puc_build *modules__puc(const struct modules *self, uint32_t puc);

const struct module *modules__find(const struct modules *self, uint32_t id);

/*
 * The function at `vaddr` of module `id`: its symbol, or "file+0xoffset" of the function's start by
 * its unwind entry (of the address itself without one). Written to `name` of `size` bytes, always
 * terminated. Returns 0, or -ENOENT for an unknown id.
 */
int modules__name(struct modules *self, uint32_t id, uint64_t vaddr, char *name, size_t size);

#define BUILD_ID_BYTES 129
/* The module's file and code for a profile: its path is borrowed, its build id is written to
 * `build_id`. -ENOENT for an unknown id. */
int modules__mapping(const struct modules *self, uint32_t id, struct profile_mapping *mapping,
		     char build_id[BUILD_ID_BYTES]);

#endif
