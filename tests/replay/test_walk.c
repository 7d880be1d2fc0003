// SPDX-License-Identifier: Apache-2.0
/*
 * The walk over hand-made memory: what ends it and what it reports of a damaged or hostile target.
 * Each enum walk_stop and enum walk_error that a walk can give is reached (STOP_KERNEL_ONLY and
 * STOP_BUSY are given by the sampler, without a walk).
 *
 * The target has one file with one rule a page of text, and GC64 lua_States whose frames are all
 * built-ins (those need no proto). PUC Lua's are test_walk_puc.c's, real stacks test_replay.c's.
 */
#include "bpf/luajit_layout.h"
#include "test_walk_target.h"

#define STATES	  0x100000ull /* lua_States, 0x1000 apart */
#define LUA_STACK 0x800	      /* of a state, from its own address */
#define FUNCTION  0x90000ull
#define FRAME	  80
#define SAVE_L	  16

enum page {
	PAGE_NONE,
	PAGE_END,
	PAGE_PLAIN,	 /* CFA = rsp + 16, nothing saved */
	PAGE_BY_RAX,	 /* CFA = rax + 16 */
	PAGE_BY_POINTER, /* CFA = *(rsp) + 0 */
	PAGE_UNSUPPORTED,
	PAGE_NO_RETURN,	  /* the return address is undefined */
	PAGE_INTERPRETER, /* in C code called by it: L->base is right */
	PAGE_BASE_IN_RDX, /* in a bytecode handler */
	PAGE_LINK_IN_PC,
	PAGE_COUNT,
};

static struct unwind_rule page_rule(enum page page)
{
	struct unwind_rule rule = plain_rule();

	switch (page) {
	case PAGE_NONE:
		rule.cfa_kind = CFA_NONE;
		break;
	case PAGE_END:
		rule.cfa_kind = CFA_END;
		break;
	case PAGE_BY_RAX:
		rule.cfa_reg = DW_REG_RAX;
		break;
	case PAGE_BY_POINTER:
		rule.cfa_kind = CFA_DEREF;
		rule.cfa_offset = 0;
		break;
	case PAGE_UNSUPPORTED:
		rule.cfa_kind = CFA_UNSUPPORTED;
		break;
	case PAGE_NO_RETURN:
		rule.saved_base[SAVED_RA] = BASE_UNDEFINED;
		break;
	case PAGE_INTERPRETER:
	case PAGE_BASE_IN_RDX:
	case PAGE_LINK_IN_PC:
		rule.cfa_offset = FRAME;
		rule.flags = RULE_LUAJIT;
		rule.vm_flags = page == PAGE_BASE_IN_RDX ? 0 : VM_L_BASE;
		if (page != PAGE_INTERPRETER)
			rule.vm_base_reg = DW_REG_RDX;
		if (page == PAGE_LINK_IN_PC)
			rule.vm_flags |= VM_LINK_IN_PC;
		break;
	default:
		break;
	}
	return rule;
}

static void target_new(void)
{
	struct luajit_build build = {.gc64 = 1,
				     .save_L = SAVE_L,
				     .save_cframe = 32,
				     .frame_size = FRAME,
				     .string_data = 0x18,
				     .string_length = 0x14,
				     .dispatch_from_g = 0xf50,
				     .cur_L = 0x158,
				     .jit_base = 0x160};
	uint64_t function[FUNC_SIZE / 8] = {};
	struct unwind_rule rules[PAGE_COUNT];
	enum page page;

	for (page = 0; page < PAGE_COUNT; page++)
		rules[page] = page_rule(page);
	target_make((struct file_table){.vm = 1}, rules, PAGE_COUNT);
	target->builds[0] = build;
	target->build_count = 1;
	/* A C function, ffid 1. */
	((uint8_t *)function)[GC64_GCT] = GCT_FUNCTION;
	((uint8_t *)function)[GC64_FUNC_FFID] = 1;
	replay__set_memory(target, FUNCTION, function, sizeof(function));
}

