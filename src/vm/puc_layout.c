/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PUC Lua's structures by release: offsetof() in each release's own lstate.h, lobject.h and
 * lfunc.h, compiled for x86-64 with the default luaconf.h. One table, because nothing else in this
 * program knows a layout.
 */
#include <errno.h>
#include <string.h>

#include "puc.h"

/* CallInfo.callstatus, lstate.h: CIST_*. */
#define CIST_52_LUA	0x01u
#define CIST_52_REENTRY 0x04u
#define CIST_52_TAIL	0x40u
#define CIST_53_LUA	0x02u
#define CIST_53_FRESH	0x08u /* 5.3.2; before, the same bit is CIST_REENTRY */
#define CIST_53_TAIL	0x20u
#define CIST_54_C	0x02u
#define CIST_540_TAIL	0x10u
#define CIST_54_FRESH	0x04u
#define CIST_54_TAIL	0x20u
#define CIST_55_C	(1u << 15)
#define CIST_55_FRESH	(1u << 16)
#define CIST_55_TAIL	(1u << 22)

static const struct puc_build lua_51 = {
	.boundary = PUC_FRESH_CALLER,
	.g_mainthread = 176,
	.L_g = 32,
	.L_ci = 40,
	.L_stack = 64,
	.L_stack_last = 56,
	.L_base_ci = 80,
	.L_savedpc = 48,
	.ci_func = 8,
	.ci_size = 40,
	.ci_savedpc = 24,
	.ci_tailcalls = 36,
	.ci_base = 0,
	.closure_proto = 32,
	.closure_c = 32,
	.proto_code = 24,
	.proto_size_code = 80,
	.proto_line_info = 40,
	.proto_first_line = 96,
	.proto_source = 64,
	.proto_parameters = 113,
	.proto_type = 9,
	.op_call = 28,
	.jump_bits = 18,
	.string_data = 24,
	.string_length = 16,
};

static const struct puc_build lua_52 = {
	.boundary = PUC_FRESH_CLEAR,
	.ci_lua = CIST_52_LUA,
	.ci_lua_value = CIST_52_LUA,
	.ci_fresh = CIST_52_REENTRY,
	.ci_tail = CIST_52_TAIL,
	.g_mainthread = 264,
	.L_g = 24,
	.L_ci = 32,
	.L_stack = 56,
	.L_stack_last = 48,
	.L_base_ci = 128,
	.ci_func = 0,
	.ci_previous = 16,
	.ci_savedpc = 56,
	.ci_callstatus = 34,
	.ci_extra = 40,
	.ci_base = 48,
	.closure_proto = 24,
	.closure_c = 24,
	.proto_code = 24,
	.proto_size_code = 88,
	.proto_line_info = 40,
	.proto_first_line = 104,
	.proto_source = 72,
	.proto_parameters = 120,
	.proto_type = 9,
	.op_call = 29,
	.jump_bits = 18,
	.string_data = 24,
	.string_length = 16,
};

static const struct puc_build lua_53 = {
	.boundary = PUC_FRESH_SET,
	.ci_lua = CIST_53_LUA,
	.ci_lua_value = CIST_53_LUA,
	.ci_fresh = CIST_53_FRESH,
	.ci_tail = CIST_53_TAIL,
	.g_mainthread = 200,
	.L_g = 24,
	.L_ci = 32,
	.L_stack = 56,
	.L_stack_last = 48,
	.L_base_ci = 96,
	.ci_func = 0,
	.ci_previous = 16,
	.ci_savedpc = 40,
	.ci_callstatus = 66,
	.ci_extra = 56,
	.ci_base = 32,
	.closure_proto = 24,
	.closure_c = 24,
	.proto_code = 56,
	.proto_size_code = 24,
	.proto_line_info = 72,
	.proto_first_line = 40,
	.proto_source = 104,
	.proto_parameters = 10,
	.proto_type = 9,
	.op_call = 36,
	.jump_bits = 18,
	.string_data = 24,
	.string_length = 16,
	.string_short_length = 11,
};

static const struct puc_build lua_54 = {
	.boundary = PUC_FRESH_SET,
	.ci_lua = CIST_54_C,
	.ci_lua_value = 0,
	.ci_fresh = CIST_54_FRESH,
	.ci_tail = CIST_54_TAIL,
	.g_mainthread = 264,
	.L_g = 24,
	.L_ci = 32,
	.L_stack = 48,
	.L_stack_last = 40,
	.L_base_ci = 96,
	.ci_func = 0,
	.ci_previous = 16,
	.ci_savedpc = 32,
	.ci_callstatus = 62,
	.ci_base = PUC_BASE_AT_FUNC,
	.closure_proto = 24,
	.closure_c = 24,
	.proto_code = 64,
	.proto_size_code = 24,
	.proto_line_info = 88,
	.proto_first_line = 44,
	.proto_source = 112,
	.proto_parameters = 10,
	.proto_abs_lines = 96,
	.proto_size_abs_lines = 40,
	.proto_type = 10,
	.jump_bits = 25,
	.string_data = 24,
	.string_length = 16,
	.string_short_length = 11,
};

int puc_layout__get(unsigned int release, struct puc_build *build)
{
	switch (release / 100) {
	case 501:
		if (release > 50105)
			return -ENOENT;
		*build = lua_51;
		break;
	case 502:
		if (release > 50204)
			return -ENOENT;
		*build = lua_52;
		if (release == 50200) {
			build->g_mainthread = 240;
			build->ci_savedpc = 48;
			build->ci_base = 40;
			build->ci_extra = 0; /* it is where savedpc is */
		}
		break;
	case 503:
		if (release > 50306)
			return -ENOENT;
		*build = lua_53;
		if (release < 50302) {
			build->boundary = PUC_FRESH_CLEAR;
			build->g_mainthread = 224;
		}
		if (release == 50300) {
			build->string_short_length = 0;
			build->string_data = 32;
		}
		break;
	case 504:
		/* 5.4.8 is the newest; a later one would be a fix of it. */
		if (release > 50499)
			return -ENOENT;
		*build = lua_54;
		if (release < 50402) {
			build->boundary = PUC_FRESH_ALL;
			build->ci_fresh = 0;
			build->ci_tail = CIST_540_TAIL;
		}
		if (release < 50403)
			build->L_base_ci = 88;
		if (release == 50400) {
			build->g_mainthread = 256;
			build->L_stack = 56;
			build->L_stack_last = 48;
			build->L_base_ci = 96;
		}
		break;
	case 505:
		/* As 5.4. */
		if (release > 50599)
			return -ENOENT;
		*build = lua_54;
		build->ci_lua = CIST_55_C;
		build->ci_fresh = CIST_55_FRESH;
		build->ci_tail = CIST_55_TAIL;
		build->ci_callstatus = 60;
		build->g_mainthread = 1416;
		build->mainthread_inside = 1;
		build->string_is_pointer = 1;
		break;
	default:
		return -ENOENT;
	}
	build->release = release;
	return 0;
}
