/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What containers are called, from the files in which their engines keep their state, without the
 * engines' help. A container whose engine's files are not readable from here has its id only.
 *
 *   Docker	     ROOT/containers/ID/config.v2.json: Name. ROOT is /var/lib/docker, or where the
 *		     container's own mounts come from
 *   podman, CRI-O   /var/lib/containers/storage/overlay-containers/{,volatile-}containers.json;
 *		     podman's with other storage, a user's for example: the command line of the
 *		     container's monitor, conmon -c ID -n NAME, an ancestor of its processes
 *   containerd	     /run/containerd/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json: the
 *		     annotations of Kubernetes and nerdctl
 */
#ifndef LUASPY_CONTAINER_NAMES_H
#define LUASPY_CONTAINER_NAMES_H

#include <sys/types.h>

#include "container.h"

struct container_names;

/* `root` is the directory that holds the engines' files: NULL for the first process's root, which
 * is the host's also for a luaspy in a container that shares the host's pids. NULL when out of
 * memory. */
struct container_names *container_names__new(const char *root);
void container_names__free(struct container_names *self);

/* The name of a container, in which process `pid` is; NULL when it is not known. Borrowed. Each
 * container's is looked up once. */
const char *container_names__get(struct container_names *self, const struct container *container,
				 pid_t pid);

#endif
