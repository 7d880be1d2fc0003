/* SPDX-License-Identifier: Apache-2.0 */
#include "puc.h"

#include <errno.h>

int puc__find(Elf *elf, struct unwind_table *table, struct unwind_rules *rules,
	      struct puc_build *build)
{
	return -ENOENT;
}
