/* SPDX-License-Identifier: Apache-2.0 */
/* See nginx_config.h. */
#include "nginx_config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A failed add leaves hh.tbl NULL instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "nginx_conf.h"
#include "target/process_info.h"
#include "target/root_file.h"
#include "target_text.h"

#define MAX_PATHS	 2048
#define MAX_INCLUDES	 16384 /* snippets of some lines are included by each of many servers */
#define MAX_SNIPPETS	 16384 /* each name is compared with all of them */
#define MAX_BYTES	 (64UL << 20)
#define MAX_DEPTH	 16
#define MAX_ENTRIES	 16384 /* of folders that patterns lead to */
#define MAX_COMMAND_LINE 8192

/* A file, or a pattern for files, that was asked for. */
struct path {
	UT_hash_handle hh;
	char text[];
};

struct nginx_config {
	struct path *paths;
	size_t file_count; /* of those that were there */
	size_t include_count;
	struct nginx_snippet *snippets;
	size_t snippet_count;
	size_t snippet_capacity;
	char folder[PATH_MAX]; /* of the main file: relative paths start there */
	struct text_budget *budget;
	struct text_budget taken; /* of it */
	size_t entries;
};

/* One file being scanned. */
struct reading {
	struct nginx_config *config;
	const struct target_root *root;
	const char *path;
	uint64_t changed_ns;
	int depth;
};

static int read_file(struct nginx_config *self, const struct target_root *root, const char *path,
		     int depth);

/* ---- chunk names ----------------------------------------------------------------------------- */

bool nginx_chunk_name__parse(const char *name, size_t size, struct nginx_chunk_name *out)
{
	static const char suffix[] = "_by_lua", block[] = "_block";
	size_t length = 1, colon;

	memset(out, 0, sizeof(*out));
	if (size < 1 || name[0] != '=')
		return false;
	while (length < size &&
	       ((name[length] >= 'a' && name[length] <= 'z') || name[length] == '_'))
		length++;
	out->directive = name + 1;
	out->directive_size = length - 1;
	if (out->directive_size > sizeof(block) - 1 &&
	    memcmp(name + length - (sizeof(block) - 1), block, sizeof(block) - 1) == 0)
		out->directive_size -= sizeof(block) - 1;
	if (out->directive_size < sizeof(suffix) ||
	    memcmp(out->directive + out->directive_size - (sizeof(suffix) - 1), suffix,
		   sizeof(suffix) - 1) != 0)
		return false;
	if (length == size)
		return true;
	if (name[length] != '(' || name[size - 1] != ')')
		return false;
	out->path = name + length + 1;
	for (colon = size - 2; colon > length && name[colon] >= '0' && name[colon] <= '9';)
		colon--;
	if (name[colon] != ':' || size - 2 - colon > 9 || colon == size - 2)
		return false;
	out->line = (uint32_t)strtoul(name + colon + 1, NULL, 10);
	out->path_size = (size_t)(name + colon - out->path);
	if (out->path_size > 3 && memcmp(out->path, "...", 3) == 0) {
		out->path_is_cut = true;
		out->path += 3;
		out->path_size -= 3;
	}
	if (out->path_size > 2 && memcmp(out->path, "./", 2) == 0) {
		out->path += 2;
		out->path_size -= 2;
	}
	return out->path_size > 0;
}

static bool matches(const struct nginx_snippet *snippet, const struct nginx_chunk_name *name)
{
	size_t length, start;

	if (name->path_size && snippet->line != name->line)
		return false;
	if (strlen(snippet->directive) != name->directive_size ||
	    memcmp(snippet->directive, name->directive, name->directive_size) != 0)
		return false;
	if (!name->path_size)
		return true;
	length = strlen(snippet->path);
	if (length < name->path_size)
		return false;
	start = length - name->path_size;
	if (memcmp(snippet->path + start, name->path, name->path_size) != 0)
		return false;
	return start == 0 || name->path_is_cut || snippet->path[start - 1] == '/';
}

const struct nginx_snippet *nginx_config__next(const struct nginx_config *self,
					       const struct nginx_chunk_name *name,
					       const struct nginx_snippet *previous)
{
	size_t i = previous ? (size_t)(previous - self->snippets) + 1 : 0;

	for (; i < self->snippet_count; i++) {
		if (matches(&self->snippets[i], name))
			return &self->snippets[i];
	}
	return NULL;
}

