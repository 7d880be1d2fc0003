/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sources of LuaJIT's offsets say of a running process, for test_offsets.py:
 *
 *     check_offsets PID            one line for each fact: "fact WHAT VALUE TABLE HEAP", separated
 * by tabs; before them "known SOURCES" and "vms FOUND CHECKED" check_offsets PID wrong      each
 * offset made wrong in turn, by several distances: "wrong WHAT VALUE VERDICT OTHERS", VERDICT being
 * the heap's of this one and OTHERS what else disagrees then (as it may: some checks begin where
 * another offset leads)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/maps.h"
#include "vm/luajit_check.h"
#include "vm/luajit_vms.h"

static const char *const verdicts[] = {"none", "agrees", "disagrees"};

static void print_facts(const struct luajit_check *check)
{
	size_t i;

	printf("known\t%s\n", check->found.known ? check->found.known->sources : "");
	printf("vms\t%u\t%u\n", check->vm_count, check->vm_checked);
	for (i = 0; i < check->fact_count; i++)
		printf("fact\t%s\t%u\t%s\t%s\n", check->facts[i].what, check->facts[i].value,
		       verdicts[check->facts[i].table], verdicts[check->facts[i].heap]);
}

static void shift(struct luajit_build *build, enum luajit_offset id, int by)
{
	switch (id) {
	case LUAJIT_DISPATCH:
		build->dispatch_from_g += by;
		break;
	case LUAJIT_VMSTATE:
		build->vmstate += (uint32_t)by;
		break;
	case LUAJIT_CUR_L:
		build->cur_L += (uint32_t)by;
		break;
	case LUAJIT_SAVE_L:
		build->save_L = (uint8_t)(build->save_L + by);
		break;
	case LUAJIT_SAVE_CFRAME:
		build->save_cframe = (uint8_t)(build->save_cframe + by);
		break;
	case LUAJIT_STRING_LENGTH:
		build->string_length = (uint8_t)(build->string_length + by);
		break;
	case LUAJIT_STRING_DATA:
		build->string_data = (uint8_t)(build->string_data + by);
		break;
	case LUAJIT_FRAME_SIZE:
		build->frame_size = (uint8_t)(build->frame_size + by);
		break;
	case LUAJIT_JIT_BASE:
		build->jit_base += (uint32_t)by;
		break;
	case LUAJIT_TRACE_ARRAY:
		build->trace_array += (uint32_t)by;
		break;
	case LUAJIT_TRACE_EXIT:
		build->trace_exit += (uint32_t)by;
		break;
	case LUAJIT_BC_FUNCF:
		build->bc_funcf = (uint8_t)(build->bc_funcf + by / 4);
		break;
	case LUAJIT_GC64:
	case LUAJIT_FFI:
	case LUAJIT_OFFSETS:
		break;
	}
}

static void print_wrong(pid_t pid, uint64_t g, uint64_t interpreter, struct luajit_found found,
			enum luajit_offset id, int by)
{
	struct luajit_fact facts[LUAJIT_OFFSETS];
	size_t count, i;
	int err;

	shift(&found.build, id, by);
	count = luajit__facts(&found, facts);
	err = luajit_check__vm(pid, g, interpreter, &found.build, facts, count);
	if (err) {
		printf("wrong\t%s\t%d\t%s\t\n", facts[id].what, by, strerror(-err));
		return;
	}
	printf("wrong\t%s\t%d\t%s\t", facts[id].what, by, verdicts[facts[id].heap]);
	for (i = 0; i < count; i++) {
		if (i != id && facts[i].heap == LUAJIT_DISAGREES)
			printf("%s ", facts[i].what);
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	static const int distances[] = {-16, -8, -4, 4, 8, 16};
	struct luajit_check check;
	struct found_vms vms;
	struct maps maps;
	pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
	int err = -ENOENT;
	size_t i, k;

	if (maps__read(pid, &maps) != 0)
		return 2;
	for (i = 0; i < maps.count && err == -ENOENT; i++) {
		if (maps.entries[i].executable && map_entry__is_file(&maps.entries[i]))
			err = luajit_check__process(pid, &maps, &maps.entries[i], UINT64_MAX,
						    &check);
	}
	if (err) {
		printf("error\t%s\n", strerror(-err));
		return 1;
	}
	if (argc == 2) {
		print_facts(&check);
	} else if (luajit_vms__find(pid, &maps, &check.found.build, UINT64_MAX, &vms) == 0 &&
		   vms.count) {
		for (i = 0; i < check.fact_count; i++) {
			for (k = 0; k < sizeof(distances) / sizeof(distances[0]); k++)
				print_wrong(pid, vms.vms[0].g, check.interpreter, check.found,
					    check.facts[i].id, distances[k]);
		}
	}
	maps__free(&maps);
	return 0;
}