/* ---- C frames ---------------------------------------------------------------------------------
 */

static void test_complete(void)
{
	target_new();
	start_in(PAGE_PLAIN);
	return_to(STACK + 16, pc_in(PAGE_PLAIN));
	return_to(STACK + 32, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 3);
	CHECK_EQ(result.words[0], 1ull << FRAME_KIND_SHIFT | pc_in(PAGE_PLAIN));
	CHECK_EQ(result.words[1], 1ull << FRAME_KIND_SHIFT | (pc_in(PAGE_PLAIN) - 1));
	CHECK_EQ(result.words[2], 1ull << FRAME_KIND_SHIFT | (pc_in(PAGE_END) - 1));
}

static void test_return_address_of_zero_is_no_end(void)
{
	target_new();
	start_in(PAGE_PLAIN);
	return_to(STACK + 16, 0);
	walk_expecting(STOP_NO_MAPPING, LUA_OK);
	CHECK_EQ(result.word_count, 1);
}

static void test_too_many_frames(void)
{
	uint64_t i;

	target_new();
	start_in(PAGE_PLAIN);
	for (i = 1; i < 1000; i++)
		return_to(STACK + 16 * i, pc_in(PAGE_PLAIN));
	walk_expecting(STOP_TRUNCATED, LUA_OK);
	CHECK_EQ(result.native_frames, MAX_NATIVE_FRAMES);
	CHECK_EQ(result.word_count, MAX_NATIVE_FRAMES);
}

static void test_unreadable_stack(void)
{
	target_new();
	start_in(PAGE_PLAIN);
	replay__drop_memory(target, STACK, 5 * 4096);
	walk_expecting(STOP_READ_STACK, LUA_OK);
	CHECK_EQ(result.word_count, 1);
}

static void test_stack_that_ends_in_the_next_page(void)
{
	target_new();
	start_in(PAGE_PLAIN);
	target->registers[DW_REG_RSP] = STACK + 4096 - 32;
	return_to(STACK + 4096 - 16, pc_in(PAGE_PLAIN));
	return_to(STACK + 4096, pc_in(PAGE_END));
	replay__drop_memory(target, STACK + 4096, 4 * 4096);
	walk_expecting(STOP_COMPLETE, LUA_OK);
}

static void test_cfa_that_does_not_grow(void)
{
	target_new();
	start_in(PAGE_BY_POINTER);
	replay__set_word(target, STACK, STACK); /* points to itself */
	walk_expecting(STOP_CFA_ORDER, LUA_OK);

	target_new();
	start_in(PAGE_BY_POINTER);
	replay__set_word(target, STACK, STACK + 64);
	return_to(STACK + 64, pc_in(PAGE_BY_POINTER));
	replay__set_word(target, STACK + 64, STACK); /* a cycle */
	walk_expecting(STOP_CFA_ORDER, LUA_OK);
	CHECK_EQ(result.native_frames, 2);

	target_new();
	start_in(PAGE_BY_POINTER);
	replay__set_word(target, STACK, STACK + 12); /* not aligned */
	walk_expecting(STOP_CFA_ORDER, LUA_OK);
}

static void test_register_that_is_gone(void)
{
	target_new();
	start_in(PAGE_PLAIN);
	return_to(STACK + 16, pc_in(PAGE_BY_RAX)); /* rax is not kept over a call */
	walk_expecting(STOP_REGISTER, LUA_OK);

	target_new();
	start_in(PAGE_NO_RETURN);
	return_to(STACK + 16, 0);
	walk_expecting(STOP_REGISTER, LUA_OK);
}

