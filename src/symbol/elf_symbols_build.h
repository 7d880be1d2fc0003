/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internal to elf_symbols.c: from a heap of function symbols, aliases and overlaps included, to
 * disjoint ranges with one name each. Knows nothing of ELF files.
 */
#ifndef LUASPY_ELF_SYMBOLS_BUILD_H
#define LUASPY_ELF_SYMBOLS_BUILD_H

#include <stddef.h>
#include <stdint.h>

/*
 * Why one of several symbols at an address is chosen: the smallest rank wins, then the shorter
 * name. Higher bits decide first.
 */
#define RANK_UNSIZED	     (1U << 8) /* st_size is 0 */
#define RANK_NOTYPE	     (1U << 7)
#define RANK_BINDING(value)  ((value) << 5) /* 0 global, 1 weak, 2 local */
#define RANK_UNDERSCORES(n)  ((n) << 1)	    /* leading ones, at most 15 */
#define RANK_VERSIONED	     1U		    /* carries "@VERSION" in its table */
#define MAX_RANK_UNDERSCORES 15U

struct symbol_candidate {
	uint64_t start;
	uint64_t end;	/* start + st_size, cut at the section's end; start if the size is 0 */
	uint64_t limit; /* end of its section */
	const char *name;
	uint32_t name_length;
	uint32_t rank;
};

struct symbol_range {
	uint64_t start;
	uint64_t end;
	uint64_t symbol; /* address of the symbol that covers the range */
	uint32_t name;	 /* offset in the arena */
};

struct symbol_ranges {
	struct symbol_range *ranges; /* ascending, disjoint */
	size_t count;
	size_t symbol_count; /* distinct symbols that got a range */
	char *names;	     /* arena of NUL-terminated strings */
};

/* Sorts `candidates` in place. Returns 0 or -ENOMEM; the caller frees both pointers. */
int symbol_ranges__build(struct symbol_candidate *candidates, size_t count,
			 struct symbol_ranges *result);

#endif
