/* SPDX-License-Identifier: Apache-2.0 */
#include "record_files.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../output/text.h"
#include "privileges.h"

/* What would open them: those that are closed to us, those that are gone from their place. */
static const char *cure(bool closed, bool gone)
{
	if (closed && !privileges__have(CAP_SYS_PTRACE))
		return "CAP_SYS_PTRACE opens those of other users' processes, and root has it";
	if (closed && !privileges__have(CAP_DAC_READ_SEARCH))
		return gone ? "CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE open such files, and "
			      "root has both"
			    : "CAP_DAC_READ_SEARCH opens such files, and root has it";
	if (gone && !privileges__have(CAP_CHECKPOINT_RESTORE))
		return "CAP_CHECKPOINT_RESTORE opens such files, and root has it; or restart what "
		       "uses them";
	return "No capability is missing for it: a file system or a security module refuses it";
}

void record_files__warn(const struct modules *modules, uint32_t *next, FILE *out)
{
	const struct module *module, *first = NULL;
	bool closed = false, gone = false;
	unsigned int count = 0;

	for (; (module = modules__find(modules, *next)); ++*next) {
		if (module->error != -EACCES && module->error != -EPERM && module->error != -ESTALE)
			continue;
		closed |= module->error != -ESTALE;
		gone |= module->error == -ESTALE;
		if (!count++)
			first = module;
	}
	if (!count)
		return;
	fprintf(out, "luaspy: warning: ");
	text__write(out, first->path);
	if (count > 1)
		fprintf(out, " and %u other files", count - 1);
	fprintf(out,
		" of the targets could not be read (%s): what runs in %s is not unwound, and Lua "
		"in "
		"%s not seen. %s.\n",
		first->error == -ESTALE ? "deleted or replaced" : strerror(-first->error),
		count > 1 ? "them" : "it", count > 1 ? "them" : "it", cure(closed, gone));
}
