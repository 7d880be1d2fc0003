/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler_errors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "privileges.h"

void sampler_errors__print(int err)
{
	char why[PRIVILEGES_TEXT_BYTES];
	struct utsname kernel;

	if (uname(&kernel) != 0)
		snprintf(kernel.release, sizeof(kernel.release), "unknown");
	if (err == -EACCES && privileges__complete()) {
		/* What is not permitted is -EPERM; this comes from the verifier. */
		fprintf(stderr,
			"luaspy: the kernel's BPF verifier refused luaspy's programs. That is not "
			"a "
			"matter of privileges but a mistake in luaspy, or in this kernel (%s). "
			"Please report it with what -v shows.\n",
			kernel.release);
	} else if (err == -EPERM || err == -EACCES) {
		privileges__explain(why, sizeof(why));
		fprintf(stderr, "luaspy: not permitted to load BPF programs: %s\n", why);
	} else if (err == -EXDEV) {
		fprintf(stderr, "luaspy: /proc is not mounted, or is that of another PID namespace "
				"than luaspy's, so that processes have other numbers in it. Start "
				"the container with --pid=host, or mount the right one (unshare "
				"--mount-proc).\n");
	} else if (err == -ENOMEM) {
		fprintf(stderr, "luaspy: out of memory for the BPF maps (about 30 MB).\n");
	} else {
		fprintf(stderr,
			"luaspy: the BPF programs do not load on Linux %s: %s. It has to be 5.10 "
			"or newer with BPF and BTF (CONFIG_BPF_SYSCALL, CONFIG_DEBUG_INFO_BTF); -v "
			"shows what the kernel says.\n",
			kernel.release, strerror(-err));
	}
}