/* ---- one file -------------------------------------------------------------------------------- */

static int add_snippet(void *data, const char *directive, size_t directive_size, uint32_t line,
		       const char *text, size_t size)
{
	struct reading *reading = data;
	struct nginx_config *config = reading->config;
	struct nginx_snippet *snippet;
	size_t taken;
	int err;

	if (config->snippet_count == MAX_SNIPPETS)
		return 0;
	if (config->snippet_count == config->snippet_capacity) {
		size_t wanted = config->snippet_capacity ? config->snippet_capacity * 2 : 16;
		void *grown = reallocarray(config->snippets, wanted, sizeof(*config->snippets));

		if (!grown)
			return -ENOMEM;
		config->snippets = grown;
		config->snippet_capacity = wanted;
	}
	snippet = &config->snippets[config->snippet_count];
	*snippet = (struct nginx_snippet){
		.path = reading->path, .changed_ns = reading->changed_ns, .line = line};
	snippet->directive = strndup(directive, directive_size);
	if (!snippet->directive)
		return -ENOMEM;
	err = lua_source__parse(text, size, &snippet->source);
	if (err) {
		free(snippet->directive);
		return err;
	}
	/* With what the small blocks of memory take besides their contents. */
	taken = lua_source__size(snippet->source) + sizeof(*snippet) + directive_size + 64;
	if (!text_budget__keep(config->budget, taken)) {
		lua_source__free(snippet->source);
		free(snippet->directive);
		return 0;
	}
	config->taken.kept += taken;
	config->snippet_count++;
	return 0;
}

/*
 * 1 if nobody has asked for this file or pattern yet, 0 if so or if there are too many, or -ENOMEM.
 * Before the file system is asked for it: a configuration can include one file, or one that is not
 * there, as often as it likes.
 */
static int add_path(struct nginx_config *self, const char *text, const struct path **out)
{
	size_t size = strlen(text);
	struct path *path;

	HASH_FIND(hh, self->paths, text, size, path);
	if (path || HASH_COUNT(self->paths) >= MAX_PATHS)
		return 0;
	path = calloc(1, sizeof(*path) + size + 1);
	if (!path)
		return -ENOMEM;
	memcpy(path->text, text, size);
	HASH_ADD(hh, self->paths, text, size, path);
	if (!path->hh.tbl) {
		free(path);
		return -ENOMEM;
	}
	if (out)
		*out = path;
	return 1;
}

/* Opens a folder below the target's root; see root_file.c. */
static DIR *open_folder(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	DIR *folder;
	int fd;

	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		while (*path == '/')
			path++;
		fd = openat(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return NULL;
	folder = fdopendir(fd);
	if (!folder)
		close(fd);
	return folder;
}

/*
 * Reads all files that `pattern`, an absolute path, leads to: one part with wildcards after the
 * other, each by listing the folder before it.
 */
static int read_pattern(struct reading *reading, const char *pattern, int depth)
{
	char path[PATH_MAX], part[NAME_MAX + 1];
	const char *wildcard = pattern + strcspn(pattern, "*?[");
	const char *start = wildcard, *end;
	struct dirent *entry;
	DIR *folder;
	int err;

	if (!*wildcard)
		return read_file(reading->config, reading->root, pattern, reading->depth + 1);
	err = add_path(reading->config, pattern, NULL);
	if (err <= 0)
		return err;
	err = 0;
	while (start > pattern && start[-1] != '/')
		start--;
	end = wildcard + strcspn(wildcard, "/");
	if (depth > MAX_DEPTH || end - start > NAME_MAX || start - pattern >= PATH_MAX)
		return 0;
	snprintf(part, sizeof(part), "%.*s", (int)(end - start), start);
	snprintf(path, sizeof(path), "%.*s", (int)(start - pattern), pattern);
	folder = open_folder(reading->root->fd, path);
	if (!folder)
		return 0;
	while (!err && reading->config->entries < MAX_ENTRIES && (entry = readdir(folder))) {
		reading->config->entries++;
		/* A name with a wildcard in it would be taken for a pattern again. */
		if (fnmatch(part, entry->d_name, FNM_PERIOD) != 0 ||
		    entry->d_name[strcspn(entry->d_name, "*?[")])
			continue;
		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)(start - pattern), pattern,
			     entry->d_name, end) < (int)sizeof(path))
			err = read_pattern(reading, path, depth + 1);
	}
	closedir(folder);
	return err;
}