static void test_register_of_the_interrupted_frame(void)
{
	target_new();
	start_in(PAGE_BY_RAX);
	target->registers[DW_REG_RAX] = STACK;
	return_to(STACK + 16, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
}

static void test_unsupported_expression(void)
{
	target_new();
	start_in(PAGE_UNSUPPORTED);
	walk_expecting(STOP_UNSUPPORTED, LUA_OK);
}

static void test_frame_pointer(void)
{
	target_new();
	start_in(PAGE_NONE);
	walk_expecting(STOP_NO_RULE, LUA_OK);

	target->registers[DW_REG_RBP] = STACK + 32;
	replay__set_word(target, STACK + 32, 0); /* the caller's: the outermost frame */
	replay__set_word(target, STACK + 40, pc_in(PAGE_NONE));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.native_frames, 2);

	replay__set_word(target, STACK + 40, 0xdead0000); /* leads to no code */
	walk_expecting(STOP_NO_RULE, LUA_OK);
}

/* lld's .plt has no unwind information. */
static void test_plt(void)
{
	static const uint8_t jump[] = {0xff, 0x25, 0x34, 0x12, 0, 0, 0x68, 0, 0};

	target_new();
	start_in(PAGE_NONE);
	target->registers[DW_REG_RBP] = 0; /* not the outermost frame, all the same */
	make_pages(TEXT + ((uint64_t)PAGE_NONE << TEXT_PAGE_SHIFT), 1);
	replay__set_memory(target, pc_in(PAGE_NONE), jump, sizeof(jump));
	replay__set_word(target, STACK, pc_in(PAGE_PLAIN));
	return_to(STACK + 8 + 16, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.native_frames, 3);

	replay__set_word(target, STACK, 0xdead0000); /* leads to no code */
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.native_frames, 1);
}

/* glibc's clone3, right behind its system call: test %rax,%rax; jl; je; ret. It saves nothing. */
static void test_clone(void)
{
	static const uint8_t code[16] = {0x48, 0x85, 0xc0, 0x7c, 0x18, 0x74, 0x01, 0xc3};

	target_new();
	start_in(PAGE_NONE);
	replay__set_memory(target, pc_in(PAGE_NONE), code, sizeof(code));
	target->registers[DW_REG_RAX] = (uint64_t)-38; /* what the kernel has there meanwhile */
	replay__set_word(target, STACK, pc_in(PAGE_END));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 2);
	/* In the child nothing is on the stack that it could return to. */
	target->registers[DW_REG_RAX] = 0;
	walk_expecting(STOP_NO_RULE, LUA_OK);
	CHECK_EQ(result.word_count, 1);
}

static void test_pc_outside_every_file(void)
{
	target_new();
	target->registers[DW_REG_RA] = 0xabc000;
	walk_expecting(STOP_NO_MAPPING, LUA_OK);
	CHECK_EQ(result.unknown_pc, 0xabc000);
	CHECK_EQ(result.words[0], 2ull << FRAME_KIND_SHIFT | 0xabc000);

	target->vm = 1; /* with a VM it may be compiled code, but this is none */
	walk_expecting(STOP_TRACE, LUA_OK);
}

/* ---- Lua frames --------------------------------------------------------------------------------
 */

static uint64_t state_at(unsigned int n)
{
	return STATES + 0x1000ull * n;
}

/* The slot address of frame `n` (from 0, outermost) of the state. */
static uint64_t frame_at(uint64_t L, unsigned int n)
{
	return L + LUA_STACK + 24 + 16ull * n;
}

/* A lua_State with `frames` frames of a built-in; all but those in the `boundaries` mask are
 * pcalls. */
static void make_state(uint64_t L, unsigned int frames, uint64_t boundaries, uint64_t cframe)
{
	uint8_t bytes[L_SIZE] = {[GC64_GCT] = GCT_THREAD};
	unsigned int n;

	replay__set_memory(target, L, bytes, sizeof(bytes));
	replay__set_word(target, L + GC64_L_GLREF, 0x5000);
	replay__set_word(target, L + GC64_L_BASE, frame_at(L, frames - 1) + 8);
	replay__set_word(target, L + GC64_L_STACK, L + LUA_STACK);
	replay__set_word(target, L + GC64_L_MAXSTACK, frame_at(L, frames) + 64);
	replay__set_word(target, L + GC64_L_CFRAME, cframe);
	replay__set_word(target, L + LUA_STACK, 0);
	replay__set_word(target, L + LUA_STACK + 8, 0);
	for (n = 0; n < frames; n++) {
		replay__set_word(target, frame_at(L, n) - 8,
				 (uint64_t)GC64_TAG_FUNCTION << GC64_TAG_SHIFT | FUNCTION);
		replay__set_word(target, frame_at(L, n),
				 16 | (n < 64 && boundaries >> n & 1 ? LINK_C : LINK_PCALL));
	}
}

