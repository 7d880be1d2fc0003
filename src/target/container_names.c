/* SPDX-License-Identifier: Apache-2.0 */
#include "container_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "process_info.h"
#include "small_file.h"

#define MAX_STATE_BYTES	 (16UL << 20)
#define MAX_MOUNTS_BYTES (256UL << 10)
#define MAX_NAME	 255
#define MAX_DEPTH	 32
#define MAX_NAMESPACES	 64
#define MAX_ANCESTORS	 64

struct named {
	char id[CONTAINER_ID_LENGTH + 1];
	char name[MAX_NAME + 1]; /* "" when it has none */
	UT_hash_handle hh;
};

struct container_names {
	int root_fd;
	struct named *by_id;
};

struct container_names *container_names__new(const char *root)
{
	struct container_names *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->root_fd = open(root ? root : "/proc/1/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (self->root_fd < 0 && !root)
		self->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return self;
}

void container_names__free(struct container_names *self)
{
	struct named *named, *next;

	if (!self)
		return;
	HASH_ITER (hh, self->by_id, named, next) {
		HASH_DEL(self->by_id, named); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
		free(named);
	}
	if (self->root_fd >= 0)
		close(self->root_fd);
	free(self);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* NULL when the file is not there, too large or no JSON. */
static struct json_object *read_json(const struct container_names *self, const char *path)
{
	struct json_object *object = NULL;
	struct json_tokener *tokener;
	size_t length;
	char *text;

	if (small_file__read_below(self->root_fd, path, MAX_STATE_BYTES, &text) != 0)
		return NULL;
	length = strlen(text);
	tokener = length < INT_MAX ? json_tokener_new_ex(MAX_DEPTH) : NULL;
	if (tokener) {
		object = json_tokener_parse_ex(tokener, text, (int)length);
		json_tokener_free(tokener);
	}
	free(text);
	return object;
}

/* The string `key` of an object; NULL when there is none. */
static const char *string_of(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
	    !json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* A name that does not fit is none: what is left of it would be another's. */
static bool take(struct named *named, const char *name)
{
	if (!name || !*name || strlen(name) > MAX_NAME)
		return false;
	snprintf(named->name, sizeof(named->name), "%s", name);
	return true;
}

/* ---- Docker ---------------------------------------------------------------------------------- */

static bool read_docker_config(const struct container_names *self, const char *folder,
			       struct named *named)
{
	struct json_object *config;
	char path[PATH_MAX];
	const char *name;
	bool found;

	if (snprintf(path, sizeof(path), "%s/config.v2.json", folder) >= (int)sizeof(path))
		return false;
	config = read_json(self, path);
	name = string_of(config, "Name");
	if (name && *name == '/')
		name++;
	found = take(named, name);
	json_object_put(config);
	return found;
}

/* A word of a line of mountinfo (proc(5)); blanks in it are written \040. *text is moved on. */
static bool next_word(const char **text, char *word, size_t size)
{
	size_t length = 0;
	const char *c = *text;
	unsigned int value;
	int used;

	while (*c == ' ')
		c++;
	while (*c && *c != ' ' && *c != '\n' && length + 1 < size) {
		if (*c == '\\' && sscanf(c + 1, "%3o%n", &value, &used) == 1 && used == 3) {
			word[length++] = (char)value;
			c += 4;
		} else {
			word[length++] = *c++;
		}
	}
	word[length] = '\0';
	*text = c;
	return length > 0 && (*c == ' ' || *c == '\n' || !*c);
}

struct mount_line {
	char device[32];
	char root[PATH_MAX];
	char point[PATH_MAX];
};

static bool parse_mount(const char *line, struct mount_line *mount)
{
	char number[32];
	int i;

	/* the ids of the mount and of the one that it is in */
	for (i = 0; i < 2; i++) {
		if (!next_word(&line, number, sizeof(number)))
			return false;
	}
	return next_word(&line, mount->device, sizeof(mount->device)) &&
	       next_word(&line, mount->root, sizeof(mount->root)) &&
	       next_word(&line, mount->point, sizeof(mount->point));
}

static const char *next_line(const char *text)
{
	const char *end = strchrnul(text, '\n');

	return *end ? end + 1 : end;
}

/* Where the first process sees what is at `path` of the file system `device`; or where we do, if
 * that is not for us to know. */
static bool path_of_first(const char *device, const char *path, char *out, size_t size)
{
	char *text = malloc(MAX_MOUNTS_BYTES);
	struct mount_line mount;
	bool found = false;
	const char *line;
	size_t length;

	if (!text || (small_file__read_process(1, "mountinfo", text, MAX_MOUNTS_BYTES) < 0 &&
		      small_file__read_process(getpid(), "mountinfo", text, MAX_MOUNTS_BYTES) < 0))
		goto out;
	for (line = text; *line && !found; line = next_line(line)) {
		if (!parse_mount(line, &mount) || strcmp(mount.device, device) != 0)
			continue;
		length = strcmp(mount.root, "/") == 0 ? 0 : strlen(mount.root);
		if (strncmp(path, mount.root, length) != 0 || path[length] != '/')
			continue;
		found = snprintf(out, size, "%s%s",
				 strcmp(mount.point, "/") == 0 ? "" : mount.point,
				 path + length) < (int)size;
	}
out:
	free(text);
	return found;
}

/* Docker mounts its container's hostname and hosts from its own folder for it. */
static bool read_docker_by_mounts(const struct container_names *self, pid_t pid,
				  struct named *named)
{
	char *text = malloc(MAX_MOUNTS_BYTES), *end;
	char part[CONTAINER_ID_LENGTH + 16], folder[PATH_MAX];
	struct mount_line mount;
	bool found = false;
	const char *line;

	if (!text || small_file__read_process(pid, "mountinfo", text, MAX_MOUNTS_BYTES) < 0)
		goto out;
	snprintf(part, sizeof(part), "/containers/%s/", named->id);
	for (line = text; *line && !found; line = next_line(line)) {
		if (!parse_mount(line, &mount))
			continue;
		end = strstr(mount.root, part);
		if (!end)
			continue;
		end[strlen(part) - 1] = '\0';
		found = path_of_first(mount.device, mount.root, folder, sizeof(folder)) &&
			read_docker_config(self, folder, named);
	}
out:
	free(text);
	return found;
}

static bool read_docker(const struct container_names *self, pid_t pid, struct named *named)
{
	char folder[128];

	snprintf(folder, sizeof(folder), "/var/lib/docker/containers/%s", named->id);
	return read_docker_config(self, folder, named) || read_docker_by_mounts(self, pid, named);
}

/* ---- podman, CRI-O --------------------------------------------------------------------------- */

static bool read_storage_file(const struct container_names *self, const char *path,
			      struct named *named)
{
	struct json_object *list = read_json(self, path), *item, *names;
	bool found = false;
	const char *id;
	size_t i, count;

	count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	for (i = 0; i < count && !found; i++) {
		item = json_object_array_get_idx(list, i);
		id = string_of(item, "id");
		if (!id || strcmp(id, named->id) != 0 ||
		    !json_object_object_get_ex(item, "names", &names) ||
		    !json_object_is_type(names, json_type_array) ||
		    json_object_array_length(names) == 0)
			continue;
		names = json_object_array_get_idx(names, 0);
		found = json_object_is_type(names, json_type_string) &&
			take(named, json_object_get_string(names));
	}
	json_object_put(list);
	return found;
}

static bool read_storage(const struct container_names *self, struct named *named)
{
	static const char *const paths[] = {
		"/var/lib/containers/storage/overlay-containers/containers.json",
		"/var/lib/containers/storage/overlay-containers/volatile-containers.json",
		"/var/lib/containers/storage/vfs-containers/containers.json",
		"/var/lib/containers/storage/vfs-containers/volatile-containers.json",
	};
	size_t i;

	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (read_storage_file(self, paths[i], named))
			return true;
	}
	return false;
}

/* Takes the name from the command line of a monitor of this container. */
static bool read_monitor(pid_t pid, struct named *named)
{
	const char *word, *end, *id = NULL, *name = NULL;
	char words[4096];
	ssize_t length = small_file__read_process(pid, "cmdline", words, sizeof(words));

	if (length <= 0)
		return false;
	end = words + length;
	/* The string ends behind the last word, so does each before it. */
	for (word = words; word < end; word += strlen(word) + 1) {
		if (strcmp(word, "-c") == 0 && word + 3 < end)
			id = word + 3;
		else if (strcmp(word, "-n") == 0 && word + 3 < end)
			name = word + 3;
		else
			continue;
		word += 3;
	}
	return id && strcmp(id, named->id) == 0 && take(named, name);
}

static bool read_monitors(pid_t pid, struct named *named)
{
	struct process_info info;
	int i;

	for (i = 0; i < MAX_ANCESTORS && pid > 1; i++) {
		if (process_info__read(pid, &info) != 0)
			return false;
		if (strcmp(info.comm, "conmon") == 0)
			return read_monitor(pid, named);
		pid = info.parent;
	}
	return false;
}

/* ---- containerd ------------------------------------------------------------------------------ */

static bool read_bundle(const struct container_names *self, const char *folder, struct named *named)
{
	static const char *const keys[] = {"io.kubernetes.cri.container-name", "nerdctl/name"};
	struct json_object *config, *annotations;
	bool found = false;
	char path[PATH_MAX];
	size_t i;

	if (snprintf(path, sizeof(path), "%s/%s/config.json", folder, named->id) >=
	    (int)sizeof(path))
		return false;
	config = read_json(self, path);
	if (json_object_is_type(config, json_type_object) &&
	    json_object_object_get_ex(config, "annotations", &annotations)) {
		for (i = 0; i < sizeof(keys) / sizeof(keys[0]) && !found; i++)
			found = take(named, string_of(annotations, keys[i]));
	}
	json_object_put(config);
	return found;
}

static bool read_containerd(const struct container_names *self, struct named *named)
{
	static const char tasks[] = "/run/containerd/io.containerd.runtime.v2.task";
	struct dirent *entry;
	char folder[PATH_MAX];
	bool found = false;
	int fd, count = 0;
	DIR *directory;

	fd = openat(self->root_fd, tasks + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	directory = fd >= 0 ? fdopendir(fd) : NULL;
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && count++ < MAX_NAMESPACES && (entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), "%s/%s", tasks, entry->d_name);
		found = read_bundle(self, folder, named);
	}
	closedir(directory);
	return found;
}

/* ---- all ------------------------------------------------------------------------------------- */

static void look_up(const struct container_names *self, enum container_engine engine, pid_t pid,
		    struct named *named)
{
	switch (engine) {
	case CONTAINER_NONE:
		return;
	case CONTAINER_DOCKER:
		read_docker(self, pid, named);
		return;
	case CONTAINER_CRIO:
		read_storage(self, named);
		return;
	case CONTAINER_PODMAN:
		if (!read_storage(self, named))
			read_monitors(pid, named);
		return;
	case CONTAINER_CONTAINERD:
		read_containerd(self, named);
		return;
	case CONTAINER_KUBERNETES:
	case CONTAINER_UNKNOWN:
		if (!read_containerd(self, named) && !read_docker(self, pid, named) &&
		    !read_storage(self, named))
			read_monitors(pid, named);
		return;
	}
}

const char *container_names__get(struct container_names *self, const struct container *container,
				 pid_t pid)
{
	struct named *named;

	if (container->engine == CONTAINER_NONE || self->root_fd < 0)
		return NULL;
	HASH_FIND_STR(self->by_id, container->id, named);
	if (!named) {
		named = calloc(1, sizeof(*named));
		if (!named)
			return NULL;
		memcpy(named->id, container->id, sizeof(named->id));
		look_up(self, container->engine, pid, named);
		HASH_ADD_STR(self->by_id, id, named);
	}
	return named->name[0] ? named->name : NULL;
}
