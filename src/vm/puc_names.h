/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What PUC Lua's functions are called by the bytecode around them, for functions without a source.
 *
 * Where a function is defined, the instructions behind OP_CLOSURE show where it is put, and with
 * the names of variables, upvalues and constants that gives the names that the source would
 * (symbol/lua_source.h): a function's bytecode names those in it. Stripped bytecode has no names
 * but globals and fields.
 *
 * Where a function is called by another one, OP_CALL is preceded by what fetches the callee, as
 * Lua's own error messages have it (ldebug.c, funcnamefromcode). Frames that a tail call has
 * replaced are known (contract.h, TAIL_CALL), so that what was called is what runs, or has it as
 * its __call.
 */
#ifndef LUASPY_PUC_NAMES_H
#define LUASPY_PUC_NAMES_H

#include "lua_call_name.h"
#include "lua_heap.h"

enum puc_naming {
	PUC_UNKNOWN,
	PUC_NAMED,    /* the label is its name */
	PUC_ARGUMENT, /* of a call of the label, which may be "" */
	PUC_RETURNED,
	PUC_ANONYMOUS, /* any other place */
};

/* A function as another one defines it. A main chunk is one of itself. */
struct puc_definition {
	uint64_t id, parent_id; /* of protos (bpf/fingerprint.h) */
	enum puc_naming naming;
	const char *label; /* valid during the call */
};

typedef void (*puc_definition_fn)(void *context, const struct puc_definition *definition);

/*
 * Calls `found` for all functions in the proto at `address` of process `tgid`, on all levels, if
 * its id is `id`. Returns 0, -ESTALE when it is another one, -EINVAL, -ENOMEM, or what the heap's
 * lua_heap__read returned; names that were found before an error stand. The heap's bounds are the
 * only ones on what is read; make a new one for each call.
 */
int puc_names__definitions(struct lua_heap *heap, uint64_t address, uint64_t id, uint32_t tgid,
			   puc_definition_fn found, void *context);

/* The name by which a caller calls a function. Returns 0, -ENOENT without one, or as above. */
int puc_names__call(struct lua_heap *heap, const struct record_call *call,
		    struct lua_call_name *name);

#endif
