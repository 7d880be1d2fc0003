/* SPDX-License-Identifier: Apache-2.0 */
/* See capabilities.h. */
#include "capabilities.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_CAPABILITIES 64

/* Version 3 of the interface: 64 bits as two elements of 32, the low ones first. */
#define WORDS _LINUX_CAPABILITY_U32S_3

int capabilities__get(struct capabilities *self)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[WORDS];
	int i;

	*self = (struct capabilities){};
	if (syscall(SYS_capget, &header, data) != 0)
		return -errno;
	for (i = 0; i < WORDS; i++) {
		self->effective |= (uint64_t)data[i].effective << (32 * i);
		self->permitted |= (uint64_t)data[i].permitted << (32 * i);
		self->inheritable |= (uint64_t)data[i].inheritable << (32 * i);
	}
	return 0;
}

int capabilities__set(const struct capabilities *self)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[WORDS];
	int i;

	for (i = 0; i < WORDS; i++) {
		data[i].effective = (uint32_t)(self->effective >> (32 * i));
		data[i].permitted = (uint32_t)(self->permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(self->inheritable >> (32 * i));
	}
	return syscall(SYS_capset, &header, data) == 0 ? 0 : -errno;
}

uint64_t capabilities__ambient(void)
{
	uint64_t set = 0;
	int i;

	for (i = 0; i < MAX_CAPABILITIES; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			set |= CAPABILITY_BIT(i);
	}
	return set;
}

bool capabilities__raise(int number)
{
	struct capabilities set;

	if (capabilities__get(&set) != 0 || set.effective & CAPABILITY_BIT(number) ||
	    !(set.permitted & CAPABILITY_BIT(number)))
		return false;
	set.effective |= CAPABILITY_BIT(number);
	return capabilities__set(&set) == 0;
}

void capabilities__lower(int number)
{
	struct capabilities set;

	/* The kernel refuses nobody to have less. */
	if (capabilities__get(&set) != 0)
		return;
	set.effective &= ~CAPABILITY_BIT(number);
	capabilities__set(&set);
}

int capabilities__drop(uint64_t keep, uint64_t effective)
{
	struct capabilities set;
	int i, err;

	err = capabilities__get(&set);
	if (err)
		return err;
	/* Needs CAP_SETPCAP, so it comes first. Without it the next two lines are the barrier. */
	for (i = 0; i < MAX_CAPABILITIES; i++) {
		if (!(keep & CAPABILITY_BIT(i)) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return -errno;
	set.permitted &= keep;
	set.inheritable &= keep;
	set.effective = set.permitted & effective;
	return capabilities__set(&set);
}
