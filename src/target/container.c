/* SPDX-License-Identifier: Apache-2.0 */
#include "container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "small_file.h"

struct span {
	const char *start;
	size_t length;
};

static const char *const engine_names[] = {
	[CONTAINER_NONE] = "",
	[CONTAINER_DOCKER] = "docker",
	[CONTAINER_CONTAINERD] = "containerd",
	[CONTAINER_CRIO] = "CRI-O",
	[CONTAINER_PODMAN] = "podman",
	[CONTAINER_KUBERNETES] = "kubernetes",
	[CONTAINER_UNKNOWN] = "container",
};

const char *container_engine__name(enum container_engine engine)
{
	return engine_names[engine];
}

/* ---- one component of a path ----------------------------------------------------------------- */

static bool starts_with(struct span text, const char *word)
{
	size_t length = strlen(word);

	return text.length >= length && memcmp(text.start, word, length) == 0;
}

static bool equals(struct span text, const char *word)
{
	return text.length == strlen(word) && starts_with(text, word);
}

static bool contains(struct span text, const char *word)
{
	return memmem(text.start, text.length, word, strlen(word)) != NULL;
}

static bool is_hexadecimal(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	}
	return length > 0;
}

static bool is_id(struct span text)
{
	return text.length == CONTAINER_ID_LENGTH && is_hexadecimal(text.start, text.length);
}

bool container__is_id_prefix(const char *word)
{
	size_t length = strlen(word);

	return length <= CONTAINER_ID_LENGTH && is_hexadecimal(word, length);
}

/* The id in one component; its engine, or CONTAINER_UNKNOWN where only what is above can tell. */
static enum container_engine parse_component(struct span component, struct span *id)
{
	static const struct {
		const char *prefix;
		enum container_engine engine;
	} prefixes[] = {
		{"docker-", CONTAINER_DOCKER},
		{"cri-containerd-", CONTAINER_CONTAINERD},
		{"cri-containerd:", CONTAINER_CONTAINERD},
		{"nerdctl-", CONTAINER_CONTAINERD},
		{"nerdctl:", CONTAINER_CONTAINERD},
		{"crio-", CONTAINER_CRIO},
		{"crio:", CONTAINER_CRIO},
		{"libpod-", CONTAINER_PODMAN},
		{"libpod:", CONTAINER_PODMAN},
		{"docker:", CONTAINER_DOCKER},
	};
	static const char scope[] = ".scope";
	const char *colon;
	size_t i;

	/* Where runc was given a systemd group but told to use plain ones: SLICE:PREFIX:ID. */
	if (component.length > CONTAINER_ID_LENGTH) {
		colon = memchr(component.start, ':', component.length - CONTAINER_ID_LENGTH);
		if (colon) {
			component.length -= (size_t)(colon + 1 - component.start);
			component.start = colon + 1;
		}
	}
	if (component.length > sizeof(scope) - 1 &&
	    memcmp(component.start + component.length - (sizeof(scope) - 1), scope,
		   sizeof(scope) - 1) == 0)
		component.length -= sizeof(scope) - 1;
	*id = component;
	if (is_id(*id))
		return CONTAINER_UNKNOWN;
	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!starts_with(component, prefixes[i].prefix))
			continue;
		id->start = component.start + strlen(prefixes[i].prefix);
		id->length = component.length - strlen(prefixes[i].prefix);
		if (is_id(*id))
			return prefixes[i].engine;
	}
	return CONTAINER_NONE;
}

/* ---- a path ---------------------------------------------------------------------------------- */

/* The last component of `path`, which is cut off there; false when nothing is left. */
static bool pop_component(struct span *path, struct span *component)
{
	while (path->length && path->start[path->length - 1] == '/')
		path->length--;
	if (!path->length)
		return false;
	component->length = 0;
	while (component->length < path->length &&
	       path->start[path->length - component->length - 1] != '/')
		component->length++;
	path->length -= component->length;
	component->start = path->start + path->length;
	return true;
}

