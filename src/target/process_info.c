/* SPDX-License-Identifier: Apache-2.0 */
/* See process_info.h. Field numbers are those of proc(5), /proc/[pid]/stat. */
#include "process_info.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PF_KTHREAD	      0x00200000  /* include/linux/sched.h, all versions since 2.6.27 */
#define INITIAL_PID_NAMESPACE 0xeffffffcu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */
#define MAX_THREADS	      (4U << 20)  /* the largest pid_max */

enum stat_field {
	STAT_STATE = 3,
	STAT_PPID = 4,
	STAT_FLAGS = 9,
	STAT_UTIME = 14,
	STAT_STIME = 15,
	STAT_STARTTIME = 22,
	STAT_FIELDS,
};

struct stat_line {
	char comm[64];
	char state;
	uint64_t fields[STAT_FIELDS];
};

/* Reads a whole small file of /proc/PID as a string. Returns its length or negative errno. */
static ssize_t read_small(pid_t pid, const char *name, char *buffer, size_t size)
{
	char path[64];
	size_t length = 0;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	do {
		got = read(fd, buffer + length, size - 1 - length);
		if (got > 0)
			length += (size_t)got;
	} while (got > 0 && length < size - 1);
	if (got < 0) {
		got = -errno;
		close(fd);
		return got;
	}
	close(fd);
	buffer[length] = '\0';
	return (ssize_t)length;
}

/* A process chooses its name: bytes that a terminal might obey do not get further than here. */
static void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~') /* char may be signed: bytes from 0x80 are below */
			*text = '?';
	}
}

/* `name` is "stat", or that of a thread. */
static int read_stat(pid_t pid, const char *name, struct stat_line *line)
{
	char text[2048];
	char *open_paren, *close_paren, *p;
	ssize_t length;
	int field;

	memset(line, 0, sizeof(*line));
	length = read_small(pid, name, text, sizeof(text));
	if (length < 0)
		return (int)length;
	/* The name may itself contain parentheses and blanks: it ends at the last ')'. */
	open_paren = strchr(text, '(');
	close_paren = strrchr(text, ')');
	if (!open_paren || !close_paren || close_paren < open_paren || close_paren[1] != ' ')
		return -EPROTO;
	*close_paren = '\0';
	snprintf(line->comm, sizeof(line->comm), "%s", open_paren + 1);
	make_printable(line->comm);
	p = close_paren + 2;
	line->state = *p;
	if (*p)
		p++;
	for (field = STAT_STATE + 1; field < STAT_FIELDS; field++) {
		char *end;

		line->fields[field] = strtoull(p, &end, 10);
		if (end == p)
			return -EPROTO;
		p = end;
	}
	return 0;
}

/* The second number of a status line such as "Uid:\t1000\t1001\t..." is the effective id. */
static bool status_number(const char *status, const char *key, int index, long *value)
{
	const char *line = strstr(status, key);
	char *end;

	if (!line)
		return false;
	line += strlen(key);
	do {
		*value = strtol(line, &end, 10);
		if (end == line)
			return false;
		line = end;
	} while (index-- > 0);
	return true;
}

static void read_exe(struct process_info *info)
{
	static const char suffix[] = " (deleted)";
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)info->pid);
	length = readlink(path, info->exe, sizeof(info->exe) - 1);
	if (length < 0) {
		info->exe_error = -errno;
		length = 0;
	}
	info->exe[length] = '\0';
	if ((size_t)length > sizeof(suffix) - 1 &&
	    strcmp(info->exe + length - (sizeof(suffix) - 1), suffix) == 0) {
		info->exe[length - (ssize_t)(sizeof(suffix) - 1)] = '\0';
		info->exe_deleted = true;
	}
}

