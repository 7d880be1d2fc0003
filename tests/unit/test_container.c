/* SPDX-License-Identifier: Apache-2.0 */
/* Containers by the cgroup files of their processes; names by the engines' state files. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "target/container.h"
#include "target/container_names.h"

#define ID    "3f4b1c9d8e7a6f5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b"
#define OUTER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void expect(const char *text, enum container_engine engine, const char *id)
{
	struct container container;

	CHECK_EQ(container__parse(text, &container), engine != CONTAINER_NONE);
	if (container.engine != engine || strcmp(container.id, id) != 0)
		printf("# in: %s\n", text);
	CHECK_STR(container_engine__name(container.engine), container_engine__name(engine));
	CHECK_STR(container.id, id);
}

static void docker(void)
{
	/* cgroupfs driver, v1, as a dockerd on Debian 12 with v1 hierarchies makes them */
	expect("9:name=systemd:/docker/" ID "\n8:pids:/docker/" ID "\n7:blkio:/docker/" ID
	       "\n0::/docker/" ID "\n",
	       CONTAINER_DOCKER, ID);
	expect("0::/system.slice/docker-" ID ".scope\n", CONTAINER_DOCKER, ID);
	/* rootless, systemd, v2; a systemd inside that made a group of its own */
	expect("0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope\n",
	       CONTAINER_DOCKER, ID);
	expect("0::/system.slice/docker-" ID ".scope/init.scope\n", CONTAINER_DOCKER, ID);
	/* Docker in Docker: the inner one */
	expect("4:memory:/docker/" OUTER "/docker/" ID "\n", CONTAINER_DOCKER, ID);
	/* seen from another container with the host's pids */
	expect("0::/../docker-" ID ".scope\n", CONTAINER_DOCKER, ID);
	expect("0::/../" ID "\n", CONTAINER_UNKNOWN, ID);
	/* only some hierarchies */
	expect("3:cpu:/\n2:memory:/docker/" ID "\n1:name=systemd:/system.slice/docker.service\n",
	       CONTAINER_DOCKER, ID);
}

static void kubernetes(void)
{
	expect("0::/kubepods.slice/kubepods-burstable.slice/"
	       "kubepods-burstable-pod2f1ee0a5_1a3c_4ed0_9f87_c0c2a6a3d8ad.slice/"
	       "cri-containerd-" ID ".scope\n",
	       CONTAINER_CONTAINERD, ID);
	expect("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod2f1e.slice/"
	       "docker-" ID ".scope\n",
	       CONTAINER_DOCKER, ID);
	expect("11:memory:/kubepods/burstable/pod2f1ee0a5-1a3c-4ed0-9f87-c0c2a6a3d8ad/" ID "\n",
	       CONTAINER_KUBERNETES, ID);
	expect("11:memory:/system.slice/containerd.service/"
	       "kubepods-burstable-pod2f1ee0a5_1a3c.slice:cri-containerd:" ID "\n",
	       CONTAINER_CONTAINERD, ID);
	/* kind: a cluster in Docker containers */
	expect("0::/docker/" OUTER "/kubelet.slice/kubelet-kubepods.slice/"
	       "kubelet-kubepods-pod1.slice/cri-containerd-" ID ".scope\n",
	       CONTAINER_CONTAINERD, ID);
}

static void others(void)
{
	expect("0::/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope\n", CONTAINER_CRIO, ID);
	expect("0::/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope/container\n",
	       CONTAINER_CRIO, ID);
	expect("5:pids:/kubepods/besteffort/pod1/crio-" ID "\n", CONTAINER_CRIO, ID);
	expect("0::/machine.slice/libpod-" ID ".scope\n", CONTAINER_PODMAN, ID);
	expect("0::/machine.slice/libpod-" ID ".scope/container\n", CONTAINER_PODMAN, ID);
	expect("0::/machine.slice/machine-libpod_pod_" OUTER ".slice/libpod-" ID ".scope\n",
	       CONTAINER_PODMAN, ID);
	expect("1:memory:/libpod_parent/libpod-" ID "\n", CONTAINER_PODMAN, ID);
	expect("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
	       ".scope/container\n",
	       CONTAINER_PODMAN, ID);
	expect("0::/system.slice/nerdctl-" ID ".scope\n", CONTAINER_CONTAINERD, ID);
	expect("4:memory:/default/" ID "\n", CONTAINER_UNKNOWN, ID);
}