static int add_include(void *data, const char *pattern)
{
	struct reading *reading = data;
	char path[PATH_MAX];

	if (reading->config->include_count++ >= MAX_INCLUDES ||
	    !target_root__absolute(reading->config->folder, pattern, path))
		return 0;
	return read_pattern(reading, path, 0);
}

/* Returns 0 also for a file that cannot be read, or -ENOMEM. */
static int read_file(struct nginx_config *self, const struct target_root *root, const char *path,
		     int depth)
{
	struct reading reading = {.config = self, .root = root, .depth = depth};
	struct nginx_conf_visitor visitor = {&reading, add_snippet, add_include};
	struct stat before, after;
	const struct path *file;
	char *text = NULL;
	size_t size, left;
	int fd, err;

	if (depth > MAX_DEPTH || self->taken.read > MAX_BYTES)
		return 0;
	err = add_path(self, path, &file);
	if (err <= 0)
		return err;
	fd = root_file__open(root->fd, path, &before);
	if (fd < 0)
		return 0;
	self->file_count++;
	left = self->budget->read;
	err = target_text__read(fd, self->budget, &text, &size);
	self->taken.read += left - self->budget->read;
	if (err) {
		if (err != -ENOMEM)
			err = 0;
		goto out;
	}
	reading.path = file->text;
	reading.changed_ns = UINT64_MAX;
	if (fstat(fd, &after) == 0 &&
	    target_text__changed_ns(&before) == target_text__changed_ns(&after))
		reading.changed_ns = target_text__changed_ns(&after);
	err = nginx_conf__scan(text, size, &visitor);
out:
	free(text);
	close(fd);
	return err;
}

/* ---- the whole configuration ----------------------------------------------------------------- */

/* Reads the command line as a list of strings that ends with an empty one. Returns its size. */
static size_t read_command_line(pid_t pid, char line[MAX_COMMAND_LINE])
{
	char path[64];
	ssize_t got;
	int fd;

	memset(line, 0, MAX_COMMAND_LINE);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, line, MAX_COMMAND_LINE - 2);
	close(fd);
	return got > 0 ? (size_t)got : 0;
}

/* The value of -c or -p, attached or in the next argument; NULL if there is none. */
static const char *option_value(const char *line, size_t size, char option)
{
	const char *end = line + size;

	for (const char *word = line; word < end; word += strlen(word) + 1) {
		if (word[0] != '-' || word[1] != option)
			continue;
		if (word[2])
			return word + 2;
		word += 3;
		return word < end && *word ? word : NULL;
	}
	return NULL;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Whether `file` of /proc/PID is the same for both. */
static bool have_same(pid_t left, pid_t right, const char *file)
{
	struct stat status[2];
	pid_t pids[2] = {left, right};
	char path[64];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pids[i], file);
		if (stat(path, &status[i]) != 0)
			return false;
	}
	return status[0].st_dev == status[1].st_dev && status[0].st_ino == status[1].st_ino;
}

/*
 * A worker's command line is only a title; its master's has the arguments behind one. Anybody can
 * have such a title: a parent is the master only if it says so too, and sees the same files or runs
 * the same program, so that no process leads us to the files of one that it has nothing to do with.
 */
