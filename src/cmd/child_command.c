/* SPDX-License-Identifier: Apache-2.0 */
#include "child_command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "privileges.h"

/* In the child: waits for the word to start. The parent's end being closed means that there will be
 * none. */
static void run(char **argv, int go_fd, int error_fd)
{
	struct capabilities saved;
	char go;
	int err;

	if (read(go_fd, &go, 1) != 1)
		_exit(127);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	/* The kernel gives the command what its user has, whatever is in effect here; but where the
	 * command lies is the user's say. */
	privileges__become_user(&saved);
	execvp(argv[0], argv);
	err = errno;
	if (write(error_fd, &err, sizeof(err)) != sizeof(err))
		_exit(126);
	_exit(127);
}

int child_command__fork(struct child_command *self, char **argv)
{
	int go[2], error[2];

	memset(self, 0, sizeof(*self));
	if (pipe2(go, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(error, O_CLOEXEC) != 0) {
		close(go[0]);
		close(go[1]);
		return -errno;
	}
	self->pid = fork();
	if (self->pid == 0) {
		close(go[1]);
		close(error[0]);
		run(argv, go[0], error[1]);
	}
	close(go[0]);
	close(error[1]);
	self->go_fd = go[1];
	self->error_fd = error[0];
	return self->pid < 0 ? -errno : 0;
}

int child_command__start(struct child_command *self)
{
	int err = 0;
	ssize_t n;

	if (write(self->go_fd, "g", 1) != 1)
		err = errno;
	/* Closed by a successful exec; otherwise it brings the reason. */
	do
		n = read(self->error_fd, &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	close(self->go_fd);
	close(self->error_fd);
	if (err)
		waitpid(self->pid, NULL, 0);
	return -err;
}

bool child_command__ended(struct child_command *self, bool wait)
{
	if (self->pid <= 0 || self->ended)
		return self->ended;
	if (waitpid(self->pid, &self->status, wait ? 0 : WNOHANG) == self->pid)
		self->ended = true;
	return self->ended;
}

int child_command__exit_status(const struct child_command *self)
{
	if (WIFSIGNALED(self->status))
		return 128 + WTERMSIG(self->status);
	return WEXITSTATUS(self->status);
}

void child_command__abandon(struct child_command *self)
{
	if (self->pid <= 0)
		return;
	close(self->go_fd);
	close(self->error_fd);
	waitpid(self->pid, NULL, 0);
	self->pid = 0;
}