/* Activation `n` on the C stack, counted from the innermost, of the state. */
static uint64_t activation_at(unsigned int n)
{
	return STACK + (uint64_t)FRAME * n;
}

static void make_activation(unsigned int n, uint64_t L, enum page caller)
{
	target->vm = 1;
	replay__set_word(target, activation_at(n) + SAVE_L, L);
	return_to(activation_at(n) + FRAME, pc_in(caller));
}

/* One activation with three frames, interrupted in C code. */
static void target_in_lua(enum page page)
{
	target_new();
	start_in(page);
	make_state(state_at(0), 3, 1, activation_at(0));
	make_activation(0, state_at(0), PAGE_END);
	target->registers[DW_REG_RDX] = frame_at(state_at(0), 2) + 8;
}

static void test_lua_frames(void)
{
	target_in_lua(PAGE_INTERPRETER);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 7); /* three built-ins of two words, one C frame */
	CHECK_EQ(result.words[0], (uint64_t)FRAME_KIND_BUILTIN << FRAME_KIND_SHIFT | 1);
	CHECK_EQ(result.activations, 1);
}

/* Of a process whose LuaJIT is not trusted (sample/lua_vms.h) no Lua frames are read. */
static void test_no_lua_frames_wanted(void)
{
	target_in_lua(PAGE_INTERPRETER);
	target->vm = 0;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 2);
	CHECK_EQ(result.words[0] >> FRAME_KIND_SHIFT, FRAME_KIND_NATIVE);
	CHECK_EQ(result.activations, 0);
}

static void test_base_in_a_register(void)
{
	target_in_lua(PAGE_BASE_IN_RDX);
	replay__set_word(target, state_at(0) + GC64_L_BASE, 0); /* not up to date */
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 7);
}

static void test_link_in_a_register(void)
{
	target_in_lua(PAGE_LINK_IN_PC);
	replay__set_word(target, frame_at(state_at(0), 2), 0xffffffff);
	target->registers[DW_REG_RBX] = 16 | LINK_PCALL;
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 7);
}

static void test_no_state(void)
{
	target_in_lua(PAGE_INTERPRETER);
	replay__set_word(target, activation_at(0) + SAVE_L, 0);
	expect_lost(LUA_READ_STATE);
	replay__set_word(target, activation_at(0) + SAVE_L, 0xdead0000);
	expect_lost(LUA_READ_STATE);
	replay__set_word(target, activation_at(0) + SAVE_L, FUNCTION); /* of another type */
	expect_lost(LUA_READ_STATE);
	replay__set_word(target, activation_at(0) + SAVE_L, state_at(0));
	replay__set_word(target, state_at(0) + GC64_L_STACK, 3);
	expect_lost(LUA_READ_STATE);
}

static void test_activation_of_another_state(void)
{
	target_in_lua(PAGE_INTERPRETER);
	replay__set_word(target, state_at(0) + GC64_L_CFRAME, activation_at(0) - 16);
	expect_lost(LUA_CFRAME);
	/* An error on its way to an activation that never comes. */
	replay__set_word(target, state_at(0) + GC64_L_CFRAME, activation_at(4));
	walk_expecting(STOP_COMPLETE, LUA_CFRAME);
}

static void test_error_thrown_through_an_activation(void)
{
	target_in_lua(PAGE_INTERPRETER);
	make_activation(0, state_at(0), PAGE_INTERPRETER);
	make_activation(1, state_at(0), PAGE_END);
	replay__set_word(target, state_at(0) + GC64_L_CFRAME, activation_at(1));
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 8); /* the inner activation is a C frame only */
	CHECK_EQ(result.words[0] >> FRAME_KIND_SHIFT, FRAME_KIND_NATIVE);
}

