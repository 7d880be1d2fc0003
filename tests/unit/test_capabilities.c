/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up capabilities, in child processes: with whatever this test was started with, none of it
 * included. What they are good for is shown by tests/live/test_privileges.py.
 */
#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/privileges.h"
#include "target/capabilities.h"
#include "../test.h"

/* Runs `body` in a child, whose failed checks fail the test. */
static void in_child(void (*body)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		body();
		fflush(stdout);
		_exit(test_failures_in_case ? 1 : 0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
}

static void drop_most(void)
{
	struct capabilities before, after;
	uint64_t keep = CAPABILITY_BIT(CAP_SYS_PTRACE) | CAPABILITY_BIT(CAP_KILL);

	CHECK_EQ(capabilities__get(&before), 0);
	CHECK_EQ(capabilities__drop(keep, CAPABILITY_BIT(CAP_KILL)), 0);
	CHECK_EQ(capabilities__get(&after), 0);
	CHECK_EQ(after.permitted, (before.permitted & keep));
	CHECK_EQ(after.effective, (before.permitted & CAPABILITY_BIT(CAP_KILL)));
	CHECK_EQ(after.inheritable & ~keep, 0u);
	CHECK_EQ(capabilities__ambient(), 0);
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	/* What was only lowered comes back, what was given up does not. */
	CHECK_EQ(capabilities__raise(CAP_SYS_PTRACE),
		 ((before.permitted & CAPABILITY_BIT(CAP_SYS_PTRACE)) != 0));
	CHECK(!capabilities__raise(CAP_CHOWN));
	after.permitted |= CAPABILITY_BIT(CAP_CHOWN);
	CHECK_EQ(capabilities__set(&after), -EPERM);
}

static void raise_and_lower(void)
{
	struct capabilities set, lowered;

	capabilities__get(&set);
	capabilities__lower(CAP_DAC_READ_SEARCH);
	capabilities__get(&lowered);
	CHECK_EQ(lowered.effective & CAPABILITY_BIT(CAP_DAC_READ_SEARCH), 0u);
	CHECK_EQ(lowered.permitted, set.permitted);
	CHECK_EQ(capabilities__raise(CAP_DAC_READ_SEARCH),
		 ((set.permitted & CAPABILITY_BIT(CAP_DAC_READ_SEARCH)) != 0));
	/* It is in effect now, or may not be: in either case nothing is to be lowered again. */
	CHECK(!capabilities__raise(CAP_DAC_READ_SEARCH));
}

static void become_user_and_self(void)
{
	struct capabilities before, saved, inside, after;
	uint64_t files = CAPABILITY_BIT(CAP_DAC_OVERRIDE) | CAPABILITY_BIT(CAP_DAC_READ_SEARCH) |
			 CAPABILITY_BIT(CAP_FOWNER);

	capabilities__get(&before);
	privileges__become_user(&saved);
	capabilities__get(&inside);
	privileges__become_self(&saved);
	capabilities__get(&after);
	CHECK_EQ(inside.effective, (geteuid() == 0 ? before.permitted & files : 0));
	CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
}

static void needs_less_and_less(void)
{
	struct privileges_needs needs = {.new_targets = true};
	struct capabilities with, without;

	CHECK_EQ(privileges__drop(&needs), 0);
	capabilities__get(&with);
	needs.new_targets = false;
	CHECK_EQ(privileges__drop(&needs), 0);
	capabilities__get(&without);
	CHECK_EQ(without.permitted, (with.permitted & ~CAPABILITY_BIT(CAP_PERFMON)));
	CHECK_EQ(with.permitted & CAPABILITY_BIT(CAP_SYSLOG), 0u);
	CHECK_EQ(with.permitted & CAPABILITY_BIT(CAP_DAC_OVERRIDE), 0u);
	CHECK_EQ(with.permitted & CAPABILITY_BIT(CAP_SETUID), 0u);
}

static void table(void)
{
	struct privilege rows[PRIVILEGES_MAX];
	size_t count = privileges__read(rows), i;
	bool all = true, optional = false;
	char text[PRIVILEGES_TEXT_BYTES];

	CHECK(count >= 6 && count <= PRIVILEGES_MAX);
	for (i = 0; i < count; i++) {
		CHECK(strncmp(rows[i].name, "CAP_", 4) == 0);
		CHECK(*rows[i].purpose && *rows[i].lost);
		CHECK(!(optional && rows[i].needed)); /* the needed ones come first */
		optional |= !rows[i].needed;
		all &= rows[i].have || !rows[i].needed;
	}
	CHECK(!rows[0].have == !privileges__have(CAP_BPF));
	CHECK_EQ(privileges__complete(), all);
	privileges__explain(text, sizeof(text));
	CHECK(strlen(text) > 40 && strlen(text) < sizeof(text) - 1);
	CHECK_EQ(strstr(text, "missing capability: CAP_") != NULL, !all);
	privileges__explain(text, 32);
	CHECK_EQ(strlen(text), 31u);
}

static void dropping(void)
{
	in_child(drop_most);
}

static void raising(void)
{
	in_child(raise_and_lower);
}

static void becoming(void)
{
	in_child(become_user_and_self);
}

static void recording(void)
{
	in_child(needs_less_and_less);
}

int main(void)
{
	RUN(dropping, "what is dropped does not come back");
	RUN(raising, "one is raised and lowered");
	RUN(becoming, "the user's rights, and back");
	RUN(recording, "what a recording keeps");
	RUN(table, "the table, and the explanation");
	return TEST_RESULT();
}