static pid_t find_master(pid_t pid, char line[MAX_COMMAND_LINE], size_t *size)
{
	static const char title[] = "nginx: ", master_title[] = "nginx: master process ";
	struct process_info *info = NULL;
	char *its_line = NULL;
	size_t its_size;

	*size = read_command_line(pid, line);
	if (!starts_with(line, title))
		return pid;
	if (!starts_with(line, master_title)) {
		info = malloc(sizeof(*info));
		its_line = malloc(MAX_COMMAND_LINE);
		if (!info || !its_line || process_info__read(pid, info) != 0 || info->parent <= 0)
			goto out;
		its_size = read_command_line(info->parent, its_line);
		if (!starts_with(its_line, master_title) ||
		    (!have_same(pid, info->parent, "ns/mnt") &&
		     !have_same(pid, info->parent, "exe")))
			goto out;
		memcpy(line, its_line, MAX_COMMAND_LINE);
		*size = its_size;
		pid = info->parent;
	}
	for (size_t i = 0; i < *size; i++)
		line[i] = line[i] == ' ' ? '\0' : line[i];
out:
	free(its_line);
	free(info);
	return pid;
}

/* Makes the file the main one if it exists. */
static int try_main(struct nginx_config *self, const struct target_root *root, const char *folder,
		    const char *path)
{
	char absolute[PATH_MAX];
	char *slash;

	if (self->file_count || !target_root__absolute(folder, path, absolute))
		return 0;
	memcpy(self->folder, absolute, sizeof(absolute));
	slash = strrchr(self->folder, '/');
	if (slash)
		*slash = '\0';
	if (!self->folder[0])
		memcpy(self->folder, "/", 2);
	return read_file(self, root, absolute, 0);
}

static int read_main(struct nginx_config *self, const struct target_root *root, const char *line,
		     size_t size)
{
	static const char *const places[] = {
		"/etc/nginx/nginx.conf",
		"/usr/local/openresty/nginx/conf/nginx.conf",
		"/etc/openresty/nginx.conf",
		"/usr/local/nginx/conf/nginx.conf",
	};
	const char *file = option_value(line, size, 'c'), *prefix = option_value(line, size, 'p');
	char folder[PATH_MAX] = "", program[PATH_MAX];
	char *slash;
	int err = 0;

	if (prefix && !target_root__absolute(root->cwd, prefix, folder))
		folder[0] = '\0';
	/* What the program was built to use: the folder above its own, as it is installed. */
	memcpy(program, root->executable, sizeof(program));
	for (int i = 0; i < 2; i++) {
		slash = strrchr(program, '/');
		if (slash)
			*slash = '\0';
	}
	if (file) {
		err = try_main(self, root, folder[0] ? folder : program, file);
		if (!err && !folder[0])
			err = try_main(self, root, "/etc/nginx", file);
		return err;
	}
	if (folder[0])
		err = try_main(self, root, folder, "conf/nginx.conf");
	if (!err && folder[0])
		err = try_main(self, root, folder, "nginx.conf");
	if (!err)
		err = try_main(self, root, program, "conf/nginx.conf");
	for (size_t i = 0; !err && i < sizeof(places) / sizeof(places[0]); i++)
		err = try_main(self, root, "", places[i]);
	return err;
}

int nginx_config__read(pid_t pid, struct text_budget *budget, struct nginx_config **out)
{
	struct target_root root = {.fd = -1};
	char line[MAX_COMMAND_LINE];
	struct nginx_config *self;
	size_t size;
	int err;

	*out = NULL;
	self = calloc(1, sizeof(*self));
	if (!self)
		return -ENOMEM;
	self->budget = budget;
	err = target_root__open(&root, find_master(pid, line, &size));
	if (!err)
		err = read_main(self, &root, line, size);
	if (!err && !self->file_count)
		err = -ENOENT;
	target_root__close(&root);
	if (err) {
		nginx_config__free(self);
		return err;
	}
	*out = self;
	return 0;
}

int nginx_config__add_file(struct nginx_config *self, pid_t pid, const char *path)
{
	struct target_root root;
	int err = target_root__open(&root, pid);

	if (!err)
		err = read_file(self, &root, path, 0);
	target_root__close(&root);
	return err;
}

void nginx_config__free(struct nginx_config *self)
{
	struct path *path, *next;

	if (!self)
		return;
	for (size_t i = 0; i < self->snippet_count; i++) {
		free(self->snippets[i].directive);
		lua_source__free(self->snippets[i].source);
	}
	free(self->snippets);
	HASH_ITER (hh, self->paths, path, next) {
		HASH_DEL(self->paths, path); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(path);
	}
	self->budget->read += self->taken.read;
	self->budget->kept += self->taken.kept;
	free(self);
}
