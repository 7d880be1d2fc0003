/* SPDX-License-Identifier: Apache-2.0 */
/* See lua_names.h. */
#include "lua_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A failed add leaves hh.tbl NULL instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "nginx_config.h"
#include "target/root_file.h"
#include "target_text.h"

#define MAX_CHUNKS     65536 /* a process can make up as many chunk names as it likes */
#define MAX_NAMES      (1U << 20)
#define MAX_NAME_BYTES (64UL << 20)
#define MAX_TEXTS      16

/* A name that was given out. */
struct name {
	UT_hash_handle hh;
	char text[];
};

/* A source file; one for all processes that have it. */
struct source_file {
	struct source_file *next;
	struct stat status;
	struct lua_source *source; /* NULL: it is none, */
	int err;		   /* which is why */
};

struct process {
	UT_hash_handle hh;
	pid_t pid;
	uint64_t start_ns;
	bool nginx_was_read;
	struct nginx_config *nginx; /* NULL if there is none */
};

/* A chunk of a process with a name that leads to a source elsewhere. */
struct chunk {
	UT_hash_handle hh;
	const struct process *process;
	const struct source_file *file; /* NULL: none, or nginx's */
	struct lua_chunk_fit *fit;	/* of a relative path to a file */
	enum lua_names_reason reason;	/* why there is no file */
	bool is_nginx;
	char key[]; /* the pid's bytes and the chunk name */
};

/* A chunk that was loaded from a string. */
struct text {
	char *text;
	size_t size;
	struct lua_source *source;
};

struct lua_names {
	struct name *names;
	struct name *changed; /* names of chunks */
	size_t name_bytes;    /* of both */
	struct text_budget budget;
	struct source_file *files;
	struct lua_chunk_fit *fits; /* which outlive their chunks */
	struct process *processes;
	struct chunk *chunks;
	struct text texts[MAX_TEXTS];
	unsigned int next_text;
};

struct lua_names *lua_names__new(void)
{
	struct lua_names *self = calloc(1, sizeof(*self));

	if (self)
		self->budget =
			(struct text_budget){.read = TEXT_BUDGET_READ, .kept = TEXT_BUDGET_KEPT};
	return self;
}

static void free_chunk(struct lua_names *self, struct chunk *chunk)
{
	HASH_DEL(self->chunks, chunk); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
	free(chunk);
}

static void free_process(struct lua_names *self, struct process *process)
{
	HASH_DEL(self->processes, process); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
	nginx_config__free(process->nginx);
	free(process);
}

static void free_names(struct name **names)
{
	struct name *name, *next;

	HASH_ITER (hh, *names, name, next) {
		HASH_DEL(*names, name); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(name);
	}
}

void lua_names__free(struct lua_names *self)
{
	struct process *process, *next_process;
	struct chunk *chunk, *next_chunk;
	struct lua_chunk_fit *fit;
	struct source_file *file;

	if (!self)
		return;
	HASH_ITER (hh, self->chunks, chunk, next_chunk) {
		free_chunk(self, chunk);
	}
	HASH_ITER (hh, self->processes, process, next_process) {
		free_process(self, process);
	}
	free_names(&self->names);
	free_names(&self->changed);
	while ((file = self->files)) {
		self->files = file->next;
		lua_source__free(file->source);
		free(file);
	}
	while ((fit = self->fits)) {
		self->fits = fit->next;
		free(fit);
	}
	for (size_t i = 0; i < MAX_TEXTS; i++) {
		free(self->texts[i].text);
		lua_source__free(self->texts[i].source);
	}
	free(self);
}

void lua_names__forget(struct lua_names *self, pid_t pid)
{
	struct process *process;
	struct chunk *chunk, *next;

	HASH_FIND(hh, self->processes, &pid, sizeof(pid), process);
	if (!process)
		return;
	HASH_ITER (hh, self->chunks, chunk, next) {
		if (chunk->process == process)
			free_chunk(self, chunk);
	}
	free_process(self, process);
}

size_t lua_names__changed(const struct lua_names *self)
{
	return HASH_COUNT(self->changed);
}

bool lua_names__exceeded(const struct lua_names *self)
{
	return self->budget.exceeded;
}

