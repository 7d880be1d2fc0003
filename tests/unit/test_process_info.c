/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about processes: ourselves, a thread, a zombie, a kernel thread. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "target/process_info.h"

static void we_know_ourselves(void)
{
	struct process_info info;
	char exe[PATH_MAX] = "";

	CHECK(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	CHECK_EQ(process_info__read(getpid(), &info), 0);
	CHECK_EQ(info.pid, getpid());
	CHECK_EQ(info.tgid, getpid());
	CHECK_EQ(info.parent, getppid());
	CHECK_EQ(info.uid, geteuid());
	CHECK_EQ(info.state, 'R');
	CHECK(!info.is_kernel_thread && !info.is_zombie && !info.exe_deleted);
	CHECK(info.start_ticks > 0);
	CHECK_EQ(info.exe_error, 0);
	CHECK_STR(info.exe, exe);
}

static void a_name_cannot_imitate_other_fields(void)
{
	struct process_info info;

	prctl(PR_SET_NAME, "a) Z 1 (b\nUid:");
	CHECK_EQ(process_info__read(getpid(), &info), 0);
	CHECK_STR(info.comm, "a) Z 1 (b?Uid:");
	CHECK_EQ(info.state, 'R');
	CHECK_EQ(info.parent, getppid());
	CHECK_EQ(info.uid, geteuid());
	prctl(PR_SET_NAME, "test");
}

static void a_name_cannot_steer_a_terminal(void)
{
	struct process_info info;

	/* ESC, CSI as one byte and as UTF-8, DEL. */
	prctl(PR_SET_NAME, "\033[2J\x9b"
			   "1m\xc2\x9b"
			   "0m\177~");
	CHECK_EQ(process_info__read(getpid(), &info), 0);
	CHECK_STR(info.comm, "?[2J?1m??0m?~");
	prctl(PR_SET_NAME, "test");
}

struct thread {
	sem_t started;
	sem_t stop;
	pid_t tid;
};

static void *thread_main(void *argument)
{
	struct thread *thread = argument;

	thread->tid = (pid_t)syscall(SYS_gettid);
	sem_post(&thread->started);
	sem_wait(&thread->stop);
	return NULL;
}

static void threads_are_listed_and_told_from_processes(void)
{
	struct thread_info own;
	struct process_info info;
	struct thread thread;
	pthread_t id;
	pid_t *tids = NULL;
	size_t count = 0;

	sem_init(&thread.started, 0, 0);
	sem_init(&thread.stop, 0, 0);
	CHECK_EQ(pthread_create(&id, NULL, thread_main, &thread), 0);
	sem_wait(&thread.started);
	CHECK_EQ(process_info__threads(getpid(), &tids, &count), 0);
	CHECK_EQ(count, 2);
	if (count == 2) {
		CHECK_EQ(tids[0] < tids[1], 1);
		CHECK(tids[0] == thread.tid || tids[1] == thread.tid);
	}
	free(tids);
	CHECK_EQ(process_info__read(thread.tid, &info), 0);
	CHECK_EQ(info.pid, thread.tid);
	CHECK_EQ(info.tgid, getpid());
	CHECK_EQ(process_info__thread(getpid(), thread.tid, &own), 0);
	CHECK_STR(own.comm, info.comm);
	CHECK_EQ(own.start_ticks, info.start_ticks);
	CHECK(own.state == 'S' || own.state == 'R');
	CHECK_EQ(process_info__thread(getppid(), thread.tid, &own), (uint64_t)-ESRCH);
	sem_post(&thread.stop);
	pthread_join(id, NULL);
}

static void a_zombie_and_a_dead_process(void)
{
	struct process_info info;
	siginfo_t status;
	pid_t child = fork(), *tids;
	size_t count;

	if (child == 0)
		_exit(0);
	waitid(P_PID, (id_t)child, &status, WEXITED | WNOWAIT);
	CHECK_EQ(process_info__read(child, &info), 0);
	CHECK(info.is_zombie && !info.is_kernel_thread);
	CHECK_EQ(info.parent, getpid());
	CHECK_STR(info.exe, "");
	CHECK_EQ(info.exe_error, (uint64_t)-ENOENT);
	waitpid(child, NULL, 0);
	CHECK_EQ(process_info__read(child, &info), (uint64_t)-ESRCH);
	CHECK_EQ(process_info__threads(child, &tids, &count), (uint64_t)-ESRCH);
	CHECK(tids == NULL && count == 0);
	CHECK_EQ(process_info__cpu_time_ns(child), 0);
}

static void a_kernel_thread_is_recognised(void)
{
	struct process_info info;

	if (process_info__read(2, &info) || strcmp(info.comm, "kthreadd") != 0)
		SKIP("cannot: kernel threads are not visible here");
	CHECK(info.is_kernel_thread);
	CHECK_STR(info.exe, "");
}

static void *spin(void *argument)
{
	struct timespec now;

	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec == 0 && now.tv_nsec < 60000000);
	return NULL;
}

static void cpu_time_includes_threads_that_have_exited(void)
{
	uint64_t before = process_info__cpu_time_ns(getpid()), after, ours;
	struct timespec now;
	pthread_t id;

	CHECK_EQ(pthread_create(&id, NULL, spin, NULL), 0);
	pthread_join(id, NULL);
	after = process_info__cpu_time_ns(getpid());
	CHECK(after - before >= 50000000);
	CHECK(after - before < 5000000000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	ours = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	CHECK(after <= ours && ours - after < 100000000);
}

static void what_is_not_ours_to_see_is_said(void)
{
	struct process_info info;
	pid_t child;
	int status = -1;

	if (geteuid() != 0)
		SKIP("cannot: not root, which could become somebody else");
	child = fork();
	if (child == 0) {
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(process_info__read(getppid(), &info) == 0 && info.exe_error == -EACCES &&
				      info.uid == 0
			      ? 0
			      : 1);
	}
	waitpid(child, &status, 0);
	CHECK_EQ(status, 0);
}

int main(void)
{
	RUN(we_know_ourselves, "we know ourselves");
	RUN(a_name_cannot_imitate_other_fields, "a name cannot imitate other fields");
	RUN(a_name_cannot_steer_a_terminal, "a name cannot steer a terminal");
	RUN(threads_are_listed_and_told_from_processes, "threads are listed, with their process");
	RUN(a_zombie_and_a_dead_process, "a zombie and a dead process");
	RUN(a_kernel_thread_is_recognised, "a kernel thread is recognised");
	RUN(cpu_time_includes_threads_that_have_exited, "CPU time includes threads that exited");
	RUN(what_is_not_ours_to_see_is_said, "a process that is not ours: exe is -EACCES");
	return TEST_RESULT();
}