/* The engine that makes groups below such a path. */
static enum container_engine engine_by_parents(struct span path)
{
	struct span component;

	while (pop_component(&path, &component)) {
		if (contains(component, "kubepods"))
			return CONTAINER_KUBERNETES;
		if (equals(component, "docker") || equals(component, "ecs") ||
		    equals(component, "actions_job"))
			return CONTAINER_DOCKER;
		if (equals(component, "libpod_parent"))
			return CONTAINER_PODMAN;
	}
	return CONTAINER_UNKNOWN;
}

static bool parse_path(struct span path, struct container *container)
{
	struct span component, id;

	while (pop_component(&path, &component)) {
		container->engine = parse_component(component, &id);
		if (container->engine == CONTAINER_NONE)
			continue;
		if (container->engine == CONTAINER_UNKNOWN)
			container->engine = engine_by_parents(path);
		memcpy(container->id, id.start, id.length);
		container->id[id.length] = '\0';
		return true;
	}
	return false;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The path of the next line of a cgroup file; *text is moved on. False at the end. */
static bool next_path(const char **text, struct span *path)
{
	const char *end, *colon;

	while (**text) {
		end = strchrnul(*text, '\n');
		colon = memchr(*text, ':', (size_t)(end - *text));
		if (colon)
			colon = memchr(colon + 1, ':', (size_t)(end - colon - 1));
		*text = *end ? end + 1 : end;
		if (!colon)
			continue;
		path->start = colon + 1;
		path->length = (size_t)(end - colon - 1);
		return true;
	}
	return false;
}

bool container__parse(const char *text, struct container *container)
{
	struct span path;

	memset(container, 0, sizeof(*container));
	while (next_path(&text, &path)) {
		if (parse_path(path, container))
			return true;
	}
	return false;
}

int cgroup__read(pid_t pid, char text[CGROUP_TEXT_SIZE])
{
	ssize_t length = small_file__read_process(pid, "cgroup", text, CGROUP_TEXT_SIZE);

	return length < 0 ? (int)length : 0;
}

bool cgroup__contains(const char *text, const char *path)
{
	size_t length = strlen(path);
	struct span of;

	if (strcmp(path, "/") == 0)
		return true;
	while (next_path(&text, &of)) {
		if (starts_with(of, path) && (of.length == length || of.start[length] == '/'))
			return true;
	}
	return false;
}

/* The length of the longest cgroup mount point that `name` is below. */
static size_t mount_point_length(const char *mountinfo, const char *name)
{
	char line[1024], point[512], type[32];
	const char *end, *dash;
	size_t best = 0, length;

	for (; *mountinfo; mountinfo = *end ? end + 1 : end) {
		end = strchrnul(mountinfo, '\n');
		length = (size_t)(end - mountinfo);
		if (length >= sizeof(line))
			continue;
		memcpy(line, mountinfo, length);
		line[length] = '\0';
		dash = strstr(line, " - ");
		if (!dash || sscanf(dash, " - %31s", type) != 1 ||
		    sscanf(line, "%*s %*s %*s %*s %511s", point) != 1 ||
		    (strcmp(type, "cgroup") != 0 && strcmp(type, "cgroup2") != 0))
			continue;
		length = strlen(point);
		if (length > best && strncmp(name, point, length) == 0 &&
		    (name[length] == '/' || !name[length]))
			best = length;
	}
	return best;
}

bool cgroup__normalise(const char *mountinfo, const char *name, char *path, size_t size)
{
	const char *rest = name + mount_point_length(mountinfo, name);
	size_t length;

	while (*rest == '/')
		rest++;
	length = strlen(rest);
	while (length && rest[length - 1] == '/')
		length--;
	if (length + 2 > size)
		return false;
	path[0] = '/';
	memcpy(path + 1, rest, length);
	path[length + 1] = '\0';
	return true;
}