static void test_base_outside_the_stack(void)
{
	target_in_lua(PAGE_BASE_IN_RDX);
	target->registers[DW_REG_RDX] = 0x1234567;
	expect_lost(LUA_BASE);
	target->registers[DW_REG_RDX] = state_at(0) + LUA_STACK - 64;
	expect_lost(LUA_BASE);
	target_in_lua(PAGE_INTERPRETER);
	replay__set_word(target, state_at(0) + GC64_L_BASE, state_at(0)); /* into itself */
	expect_lost(LUA_BASE);
}

static void test_unreadable_lua_stack(void)
{
	target_in_lua(PAGE_INTERPRETER);
	replay__drop_memory(target, state_at(0) + LUA_STACK, 256);
	expect_lost(LUA_READ_STACK);
}

static void test_corrupt_links(void)
{
	static const uint64_t links[] = {
		0, 1, 2, LINK_PCALL, 16 * 1000 | LINK_C, ~0ull, 0xdead0000, -16ull | LINK_PCALL};
	size_t i;

	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		target_in_lua(PAGE_INTERPRETER);
		replay__set_word(target, frame_at(state_at(0), 2), links[i]);
		expect_lost(LUA_FRAME_LINK);
	}
}

static void test_no_function(void)
{
	target_in_lua(PAGE_INTERPRETER);
	replay__set_word(target, frame_at(state_at(0), 1) - 8, 42);
	expect_lost(LUA_FUNCTION);
	replay__set_word(target, frame_at(state_at(0), 1) - 8,
			 (uint64_t)GC64_TAG_FUNCTION << GC64_TAG_SHIFT | state_at(0));
	expect_lost(LUA_FUNCTION); /* the pointer leads to a state */
	replay__set_word(target, frame_at(state_at(0), 1) - 8,
			 (uint64_t)GC64_TAG_FUNCTION << GC64_TAG_SHIFT | 0xdead0000);
	expect_lost(LUA_FUNCTION);
}

/* The recorder is moving the innermost frame, to stitch two traces. */
static void test_frame_is_moving(void)
{
	uint64_t frame = frame_at(state_at(0), 3), code = TEXT + 0x40;

	target_in_lua(PAGE_INTERPRETER);
	target->builds[0].interpreter_start = TEXT;
	target->builds[0].interpreter_end = TEXT + 0x1000;
	make_state(state_at(0), 4, 1, activation_at(0));
	replay__set_word(target, frame, 32 | LINK_CONT);
	replay__set_word(target, frame - 24, code);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 7);
	replay__set_word(target, frame - 24, 0); /* a tail call's */
	walk_expecting(STOP_COMPLETE, LUA_OK);

	replay__set_word(target, frame - 24, 48 | LINK_CONT); /* where a link was moved to */
	expect_lost(LUA_FRAME_LINK);
	replay__set_word(target, frame - 24, TEXT + 0x1000);
	expect_lost(LUA_FRAME_LINK);
	replay__set_word(target, frame - 24, code);
	replay__set_word(target, frame, code); /* the continuation, in the link's place */
	expect_lost(LUA_FRAME_LINK);

	/* A built-in's result, in the place of a link that is elsewhere. */
	target_in_lua(PAGE_LINK_IN_PC);
	target->builds[0].interpreter_start = TEXT;
	target->builds[0].interpreter_end = TEXT + 0x1000;
	replay__set_word(target, frame_at(state_at(0), 2), 96 | LINK_CONT);
	target->registers[DW_REG_RBX] = 16 | LINK_PCALL;
	walk_expecting(STOP_COMPLETE, LUA_OK);
}

static void test_frames_of_one_state_in_two_activations(void)
{
	target_in_lua(PAGE_INTERPRETER);
	make_state(state_at(0), 4, 1 | 1 << 2, activation_at(0));
	make_activation(0, state_at(0), PAGE_INTERPRETER);
	make_activation(1, state_at(0), PAGE_END);
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_EQ(result.word_count, 9);
	CHECK_EQ(result.activations, 2);
}

