/* SPDX-License-Identifier: Apache-2.0 */
#include "system_calls.h"

#include <stddef.h>

static const char *const names[] = {
#include "system_call_names.h" /* the Makefile's, of the kernel's headers */
};

const char *system_call__name(int64_t number)
{
	return number >= 0 && number < (int64_t)(sizeof(names) / sizeof(names[0])) ? names[number]
										   : NULL;
}