static void what_is_no_container(void)
{
	expect("", CONTAINER_NONE, "");
	expect("\n\n", CONTAINER_NONE, "");
	expect("0::/\n", CONTAINER_NONE, "");
	expect("0::/user.slice/user-1000.slice/session-2.scope\n", CONTAINER_NONE, "");
	expect("0::/system.slice/docker.service\n", CONTAINER_NONE, "");
	/* the engines' monitors */
	expect("0::/machine.slice/libpod-conmon-" ID ".scope\n", CONTAINER_NONE, "");
	expect("0::/kubepods.slice/kubepods-pod1.slice/crio-conmon-" ID ".scope\n", CONTAINER_NONE,
	       "");
	/* one digit too few or too many, capitals, a missing colon, a line that is cut off */
	expect("0::/docker/3f4b\n", CONTAINER_NONE, "");
	expect("0::/docker/" ID "0\n", CONTAINER_NONE, "");
	expect("0::/system.slice/docker-0" ID ".scope\n", CONTAINER_NONE, "");
	expect("0::/docker/3F4B1C9D8E7A6F5B4C3D2E1F0A9B8C7D6E5F4A3B2C1D0E9F8A7B6C5D4E3F2A1B\n",
	       CONTAINER_NONE, "");
	expect("/docker/" ID "\n", CONTAINER_NONE, "");
	expect("0::/docker/" ID, CONTAINER_DOCKER, ID);
	expect(":", CONTAINER_NONE, "");
	expect("::", CONTAINER_NONE, "");
	expect("0::////", CONTAINER_NONE, "");
	expect("0::/a:b:c/:::/:" ID "\n", CONTAINER_UNKNOWN, ID);
}

static void ids_and_their_beginnings(void)
{
	CHECK(container__is_id_prefix("3f4b"));
	CHECK(container__is_id_prefix(ID));
	CHECK(!container__is_id_prefix(""));
	CHECK(!container__is_id_prefix("web"));
	CHECK(!container__is_id_prefix(ID "0"));
}

static void groups_contain_what_is_below(void)
{
	static const char text[] = "4:memory:/a/b c\n0::/user.slice\n";

	CHECK(cgroup__contains(text, "/"));
	CHECK(cgroup__contains(text, "/a"));
	CHECK(cgroup__contains(text, "/a/b c"));
	CHECK(cgroup__contains(text, "/user.slice"));
	CHECK(!cgroup__contains(text, "/a/b"));
	CHECK(!cgroup__contains(text, "/user"));
	CHECK(!cgroup__contains(text, "/a/b c/d"));
}

static void groups_are_named_by_path_or_by_place(void)
{
	static const char mounts[] =
		"30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
		"31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw\n"
		"32 30 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
	char path[64], small[4];

	CHECK(cgroup__normalise(mounts, "/sys/fs/cgroup/memory/a/b/", path, sizeof(path)));
	CHECK_STR(path, "/a/b");
	CHECK(cgroup__normalise(mounts, "/sys/fs/cgroup/unified", path, sizeof(path)));
	CHECK_STR(path, "/");
	CHECK(cgroup__normalise(mounts, "a/b", path, sizeof(path)));
	CHECK_STR(path, "/a/b");
	CHECK(cgroup__normalise(mounts, "/sys/fs/cgroup/memoryless", path, sizeof(path)));
	CHECK_STR(path, "/sys/fs/cgroup/memoryless");
	CHECK(cgroup__normalise("", "", path, sizeof(path)));
	CHECK_STR(path, "/");
	CHECK(!cgroup__normalise("", "abc", small, sizeof(small)));
}

