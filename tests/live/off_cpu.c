/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks in known ways, each in a function and a thread of its own, and measures by its own clock
 * how long; for test_offcpu.py. Waits for a line on stdin, works for about two seconds, prints
 * "FUNCTION MICROSECONDS" for each, and waits until stdin is closed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS	 40
#define PAUSE_NS 40000000l

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *file_name;

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void nap(long ns)
{
	struct timespec t = {.tv_nsec = ns};

	nanosleep(&t, NULL);
}

/* Writes a byte now and then, so that somebody else can wait for it. */
static void *feed(void *fd)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		nap(PAUSE_NS);
		if (write(*(int *)fd, "x", 1) != 1)
			abort();
	}
	return NULL;
}

static pthread_t feeder(int *fd)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, feed, fd) != 0)
		abort();
	return thread;
}

__attribute__((noinline)) static long wait_for_time(void)
{
	long start = now_us();
	int i;

	for (i = 0; i < ROUNDS; i++)
		nap(PAUSE_NS);
	return now_us() - start;
}

__attribute__((noinline)) static long read_pipe(int fd)
{
	long start = now_us();
	char c;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (read(fd, &c, 1) != 1)
			abort();
	}
	return now_us() - start;
}

__attribute__((noinline)) static long receive_from_socket(int fd)
{
	long start = now_us();
	char c;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (recv(fd, &c, 1, 0) != 1)
			abort();
	}
	return now_us() - start;
}

__attribute__((noinline)) static long wait_for_events(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0), i;
	long start;
	char c;

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	start = now_us();
	for (i = 0; i < ROUNDS; i++) {
		if (epoll_wait(epoll, &event, 1, -1) != 1 || read(fd, &c, 1) != 1)
			abort();
	}
	close(epoll);
	return now_us() - start;
}

/* Holds the lock most of the time. */
static void *hold_lock(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		nap(PAUSE_NS);
		pthread_mutex_unlock(&mutex);
		nap(1000000);
	}
	return arg;
}

__attribute__((noinline)) static long take_lock(void)
{
	long start = now_us();
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
		nap(2000000);
	}
	return now_us() - start;
}

__attribute__((noinline)) static long write_to_disk(void)
{
	int fd = open(file_name, O_CREAT | O_WRONLY | O_TRUNC, 0600), i;
	static char block[1 << 16];
	long start = now_us();

	for (i = 0; i < ROUNDS; i++) {
		if (write(fd, block, sizeof(block)) != sizeof(block) || fsync(fd) != 0)
			abort();
	}
	close(fd);
	return now_us() - start;
}

struct job {
	const char *name;
	long us;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct job *job = arg;
	int fds[2];
	pthread_t other;

	if (strcmp(job->name, "wait_for_time") == 0) {
		job->us = wait_for_time();
	} else if (strcmp(job->name, "take_lock") == 0) {
		if (pthread_create(&other, NULL, hold_lock, NULL) != 0)
			abort();
		job->us = take_lock();
		pthread_join(other, NULL);
	} else if (strcmp(job->name, "write_to_disk") == 0) {
		job->us = write_to_disk();
	} else {
		if (job->name[2] == 'c' ? socketpair(AF_UNIX, SOCK_STREAM, 0, fds) : pipe(fds))
			abort();
		other = feeder(&fds[1]);
		if (strcmp(job->name, "read_pipe") == 0)
			job->us = read_pipe(fds[0]);
		else if (strcmp(job->name, "receive_from_socket") == 0)
			job->us = receive_from_socket(fds[0]);
		else
			job->us = wait_for_events(fds[0]);
		pthread_join(other, NULL);
	}
	return NULL;
}

/* A thread that does not come back until the end. */
__attribute__((noinline)) static void *never_comes_back(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	struct job jobs[] = {{"wait_for_time"},	  {"read_pipe"}, {"receive_from_socket"},
			     {"wait_for_events"}, {"take_lock"}, {"write_to_disk"}};
	const size_t count = sizeof(jobs) / sizeof(jobs[0]);
	pthread_t idle;
	char line[16];
	size_t i;

	if (argc != 2)
		return 2;
	file_name = argv[1];
	if (pthread_create(&idle, NULL, never_comes_back, NULL) != 0)
		return 1;
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (i = 0; i < count; i++) {
		if (pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) != 0)
			return 1;
	}
	for (i = 0; i < count; i++) {
		pthread_join(jobs[i].thread, NULL);
		printf("%s %ld\n", jobs[i].name, jobs[i].us);
	}
	printf("done\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