const char *lua_names__changed_name(const struct lua_names *self, size_t i)
{
	const struct name *name = self->changed;

	while (name && i--)
		name = name->hh.next;
	return name ? name->text : NULL;
}

/* Our own copy of a name, in one of the tables. Sources may go, names stay. */
static const char *intern(struct lua_names *self, struct name **names, const char *text,
			  size_t size)
{
	struct name *name;

	HASH_FIND(hh, *names, text, size, name);
	if (name)
		return name->text;
	if (HASH_COUNT(*names) >= MAX_NAMES || self->name_bytes + size > MAX_NAME_BYTES)
		return NULL;
	name = calloc(1, sizeof(*name) + size + 1);
	if (!name)
		return NULL;
	memcpy(name->text, text, size);
	HASH_ADD(hh, *names, text, size, name);
	if (!name->hh.tbl) {
		free(name);
		return NULL;
	}
	self->name_bytes += size;
	return name->text;
}

/* ---- strings --------------------------------------------------------------------------------- */

/* Of a chunk that is its own source. */
static const struct lua_source *source_of_text(struct lua_names *self,
					       const struct lua_chunk_name *chunk)
{
	struct text *slot;

	for (size_t i = 0; i < MAX_TEXTS; i++) {
		slot = &self->texts[i];
		if (slot->source && slot->size == chunk->size &&
		    memcmp(slot->text, chunk->text, chunk->size) == 0)
			return slot->source;
	}
	slot = &self->texts[self->next_text++ % MAX_TEXTS];
	free(slot->text);
	lua_source__free(slot->source);
	memset(slot, 0, sizeof(*slot));
	slot->text = malloc(chunk->size);
	if (!slot->text)
		return NULL;
	memcpy(slot->text, chunk->text, chunk->size);
	slot->size = chunk->size;
	if (lua_source__parse(chunk->text, chunk->size, &slot->source) != 0)
		return NULL;
	return slot->source;
}

