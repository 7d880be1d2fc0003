/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/contract.h"
#include "x86_code.h"

#define MAX_CALLEES 1024u
#define MAX_EDGES   16384u
#define MAX_CALLEE  (4u << 10)	 /* bytes of code that is decoded; errors are raised by less */
#define MAX_DECODED (256u << 10) /* of all callees */

_Static_assert(PUC_CALLER_SAVED == (1u << DW_REG_RAX | 1u << DW_REG_RDX | 1u << DW_REG_RCX |
				    1u << DW_REG_RSI | 1u << DW_REG_RDI | 0xfu << DW_REG_R8),
	       "System V psABI, figure 3.4");

/* [endbr64] [bnd] jmp *slot(%rip): the address of `slot`; 0 for other code. */
static uint64_t stub_slot(struct puc_image *image, uint64_t entry)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *code = puc_image__bytes(image, entry, 11);
	size_t at = 0;
	int32_t disp;

	if (!code)
		return 0;
	if (memcmp(code, endbr64, sizeof(endbr64)) == 0)
		at = sizeof(endbr64);
	if (code[at] == 0xf2)
		at++;
	if (code[at] != 0xff || code[at + 1] != 0x25)
		return 0;
	memcpy(&disp, code + at + 2, sizeof(disp));
	return entry + at + 6 + (uint64_t)(int64_t)disp;
}

/* Stubs are known by their own address, other code by where its FDE begins; 0 for none. */
static uint64_t start_of(const struct puc_calls *self, uint64_t entry)
{
	const struct unwind_function *function;

	if (stub_slot(self->image, entry))
		return entry;
	function = unwind_table__function_at(self->table, entry);
	return function ? function->start : 0;
}

static ptrdiff_t find(const struct puc_calls *self, uint64_t start)
{
	size_t i;

	for (i = 0; i < self->count; i++) {
		if (self->callees[i].start == start)
			return (ptrdiff_t)i;
	}
	return -1;
}

/* Its index, or -1 for code of which nothing can be known. */
static ptrdiff_t add(struct puc_calls *self, uint64_t entry)
{
	uint64_t start = start_of(self, entry);
	ptrdiff_t index = start ? find(self, start) : -1;

	if (!start || index >= 0 || self->count == MAX_CALLEES)
		return index;
	self->callees[self->count].start = start;
	return (ptrdiff_t)self->count++;
}

static void assume_worst(struct puc_callee *callee)
{
	callee->clobbers = PUC_CALLER_SAVED;
	callee->returns = true;
}

static void follow(struct puc_calls *self, uint32_t from, uint64_t entry, bool jumps)
{
	ptrdiff_t to = add(self, entry);

	if (to >= 0 && self->edge_count < MAX_EDGES) {
		self->edges[self->edge_count++] =
			(struct puc_calls_edge){from, (uint32_t)to, jumps};
		return;
	}
	self->callees[from].clobbers = PUC_CALLER_SAVED;
	self->callees[from].returns |= jumps;
}

static void examine_code(struct puc_calls *self, uint32_t index,
			 const struct unwind_function *function, const struct x86_code *code)
{
	struct puc_callee *callee = &self->callees[index];
	const struct x86_instruction *i;
	bool outside;
	size_t at;

	for (at = 0; at < code->count; at++) {
		i = &code->instructions[at];
		callee->clobbers |= i->writes & PUC_CALLER_SAVED;
		outside = i->target < function->start || i->target >= function->end;
		if (i->op == X86_RETURN)
			callee->returns = true;
		else if (i->op == X86_CALL && i->target)
			follow(self, index, i->target, false);
		else if (i->op == X86_CALL)
			callee->clobbers = PUC_CALLER_SAVED;
		else if ((i->op == X86_JUMP || i->op == X86_BRANCH) && !i->target)
			assume_worst(callee);
		else if ((i->op == X86_JUMP || i->op == X86_BRANCH) && outside)
			follow(self, index, i->target, true);
	}
}

static int examine(struct puc_calls *self, uint32_t index)
{
	struct puc_callee *callee = &self->callees[index];
	const struct unwind_function *function;
	uint64_t slot = stub_slot(self->image, callee->start), size;
	struct x86_code code;
	const uint8_t *text;
	int err;

	function = unwind_table__function_at(self->table, callee->start);
	size = function ? function->end - function->start : 0;
	if (slot || !size || size > MAX_CALLEE || self->decoded + size > MAX_DECODED) {
		assume_worst(callee);
		callee->returns = !slot || !puc_image__never_returns(self->image, slot);
		return 0;
	}
	text = puc_image__bytes(self->image, function->start, size);
	if (!text) {
		assume_worst(callee);
		return 0;
	}
	self->decoded += size;
	err = x86_code__decode(text, size, function->start, &code);
	if (err)
		return err;
	examine_code(self, index, function, &code);
	x86_code__free(&code);
	return 0;
}

int puc_calls__open(struct puc_calls *self, struct puc_image *image,
		    const struct unwind_table *table)
{
	memset(self, 0, sizeof(*self));
	self->image = image;
	self->table = table;
	self->callees = calloc(MAX_CALLEES, sizeof(*self->callees));
	self->edges = calloc(MAX_EDGES, sizeof(*self->edges));
	return self->callees && self->edges ? 0 : -ENOMEM;
}

void puc_calls__free(struct puc_calls *self)
{
	free(self->callees);
	free(self->edges);
	memset(self, 0, sizeof(*self));
}

void puc_calls__add(struct puc_calls *self, uint64_t entry)
{
	add(self, entry);
}

int puc_calls__solve(struct puc_calls *self)
{
	struct puc_callee *from;
	const struct puc_callee *to;
	bool changed = true;
	uint16_t clobbers;
	uint32_t index;
	size_t i;
	int err;

	/* Callees are added behind the last while this runs. */
	for (index = 0; index < self->count; index++) {
		err = examine(self, index);
		if (err)
			return err;
	}
	while (changed) {
		changed = false;
		for (i = 0; i < self->edge_count; i++) {
			from = &self->callees[self->edges[i].from];
			to = &self->callees[self->edges[i].to];
			clobbers = from->clobbers | to->clobbers;
			changed |= clobbers != from->clobbers;
			from->clobbers = clobbers;
			if (self->edges[i].jumps && to->returns && !from->returns) {
				from->returns = true;
				changed = true;
			}
		}
	}
	return 0;
}

struct puc_callee puc_calls__get(const struct puc_calls *self, uint64_t entry)
{
	struct puc_callee callee = {};
	uint64_t start = start_of(self, entry);
	ptrdiff_t index = start ? find(self, start) : -1;

	if (index >= 0)
		return self->callees[index];
	assume_worst(&callee);
	return callee;
}
