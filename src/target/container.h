/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which container a process is in, from the path of its control group: /proc/PID/cgroup, whose
 * lines are "HIERARCHY:CONTROLLERS:PATH" (cgroups(7)), one per hierarchy with cgroup v1, "0::PATH"
 * with v2. What a container is called is container_names.h's matter.
 *
 *   Docker	 /docker/ID, /system.slice/docker-ID.scope
 *   containerd	 .../cri-containerd-ID.scope, ...slice:cri-containerd:ID, nerdctl-ID.scope
 *   CRI-O	 .../crio-ID.scope, .../crio-ID
 *   podman	 /machine.slice/libpod-ID.scope, /libpod_parent/libpod-ID
 *   Kubernetes	 /kubepods/burstable/podUID/ID: the path does not tell the engine
 *
 * Of containers in a container the innermost counts. The monitors that engines run beside a
 * container (libpod-conmon-ID, crio-conmon-ID) are not in it.
 */
#ifndef LUASPY_CONTAINER_H
#define LUASPY_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONTAINER_ID_LENGTH 64 /* hexadecimal digits */
#define CGROUP_TEXT_SIZE    16384

enum container_engine {
	CONTAINER_NONE,
	CONTAINER_DOCKER,
	CONTAINER_CONTAINERD,
	CONTAINER_CRIO,
	CONTAINER_PODMAN,
	CONTAINER_KUBERNETES, /* of a pod; by containerd or Docker */
	CONTAINER_UNKNOWN,    /* an id of that form in a place that tells no engine */
};

struct container {
	enum container_engine engine;
	char id[CONTAINER_ID_LENGTH + 1]; /* "" with CONTAINER_NONE */
};

/* "docker", "CRI-O", ...; "container" for an unknown one. */
const char *container_engine__name(enum container_engine engine);

/* Finds the container in the text of a cgroup file; false, and CONTAINER_NONE, when there is none.
 */
bool container__parse(const char *text, struct container *container);

/* Is `word` an id, or the beginning of one? */
bool container__is_id_prefix(const char *word);

/* Reads /proc/PID/cgroup, cut off at the end of `text`. 0 or a negative errno. */
int cgroup__read(pid_t pid, char text[CGROUP_TEXT_SIZE]);

/* Is the process with this cgroup file in the group `path`, or in one below it, in any hierarchy?
 * `path` is as in that file, starting with '/'. */
bool cgroup__contains(const char *text, const char *path);

/*
 * A group as a user names it, as a path of the cgroup file: what is below a mounted cgroup file
 * system (/sys/fs/cgroup/memory/a/b) is made relative to it (/a/b); a missing '/' is added and
 * those at the end removed. `mountinfo` is the text of /proc/self/mountinfo. False when it does not
 * fit.
 */
bool cgroup__normalise(const char *mountinfo, const char *name, char *path, size_t size);

#endif
