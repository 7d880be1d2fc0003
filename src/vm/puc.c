/* SPDX-License-Identifier: Apache-2.0 */
#include "puc.h"

#include <errno.h>
#include <time.h>

#include "lua_texts.h"
#include "puc_code.h"
#include "puc_flow.h"
#include "puc_release.h"

/* Functions that may have such a jump table (several small ones in a row look like one) are decoded
 * with what they call, for some 20 ms each. Those that have it are analysed, for about 5 ms. A
 * program of some megabytes has dozens of either. */
#define MAX_CANDIDATES 256u
#define MAX_ANALYSED   64u
/* The last opcodes do nothing: a compiler may leave them out of the table. */
#define SPARE_OPCODES 2u

/* lopcodes.h: NUM_OPCODES. */
static unsigned int opcodes_of(unsigned int release)
{
	switch (release / 100) {
	case 501:
		return 38;
	case 502:
		return 40;
	case 503:
		return 47;
	case 504:
		return 83;
	default:
		return 85;
	}
}

static int replace_rows(struct unwind_table *table, const struct puc_code *code,
			const struct puc_flow *flow)
{
	const struct unwind_row *rows = flow->rows;
	size_t part;
	int err = 0;

	for (part = 0; !err && part < code->part_count; part++) {
		err = unwind_table__replace(table, code->parts[part].start, code->parts[part].end,
					    rows, flow->row_counts[part]);
		rows += flow->row_counts[part];
	}
	return err;
}

static bool has_table(const struct puc_code *code, unsigned int entries)
{
	size_t i;

	for (i = 0; i < code->table_count; i++) {
		if (code->tables[i].count >= entries)
			return true;
	}
	return false;
}

static int examine(struct puc_image *image, struct unwind_table *table, struct unwind_rules *rules,
		   const struct unwind_function *function, bool is_told, struct puc_build *build,
		   unsigned int *analysed)
{
	struct puc_code code;
	struct puc_flow flow;
	int err;

	err = puc_code__open(&code, image, table, rules, function);
	if (err)
		return err;
	err = -EINVAL;
	if (has_table(&code, opcodes_of(build->release) - SPARE_OPCODES)) {
		++*analysed;
		err = puc_flow__analyse(&code, build, opcodes_of(build->release), rules, &flow);
	}
	if (!err) {
		err = is_told || flow.counts.is_newest ? replace_rows(table, &code, &flow)
						       : -EINVAL;
		puc_flow__free(&flow);
	}
	puc_code__close(&code);
	if (err)
		return err;
	build->execute_start = function->start;
	build->execute_end = function->end;
	return 0;
}

/* An instruction's opcode is its lowest bits: is anything in the function's code put through that
 * mask? Few functions with a jump table have it; all builds of luaV_execute that were looked at. */
static bool masks_opcode(struct puc_image *image, const struct unwind_function *function,
			 unsigned int release)
{
	uint8_t mask = release < 50400 ? 0x3f : 0x7f;
	uint64_t size = function->end - function->start, i;
	const uint8_t *text = puc_image__bytes(image, function->start, size);

	for (i = 0; text && i + 3 < size; i++) {
		/* and $mask, reg; ... of 8 bits; and $mask, %al; and $mask, %eax */
		if ((text[i] == 0x83 || text[i] == 0x80) && (text[i + 1] & 0xf8) == 0xe0 &&
		    text[i + 2] == mask)
			return true;
		if ((text[i] == 0x24 || text[i] == 0x25) && text[i + 1] == mask)
			return true;
	}
	return false;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct search {
	struct puc_image image;
	bool is_told; /* the file says of which release it is */
	uint64_t deadline_ns;
	unsigned int candidates, analysed;
};

static bool is_over(const struct search *self)
{
	return self->candidates >= MAX_CANDIDATES || self->analysed >= MAX_ANALYSED ||
	       cpu_ns() > self->deadline_ns;
}

/* Looks for luaV_execute among the functions with a jump table that mask opcodes, or do not. */
static int search(struct search *self, bool masking, struct unwind_table *table,
		  struct unwind_rules *rules, struct puc_build *build)
{
	unsigned int least = opcodes_of(build->release) - SPARE_OPCODES;
	int err = -EINVAL;
	size_t i;

	for (i = 0; err == -EINVAL && i < table->function_count && !is_over(self); i++) {
		const struct unwind_function function = table->functions[i];

		if (!puc_code__may_be(&self->image, &function, least) ||
		    masks_opcode(&self->image, &function, build->release) != masking)
			continue;
		self->candidates++;
		err = examine(&self->image, table, rules, &function, self->is_told, build,
			      &self->analysed);
	}
	return err;
}

int puc__find(Elf *elf, int fd, struct unwind_table *table, struct unwind_rules *rules,
	      struct puc_build *build)
{
	struct search self = {.deadline_ns = cpu_ns() + PUC_MAX_TIME_NS};
	struct lua_versions versions;
	unsigned int told;
	int err;

	err = lua_texts__versions(elf, fd, &versions);
	if (err)
		return err;
	if (!versions.puc[0] && !versions.puc_short[0])
		return -ENOENT;
	told = puc_release__of(versions.puc);
	self.is_told = told != 0;
	if (puc_layout__get(told ? told : puc_release__newest(versions.puc_short), build) != 0)
		return -EINVAL;
	err = puc_image__open(&self.image, elf);
	if (err)
		return err == -ENOMEM ? err : -EINVAL;
	err = search(&self, true, table, rules, build);
	if (err == -EINVAL)
		err = search(&self, false, table, rules, build);
	puc_image__close(&self.image);
	return err == -EIO ? -EINVAL : err;
}
