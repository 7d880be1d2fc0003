/* SPDX-License-Identifier: Apache-2.0 */
#include "puc.h"

#include <errno.h>

#include "lua_texts.h"
#include "puc_code.h"
#include "puc_flow.h"
#include "puc_release.h"

/* Functions that may have such a jump table (several small ones in a row look like one): each is
 * decoded, for a millisecond or two. Those that have it are analysed, for ten times as long. */
#define MAX_CANDIDATES 64u
#define MAX_ANALYSED   8u
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

int puc__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
	      struct puc_build *build)
{
	unsigned int candidates = 0, analysed = 0, least, told;
	struct lua_versions versions;
	struct puc_image image;
	size_t i;
	int err;

	err = lua_texts__versions(elf, -1, &versions);
	if (err)
		return err;
	if (!versions.puc[0] && !versions.puc_short[0])
		return -ENOENT;
	told = puc_release__of(versions.puc);
	if (puc_layout__get(told ? told : puc_release__newest(versions.puc_short), build) != 0)
		return -EINVAL;
	err = puc_image__open(&image, elf);
	if (err)
		return err == -ENOMEM ? err : -EINVAL;
	least = opcodes_of(build->release) - SPARE_OPCODES;
	err = -EINVAL;
	for (i = 0; err == -EINVAL && i < table->function_count && candidates < MAX_CANDIDATES &&
		    analysed < MAX_ANALYSED;
	     i++) {
		const struct unwind_function function = table->functions[i];

		if (!puc_code__may_be(&image, &function, least))
			continue;
		candidates++;
		err = examine(&image, table, rules, &function, told != 0, build, &analysed);
	}
	puc_image__close(&image);
	return err == -EIO ? -EINVAL : err;
}
