/* SPDX-License-Identifier: Apache-2.0 */
#include "puc_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/contract.h"
#include "x86_code.h"

#define MAX_CALLEES 512u
#define MAX_DEPTH   4u
#define MAX_CALLEE  (4u << 10)	 /* bytes of code that is decoded; errors are raised by less */
#define MAX_DECODED (512u << 10) /* of all callees */

_Static_assert(PUC_CALLER_SAVED == (1u << DW_REG_RAX | 1u << DW_REG_RDX | 1u << DW_REG_RCX |
				    1u << DW_REG_RSI | 1u << DW_REG_RDI | 0xfu << DW_REG_R8),
	       "System V psABI, figure 3.4");

static int examine(struct puc_calls *self, uint64_t entry, unsigned int depth,
		   struct puc_callee *callee);

/* Another function that is called or jumped to. */
static int follow(struct puc_calls *self, uint64_t entry, unsigned int depth,
		  struct puc_callee *callee, bool jumps)
{
	struct puc_callee other;
	int err = examine(self, entry, depth + 1, &other);

	if (err)
		return err;
	callee->clobbers |= other.clobbers;
	callee->returns |= jumps && other.returns;
	return 0;
}

static int examine_code(struct puc_calls *self, const struct unwind_function *function,
			const struct x86_code *code, unsigned int depth, struct puc_callee *callee)
{
	const struct x86_instruction *i;
	bool outside;
	size_t at;
	int err = 0;

	for (at = 0; !err && at < code->count; at++) {
		i = &code->instructions[at];
		callee->clobbers |= i->writes & PUC_CALLER_SAVED;
		outside = i->target < function->start || i->target >= function->end;
		switch (i->op) {
		case X86_RETURN:
			callee->returns = true;
			break;
		case X86_CALL:
			if (i->target)
				err = follow(self, i->target, depth, callee, false);
			else
				callee->clobbers = PUC_CALLER_SAVED;
			break;
		case X86_JUMP:
		case X86_BRANCH:
			if (!i->target) {
				callee->clobbers = PUC_CALLER_SAVED;
				callee->returns = true;
			} else if (outside) {
				err = follow(self, i->target, depth, callee, true);
			}
			break;
		}
	}
	return err;
}

static int examine(struct puc_calls *self, uint64_t entry, unsigned int depth,
		   struct puc_callee *callee)
{
	const struct unwind_function *function = unwind_table__function_at(self->table, entry);
	const uint8_t *text;
	struct x86_code code;
	uint64_t size;
	size_t i;
	int err;

	for (i = 0; i < self->count; i++) {
		if (self->known[i].entry == entry) {
			*callee = self->known[i];
			return 0;
		}
	}
	*callee =
		(struct puc_callee){.entry = entry, .clobbers = PUC_CALLER_SAVED, .returns = true};
	size = function ? function->end - function->start : 0;
	if (!size || size > MAX_CALLEE || depth > MAX_DEPTH || self->count == MAX_CALLEES ||
	    self->decoded + size > MAX_DECODED)
		return 0;
	text = puc_image__bytes(self->image, function->start, size);
	if (!text)
		return 0;
	self->decoded += size;
	/* A function that calls itself is known as the worst until it has been seen whole. */
	i = self->count++;
	self->known[i] = *callee;
	err = x86_code__decode(text, size, function->start, &code);
	if (err)
		return err;
	callee->clobbers = 0;
	callee->returns = false;
	err = examine_code(self, function, &code, depth, callee);
	x86_code__free(&code);
	self->known[i] = *callee;
	return err;
}

int puc_calls__get(struct puc_calls *self, uint64_t entry, struct puc_callee *callee)
{
	if (!self->known) {
		self->known = calloc(MAX_CALLEES, sizeof(*self->known));
		if (!self->known)
			return -ENOMEM;
	}
	return examine(self, entry, 0, callee);
}

void puc_calls__free(struct puc_calls *self)
{
	free(self->known);
	memset(self, 0, sizeof(*self));
}
