/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own capabilities as the kernel keeps them (capabilities(7)): read, raised for a moment, given
 * up. Which of them luaspy wants and why is cmd/privileges.h's matter.
 *
 * The kernel keeps them per thread. Only the main thread raises any; the one that loads the BPF
 * programs (sample/bpf_loading.c) has ended when they are given up for good.
 */
#ifndef LUASPY_CAPABILITIES_H
#define LUASPY_CAPABILITIES_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

/* Linux 5.8 and 5.9; the build machine's headers may be older. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif
#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

#define CAPABILITY_BIT(number) (1ull << (number))

/* Bit n is capability number n. */
struct capabilities {
	uint64_t effective, permitted, inheritable;
};

/* 0 or a negative errno; nothing is held then. */
int capabilities__get(struct capabilities *self);

/* 0, or -EPERM for what is not permitted: then nothing has changed. */
int capabilities__set(const struct capabilities *self);

/* Those that a program executed by us would have: the user's own, where they do not come from the
 * file that is executed. */
uint64_t capabilities__ambient(void);

/*
 * Makes one that is permitted effective. False when it was, or may not be: then there is nothing to
 * be lowered.
 */
bool capabilities__raise(int number);
void capabilities__lower(int number);

/*
 * Gives up for good all but `keep`, also for programs that would be executed: effective are those
 * of `effective`, permitted and inheritable those of `keep`, ambient none. The bounding set is cut
 * down where that is permitted, and no execution gives any back (PR_SET_NO_NEW_PRIVS). 0 or a
 * negative errno.
 */
int capabilities__drop(uint64_t keep, uint64_t effective);

#endif
