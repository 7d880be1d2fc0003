/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel_version.h"

#include <stdio.h>
#include <sys/utsname.h>

unsigned int kernel_version(void)
{
	unsigned int major, minor;
	struct utsname kernel;

	if (uname(&kernel) != 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2)
		return 0;
	return KERNEL_VERSION_OF(major, minor);
}