int process_info__read(pid_t pid, struct process_info *info)
{
	char status[4096];
	struct stat_line line;
	long number;
	ssize_t length;
	int err;

	memset(info, 0, sizeof(*info));
	err = read_stat(pid, "stat", &line);
	if (err)
		return err;
	length = read_small(pid, "status", status, sizeof(status));
	if (length < 0)
		return (int)length;
	info->pid = pid;
	if (!status_number(status, "\nTgid:", 0, &number))
		return -EPROTO;
	info->tgid = (pid_t)number;
	if (!status_number(status, "\nUid:", 1, &number))
		return -EPROTO;
	info->uid = (uid_t)number;
	memcpy(info->comm, line.comm, sizeof(info->comm));
	info->state = line.state;
	info->is_zombie = line.state == 'Z' || line.state == 'X';
	info->parent = (pid_t)line.fields[STAT_PPID];
	info->is_kernel_thread = (line.fields[STAT_FLAGS] & PF_KTHREAD) != 0;
	info->start_ticks = line.fields[STAT_STARTTIME];
	read_exe(info);
	return 0;
}

int process_info__thread(pid_t pid, pid_t tid, struct thread_info *info)
{
	struct stat_line line;
	char name[32];
	int err;

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	err = read_stat(pid, name, &line);
	if (err)
		return err;
	memcpy(info->comm, line.comm, sizeof(info->comm));
	info->state = line.state;
	info->start_ticks = line.fields[STAT_STARTTIME];
	return 0;
}

static int compare_pids(const void *a, const void *b)
{
	pid_t left = *(const pid_t *)a, right = *(const pid_t *)b;

	return (left > right) - (left < right);
}

int process_info__threads(pid_t pid, pid_t **tids, size_t *count)
{
	size_t capacity = 0, used = 0;
	struct dirent *entry;
	pid_t *list = NULL;
	char path[64];
	DIR *directory;
	int err = 0;

	*tids = NULL;
	*count = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	directory = opendir(path);
	if (!directory)
		return errno == ENOENT ? -ESRCH : -errno;
	while (used < MAX_THREADS && (errno = 0, entry = readdir(directory))) {
		char *end;
		long tid = strtol(entry->d_name, &end, 10);

		if (*end || tid <= 0)
			continue;
		if (used == capacity) {
			size_t wanted = capacity ? capacity * 2 : 16;
			pid_t *grown = reallocarray(list, wanted, sizeof(*grown));

			if (!grown) {
				err = -ENOMEM;
				goto out;
			}
			list = grown;
			capacity = wanted;
		}
		list[used++] = (pid_t)tid;
	}
	/* The process may have gone between opendir and here. */
	if (used == 0) {
		err = errno && errno != ENOENT ? -errno : -ESRCH;
		goto out;
	}
	qsort(list, used, sizeof(*list), compare_pids);
	*tids = list;
	*count = used;
	list = NULL;
out:
	free(list);
	closedir(directory);
	return err;
}

uint64_t process_info__cpu_time_ns(pid_t pid)
{
	struct stat_line line;
	struct timespec time;
	clockid_t clock;

	/* The process's CPU clock counts in nanoseconds and includes threads that have exited;
	 * schedstat has the first but not the second, stat the second in ticks of 10 ms. */
	if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &time) == 0)
		return (uint64_t)time.tv_sec * 1000000000ULL + (uint64_t)time.tv_nsec;
	if (read_stat(pid, "stat", &line))
		return 0;
	return (line.fields[STAT_UTIME] + line.fields[STAT_STIME]) *
	       (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint32_t process_info__pid_namespace(void)
{
	struct stat status;

	if (stat("/proc/self/ns/pid", &status) != 0 || status.st_ino == INITIAL_PID_NAMESPACE)
		return 0;
	return (uint32_t)status.st_ino;
}

int process_info__check_proc(void)
{
	char self[32];
	ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);

	if (length < 0)
		return -EXDEV;
	self[length] = '\0';
	return strtol(self, NULL, 10) == getpid() ? 0 : -EXDEV;
}
