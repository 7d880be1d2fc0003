/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PUC Lua function's proto, read while the program runs: its instructions, its constants, the
 * functions in it, the names of its variables. Sizes are checked; what the instructions mean is
 * puc_bytecode.h and puc_names.h.
 */
#ifndef LUASPY_PUC_PROTO_H
#define LUASPY_PUC_PROTO_H

#include "lua_heap.h"

/* What tells one proto from others. */
struct puc_proto_head {
	uint64_t id; /* its fingerprint as the walk makes it (bpf/fingerprint.h) */
	uint64_t source, chunk_hash;
	uint64_t variables; /* address */
	uint32_t first_line;
	uint32_t child_count, variable_count;
	uint8_t upvalue_count; /* 5.1 only */
	uint8_t parameter_count;
};

/* As in memory. */
struct puc_variable {
	uint64_t name;
	int32_t start, end; /* the instructions in which it is there */
};

struct puc_proto {
	struct puc_proto_head head;
	uint64_t address;
	uint32_t tgid;
	uint32_t code_count, constant_count, upvalue_count, line_count, absolute_line_count;
	uint32_t *code;
	uint8_t *constants; /* values of 16 bytes */
	uint64_t *children; /* addresses */
	struct puc_variable *variables;
	uint64_t *upvalue_names; /* of each, or every second is one */
	uint8_t *lines;
	int32_t *absolute_lines; /* pairs of instruction and line */
};

/* The proto at `address` of process `tgid`; `like` (or NULL) is one that probably has the same
 * chunk. Returns 0; -EINVAL when there is none, or what the heap's lua_heap__read returned. */
int puc_proto__head(struct lua_heap *heap, uint64_t address, uint32_t tgid,
		    const struct puc_proto_head *like, struct puc_proto_head *head);

/* All of it. Also -E2BIG, -ENOMEM. Freed by __close, also after an error. */
int puc_proto__open(struct lua_heap *heap, uint64_t address, uint32_t tgid, struct puc_proto *self);
void puc_proto__close(struct puc_proto *self);

/* Is it still the same in the target? */
bool puc_proto__unchanged(const struct puc_proto *self, struct lua_heap *heap);

/* Names, written to `text`, which has room for LUA_MAX_STRING + 1. False when there is none. A
 * loop's hidden variables have none. */
bool puc_proto__variable_name(const struct puc_proto *self, struct lua_heap *heap,
			      uint32_t position, uint32_t reg, char *text);
bool puc_proto__upvalue_name(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
			     char *text);
/* Is its first parameter `self`? */
bool puc_proto__has_self(const struct puc_proto_head *self, struct lua_heap *heap);

/* A constant that is a string. */
bool puc_proto__string(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
		       char *text);
/* ... or a number without a fraction. */
bool puc_proto__integer(const struct puc_proto *self, struct lua_heap *heap, uint32_t index,
			int64_t *number);

/* The line of an instruction, 0 when it is not known. */
uint32_t puc_proto__line(const struct puc_proto *self, struct lua_heap *heap, uint32_t position);

#endif