/* Whatever is in a cgroup file: no crash (the sanitizers look on), and an id is an id. */
static void any_bytes_do_no_harm(void)
{
	static const char parts[][80] = {
		"0::",	 "4:memory:", "/",  "docker-", "docker",   ".scope",  "libpod-",
		"crio-", ID,	      "\n", ":",       "kubepods", "conmon-", "cri-containerd:"};
	struct container container;
	char text[2048], path[64];
	uint32_t random = 1;
	size_t i, k, length, found = 0;

	for (i = 0; i < 20000; i++) {
		length = 0;
		for (k = 0; k < 12; k++) {
			random = random * 1664525 + 1013904223;
			length += (size_t)snprintf(
				text + length, sizeof(text) - length, "%s",
				parts[(random >> 16) % (sizeof(parts) / sizeof(parts[0]))]);
		}
		random = random * 1664525 + 1013904223;
		text[(random >> 8) % length] = (char)(random >> 24);
		if (container__parse(text, &container)) {
			found++;
			CHECK_EQ(strspn(container.id, "0123456789abcdef"), CONTAINER_ID_LENGTH);
			CHECK_EQ(strlen(container.id), CONTAINER_ID_LENGTH);
		} else {
			CHECK_STR(container.id, "");
		}
		cgroup__contains(text, "/docker");
		cgroup__normalise(text, text, path, sizeof(path));
	}
	CHECK(found > 100);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void write_file(const char *root, const char *path, const char *text)
{
	char full[1024], *slash;
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	file = fopen(full, "w");
	CHECK(file != NULL);
	if (file) {
		fputs(text, file);
		fclose(file);
	}
}

static const char *name_of(const char *root, enum container_engine engine, const char *id)
{
	static char name[256];
	struct container_names *names = container_names__new(root);
	struct container container = {.engine = engine};
	const char *found;

	snprintf(container.id, sizeof(container.id), "%s", id);
	found = container_names__get(names, &container, getpid());
	snprintf(name, sizeof(name), "%s", found ? found : "");
	CHECK_EQ(container_names__get(names, &container, getpid()) == found, 1);
	container_names__free(names);
	return name;
}

static void names_come_from_state_files(void)
{
	char root[] = "/tmp/luaspy-names-XXXXXX", command[64];

	CHECK(mkdtemp(root) != NULL);
	write_file(root, "var/lib/docker/containers/" ID "/config.v2.json",
		   "{\"ID\":\"" ID "\",\"Name\":\"/web\",\"State\":{\"Pid\":7}}");
	write_file(root, "var/lib/docker/containers/" OUTER "/config.v2.json", "{\"Name\":[1,");
	CHECK_STR(name_of(root, CONTAINER_DOCKER, ID), "web");
	CHECK_STR(name_of(root, CONTAINER_UNKNOWN, ID), "web");
	CHECK_STR(name_of(root, CONTAINER_DOCKER, OUTER), "");
	CHECK_STR(name_of(root, CONTAINER_PODMAN, ID), "");
	CHECK_STR(name_of(root, CONTAINER_NONE, ""), "");
	write_file(root, "var/lib/containers/storage/overlay-containers/containers.json",
		   "[3,{\"id\":\"" OUTER "\"},{\"id\":\"" OUTER "\",\"names\":[]},{\"id\":\"" ID
		   "\",\"names\":[\"edge\",\"x\"]}]");
	CHECK_STR(name_of(root, CONTAINER_PODMAN, ID), "edge");
	CHECK_STR(name_of(root, CONTAINER_CRIO, OUTER), "");
	write_file(root, "run/containerd/io.containerd.runtime.v2.task/k8s.io/" ID "/config.json",
		   "{\"annotations\":{\"io.kubernetes.cri.container-name\":\"gateway\"}}");
	CHECK_STR(name_of(root, CONTAINER_CONTAINERD, ID), "gateway");
	CHECK_STR(name_of(root, CONTAINER_KUBERNETES, ID), "gateway");
	/* too deep to be one of theirs */
	write_file(root, "var/lib/docker/containers/" ID "/config.v2.json",
		   "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	CHECK_STR(name_of(root, CONTAINER_DOCKER, ID), "");
	snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK_EQ(system(command), 0);
}

int main(void)
{
	RUN(docker, "Docker: cgroupfs and systemd, v1 and v2, nested, rootless");
	RUN(kubernetes, "Kubernetes: containerd, Docker, cgroupfs without an engine's name, kind");
	RUN(others, "CRI-O, podman, nerdctl");
	RUN(what_is_no_container, "sessions, services, monitors, odd lines are no container");
	RUN(ids_and_their_beginnings, "ids and their beginnings");
	RUN(groups_contain_what_is_below, "a group contains what is below it");
	RUN(groups_are_named_by_path_or_by_place,
	    "a group is named by its path or its place in /sys");
	RUN(any_bytes_do_no_harm, "any bytes in a cgroup file do no harm");
	RUN(names_come_from_state_files, "names come from the engines' state files");
	return TEST_RESULT();
}
