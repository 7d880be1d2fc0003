/* SPDX-License-Identifier: Apache-2.0 */
/* See puc_release.h. Offsets as in puc_layout.c. */
#include "puc_release.h"

#include <ctype.h>
#include <string.h>

/* lua_State.hookmask of 5.4.3: behind base_ci, hook, errfunc and four integers. */
#define HOOKMASK_54 192

unsigned int puc_release__of(const char *version)
{
	unsigned int numbers[3] = {0}, count;

	if (strncmp(version, "Lua ", 4) != 0)
		return 0;
	version += 4;
	for (count = 0; count < 3; count++) {
		if (count && *version++ != '.')
			return 0;
		if (!isdigit((unsigned char)*version))
			return 0;
		while (isdigit((unsigned char)*version) && numbers[count] < 100)
			numbers[count] = 10 * numbers[count] + (unsigned int)(*version++ - '0');
		if (numbers[count] > 99)
			return 0;
		if (*version == '\0') {
			count++;
			break;
		}
	}
	if (*version != '\0' || count < 2)
		return 0;
	/* The first one of 5.1 has no third number. */
	if (count < 3 && (numbers[0] != 5 || numbers[1] != 1))
		return 0;
	return 10000 * numbers[0] + 100 * numbers[1] + numbers[2];
}

unsigned int puc_release__newest(const char *version)
{
	static const struct {
		const char *version;
		unsigned int release;
	} newest[] = {
		{"Lua 5.1", 50100}, /* as 5.1.0 calls itself; all of 5.1 have one layout */
		{"Lua 5.2", 50204}, {"Lua 5.3", 50306}, {"Lua 5.4", 50408}, {"Lua 5.5", 50500},
	};
	size_t i;

	for (i = 0; i < sizeof(newest) / sizeof(newest[0]); i++) {
		if (strcmp(version, newest[i].version) == 0)
			return newest[i].release;
	}
	return 0;
}

static bool refers_to(const struct puc_state *state, const struct x86_instruction *i,
		      enum puc_kind kind, int field)
{
	const struct puc_value *base = i->base < 16 ? &state->registers[i->base] : NULL;

	return base && base->kind == kind && i->index == X86_NO_REG &&
	       base->offset + (int64_t)i->disp == field;
}

static bool is_evidence(const struct puc_analysis *self, const struct x86_instruction *i)
{
	if (self->build->release / 100 == 503)
		return (i->op == X86_STORE || i->op == X86_STORE_OTHER || i->op == X86_STORE_IMM) &&
		       refers_to(&self->now, i, PUC_IS_CI, self->build->ci_callstatus);
	return refers_to(&self->now, i, PUC_IS_L, HOOKMASK_54);
}

static bool is_in_block(struct puc_analysis *self, uint32_t block)
{
	const struct puc_code *code = self->code;
	uint32_t at;

	self->now = self->in[block];
	for (at = code->blocks[block].first; at < code->blocks[block].end; at++) {
		puc_state__frame(&self->now, unwind_rules__get(self->rules, code->rules[at]));
		if (is_evidence(self, &code->code.instructions[at]))
			return true;
		puc_state__execute(&self->now, code, at, self->build, self->kinds[at]);
	}
	return false;
}

bool puc_release__is_newest(struct puc_analysis *self)
{
	uint32_t block;

	switch (self->build->release / 100) {
	case 503:
		return is_in_block(self, self->entry);
	case 504:
		for (block = 0; block < self->code->block_count; block++) {
			if (self->in[block].reached && is_in_block(self, block))
				return true;
		}
		return false;
	}
	return true;
}