static void test_frames_left_over(void)
{
	target_in_lua(PAGE_INTERPRETER);
	make_state(state_at(0), 4, 1 | 1 << 2, activation_at(0));
	walk_expecting(STOP_COMPLETE, LUA_ORDER);
}

static void test_activation_left_over(void)
{
	target_in_lua(PAGE_INTERPRETER);
	make_activation(0, state_at(0), PAGE_INTERPRETER);
	make_activation(1, state_at(0), PAGE_END);
	walk_expecting(STOP_COMPLETE, LUA_ORDER);
}

static void coroutines(unsigned int count, enum walk_error lua_error)
{
	unsigned int n;

	target_new();
	start_in(PAGE_INTERPRETER);
	for (n = 0; n < count; n++) {
		make_state(state_at(n), 1, 1, activation_at(n));
		make_activation(n, state_at(n), n + 1 < count ? PAGE_INTERPRETER : PAGE_END);
	}
	walk_expecting(STOP_COMPLETE, lua_error);
	CHECK_EQ(result.activations, count);
}

static void test_coroutines(void)
{
	coroutines(MAX_COROUTINES, LUA_OK);
	CHECK_EQ(result.word_count, 2 * MAX_COROUTINES + 1);
	coroutines(MAX_COROUTINES + 1, LUA_COROUTINES);
}

static void test_too_many_lua_frames(void)
{
	target_in_lua(PAGE_INTERPRETER);
	make_state(state_at(0), 900, 1, activation_at(0));
	walk_expecting(STOP_TRUNCATED, LUA_OK);
	CHECK(result.word_count > MAX_WORDS - 4);
}

int main(void)
{
	RUN(test_complete, "C frames up to the outermost");
	RUN(test_return_address_of_zero_is_no_end, "a return address of zero is no end");
	RUN(test_too_many_frames, "more C frames than the limit: truncated");
	RUN(test_unreadable_stack, "an unreadable stack");
	RUN(test_stack_that_ends_in_the_next_page, "a stack whose last page is half used");
	RUN(test_cfa_that_does_not_grow, "cycles and unaligned CFAs");
	RUN(test_register_that_is_gone, "a rule that needs a register that is not known");
	RUN(test_register_of_the_interrupted_frame, "the interrupted frame has all registers");
	RUN(test_unsupported_expression, "an unsupported expression");
	RUN(test_plt, "a PLT that has no rule");
	RUN(test_frame_pointer, "frame pointers where there is no rule");
	RUN(test_clone, "a parent in clone, which has no rule");
	RUN(test_pc_outside_every_file, "a pc outside every file");
	RUN(test_lua_frames, "Lua frames in place of the activation");
	RUN(test_no_lua_frames_wanted, "C frames only, where the process has no build");
	RUN(test_base_in_a_register, "BASE in a register");
	RUN(test_link_in_a_register, "a frame link in a register");
	RUN(test_no_state, "SAVE_L holds no lua_State");
	RUN(test_activation_of_another_state, "an activation that L does not know");
	RUN(test_error_thrown_through_an_activation, "an error on its way through an activation");
	RUN(test_base_outside_the_stack, "BASE outside the Lua stack");
	RUN(test_unreadable_lua_stack, "an unreadable Lua stack");
	RUN(test_corrupt_links, "corrupt frame links");
	RUN(test_no_function, "a frame without a function");
	RUN(test_frame_is_moving, "a frame that the recorder is moving");
	RUN(test_frames_of_one_state_in_two_activations, "one state, two activations");
	RUN(test_frames_left_over, "Lua frames without an activation");
	RUN(test_activation_left_over, "an activation without Lua frames");
	RUN(test_coroutines, "nested coroutines up to the limit, and beyond");
	RUN(test_too_many_lua_frames, "more Lua frames than the limit: truncated");
	replay__free(target);
	return TEST_RESULT();
}