static const char *find_in_text(struct lua_names *self, const struct lua_chunk_name *chunk,
				const struct lua_function_hint *hint, enum lua_names_reason *reason)
{
	const struct lua_source *source;

	source = chunk->size <= TARGET_TEXT_MAX_BYTES ? source_of_text(self, chunk) : NULL;
	if (!source) {
		*reason = LUA_NAMES_NO_MEMORY;
		return NULL;
	}
	*reason = LUA_NAMES_NOT_THERE;
	/* On the last line there may be more functions, in the part that was cut off. */
	if (chunk->cut && hint->last_line >= lua_source__line_count(source)) {
		*reason = LUA_NAMES_NO_SOURCE;
		return NULL;
	}
	return lua_source__name(source, hint);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool same_file(const struct stat *left, const struct stat *right)
{
	return left->st_dev == right->st_dev && left->st_ino == right->st_ino &&
	       left->st_size == right->st_size && left->st_mtim.tv_sec == right->st_mtim.tv_sec &&
	       left->st_mtim.tv_nsec == right->st_mtim.tv_nsec &&
	       left->st_ctim.tv_sec == right->st_ctim.tv_sec &&
	       left->st_ctim.tv_nsec == right->st_ctim.tv_nsec;
}

static int parse_file(struct lua_names *self, int fd, const struct stat *status,
		      const struct source_file **out)
{
	struct source_file *file = calloc(1, sizeof(*file));
	struct stat after;
	char *text = NULL;
	size_t size;
	int err;

	if (!file)
		return -ENOMEM;
	file->status = *status;
	err = target_text__read(fd, &self->budget, &text, &size);
	if (!err && (fstat(fd, &after) || !same_file(status, &after)))
		err = -ESTALE; /* it is being written to */
	if (!err && size && text[0] == '\033')
		err = -ENOEXEC; /* bytecode */
	if (!err)
		err = lua_source__parse(text, size, &file->source);
	if (!err && !text_budget__keep(&self->budget, lua_source__size(file->source)))
		err = -ENOSPC;
	if (!err || err == -ENOEXEC || err == -EFBIG) {
		file->err = err; /* for all processes that have it: it is read once */
		file->next = self->files;
		self->files = file;
		*out = file;
		file = NULL;
	}
	if (file)
		lua_source__free(file->source);
	free(file);
	free(text);
	return err;
}

/* The source file at `path`, as process `pid` sees it. */
static int open_file(struct lua_names *self, pid_t pid, const char *path,
		     const struct source_file **out)
{
	struct target_root root;
	char absolute[PATH_MAX];
	struct stat status;
	int fd, err;

	err = target_root__open(&root, pid);
	if (err)
		goto out;
	err = -ENOENT;
	if (!target_root__absolute(root.cwd, path, absolute))
		goto out;
	fd = root_file__open(root.fd, absolute, &status);
	if (fd < 0) {
		err = fd;
		goto out;
	}
	for (*out = self->files; *out; *out = (*out)->next) {
		if (same_file(&(*out)->status, &status))
			break;
	}
	err = *out ? (*out)->err : parse_file(self, fd, &status, out);
	if (err)
		*out = NULL;
	close(fd);
out:
	target_root__close(&root);
	return err;
}

static struct process *get_process(struct lua_names *self, pid_t pid)
{
	struct target_root root;
	struct process *process;

	HASH_FIND(hh, self->processes, &pid, sizeof(pid), process);
	if (process)
		return process;
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	if (target_root__open(&root, pid) == 0)
		process->start_ns = root.start_ns;
	target_root__close(&root);
	HASH_ADD(hh, self->processes, pid, sizeof(process->pid), process);
	if (!process->hh.tbl) {
		free(process);
		return NULL;
	}
	return process;
}

static bool is_relative(const char *name, size_t size)
{
	return size > 1 && name[0] == '@' && name[1] != '/';
}

static struct lua_chunk_fit *new_fit(struct lua_names *self)
{
	struct lua_chunk_fit *fit = calloc(1, sizeof(*fit));

	if (fit) {
		fit->next = self->fits;
		self->fits = fit;
	}
	return fit;
}

/* Reads what `chunk` will need. */
static void read_source(struct lua_names *self, struct process *process, struct chunk *chunk,
			const char *name, size_t size)
{
	struct nginx_chunk_name nginx;
	char *path = NULL;
	int err = 0;

	chunk->reason = LUA_NAMES_NO_SOURCE;
	if (name[0] == '=') {
		chunk->is_nginx = nginx_chunk_name__parse(name, size, &nginx);
		if (!chunk->is_nginx)
			return;
		if (!process->nginx_was_read)
			err = nginx_config__read(process->pid, &self->budget, &process->nginx);
		process->nginx_was_read = true;
		if (process->nginx && nginx.path_size && nginx.path[0] == '/' &&
		    !nginx_config__next(process->nginx, &nginx, NULL)) {
			path = strndup(nginx.path, nginx.path_size);
			err = path ? nginx_config__add_file(process->nginx, process->pid, path)
				   : -ENOMEM;
		}
	} else if (!memchr(name, '\0', size)) {
		path = strndup(name + 1, size - 1);
		err = path ? open_file(self, process->pid, path, &chunk->file) : -ENOMEM;
		if (err == -ESTALE)
			chunk->reason = LUA_NAMES_CHANGED;
		if (!err && is_relative(name, size)) {
			chunk->fit = new_fit(self);
			if (!chunk->fit) {
				chunk->file = NULL;
				err = -ENOMEM;
			}
		}
	}
	if (err == -ENOMEM || err == -ENOSPC)
		chunk->reason = LUA_NAMES_NO_MEMORY;
	free(path);
}

static struct chunk *get_chunk(struct lua_names *self, pid_t pid, const char *name, size_t size)
{
	size_t key_size = sizeof(pid) + size;
	struct process *process = get_process(self, pid);
	struct chunk *chunk, *found;

	if (!process)
		return NULL;
	chunk = calloc(1, sizeof(*chunk) + key_size);
	if (!chunk)
		return NULL;
	memcpy(chunk->key, &pid, sizeof(pid));
	memcpy(chunk->key + sizeof(pid), name, size);
	HASH_FIND(hh, self->chunks, chunk->key, key_size, found);
	if (found || HASH_COUNT(self->chunks) >= MAX_CHUNKS) {
		free(chunk);
		return found;
	}
	chunk->process = process;
	HASH_ADD(hh, self->chunks, key, key_size, chunk);
	if (!chunk->hh.tbl) {
		free(chunk);
		return NULL;
	}
	read_source(self, process, chunk, name, size);
	return chunk;
}

/* ---- finding --------------------------------------------------------------------------------- */

/* See lua_names.h for the rule. */
static const char *name_from(const struct chunk *chunk, const struct lua_source *source,
			     uint64_t changed_ns, const struct lua_function_hint *hint,
			     enum lua_names_reason *reason)
{
	*reason = changed_ns > chunk->process->start_ns ? LUA_NAMES_CHANGED : LUA_NAMES_NOT_THERE;
	return lua_source__name(source, hint);
}

static void note_fit(const struct chunk *chunk, const struct lua_function_hint *hint)
{
	struct lua_chunk_fit *fit = chunk->fit;

	if (!fit || !chunk->file)
		return;
	if (!lua_source__has(chunk->file->source, hint)) {
		fit->contradicted = true;
	} else if (fit->fitting < 2 && (!fit->fitting || fit->first_line != hint->first_line)) {
		fit->first_line = hint->first_line;
		fit->fitting++;
	}
}

/* Several directives can have one chunk name: then they have to agree. */
static const char *find_in_nginx(const struct chunk *chunk, const struct lua_chunk_name *name,
				 const struct lua_function_hint *hint,
				 enum lua_names_reason *reason)
{
	const struct nginx_config *config = chunk->process->nginx;
	const struct nginx_snippet *snippet = NULL;
	struct nginx_chunk_name nginx;
	enum lua_names_reason why;
	const char *found = NULL;

	*reason = chunk->reason;
	if (!config || !nginx_chunk_name__parse(name->text, name->size, &nginx))
		return NULL;
	while ((snippet = nginx_config__next(config, &nginx, snippet))) {
		const char *one =
			name_from(chunk, snippet->source, snippet->changed_ns, hint, &why);

		if (!found || why == LUA_NAMES_CHANGED)
			*reason = why;
		if (found && one && strcmp(found, one) != 0) {
			*reason = LUA_NAMES_NOT_THERE;
			return NULL;
		}
		if (one)
			found = one;
	}
	return found;
}

const char *lua_names__find(struct lua_names *self, pid_t pid, const struct lua_chunk_name *chunk,
			    const struct lua_function_hint *hint, enum lua_names_reason *reason,
			    const struct lua_chunk_fit **fit)
{
	enum lua_names_reason why = LUA_NAMES_NO_SOURCE;
	const char *name = NULL;
	struct chunk *known;

	if (fit)
		*fit = NULL;
	if (hint->first_line == 0) {
		name = LUA_SOURCE_MAIN_CHUNK;
		/* Its name needs no file, but it is one that fits or not. */
		known = !chunk->cut && is_relative(chunk->text, chunk->size)
				? get_chunk(self, pid, chunk->text, chunk->size)
				: NULL;
		if (known)
			note_fit(known, hint);
	} else if (chunk->size == 0 || chunk->text[0] == '\033' ||
		   (chunk->text[0] == '=' && chunk->cut)) {
		name = NULL;
	} else if (chunk->text[0] != '@' && chunk->text[0] != '=') {
		name = find_in_text(self, chunk, hint, &why);
	} else if (!chunk->cut) {
		known = get_chunk(self, pid, chunk->text, chunk->size);
		if (!known)
			why = LUA_NAMES_NO_MEMORY;
		else if (known->is_nginx)
			name = find_in_nginx(known, chunk, hint, &why);
		else if (known->file)
			name = name_from(known, known->file->source,
					 target_text__changed_ns(&known->file->status), hint, &why);
		else
			why = known->reason;
		if (known)
			note_fit(known, hint);
		if (known && fit)
			*fit = known->fit;
		if (known && why == LUA_NAMES_CHANGED)
			intern(self, &self->changed, chunk->text + 1, chunk->size - 1);
	}
	if (name) {
		if (why != LUA_NAMES_CHANGED)
			why = LUA_NAMES_FOUND;
		name = intern(self, &self->names, name, strlen(name));
		if (!name)
			why = LUA_NAMES_NO_MEMORY;
	}
	if (reason)
		*reason = why;
	return name;
}
