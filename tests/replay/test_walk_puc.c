// SPDX-License-Identifier: Apache-2.0
/*
 * The walk over hand-made memory of PUC Lua: what an activation of luaV_execute gives, by the ways
 * in which releases keep their CallInfos (5.1: an array; 5.2 and later: linked), and what it
 * reports of a damaged or hostile target. Each enum walk_error that it can give is reached. Real
 * stacks are test_replay.c's, what stops a walk is test_walk.c's.
 */
#include "test_walk_target.h"
#include "vm/puc.h"

#define STATES	 0x200000ull /* lua_States, STATE apart, each with what belongs to it */
#define STATE	 0x20000ull
#define CALLS	 0x400ull   /* of a state: its CallInfos, from its own address on */
#define VALUES	 0x10000ull /* ... its stack */
#define CALL	 0x50ull    /* from one linked CallInfo to the next */
#define GLOBAL	 0x100000ull
#define CLOSURES 0x110000ull /* function n: 0x100 each, closure, proto, code */
#define STRING	 0x120000ull
#define FRAME	 80
#define L_TOP	 16
#define L_BASE	 24 /* 5.1 */

#define TYPE_LUA 6
#define TYPE_C	 0x66 /* 5.2: a collectable C closure; 5.1: 6 */

enum page {
	PAGE_PLAIN,
	PAGE_END,
	PAGE_EXECUTE,	 /* luaV_execute, its position is in memory */
	PAGE_PC_IN_RBX,	 /* ... in rbx */
	PAGE_CI_IN_SLOT, /* ... in the CallInfo that stands 24 bytes below the CFA */
	PAGE_LEAVING,	 /* it has no Lua frame any more */
	PAGE_L_IN_RBP,
	PAGE_FAR,     /* its position is in rbx, a far jump half way */
	PAGE_NUMBER,  /* ... in rbx, but when r12 is 2 */
	PAGE_POPPING, /* it calls luaD_poscall */
	PAGE_COUNT,
};

static const unsigned int releases[] = {50105, 50204, 50300, 50306, 50404, 50500};
#define RELEASES (sizeof(releases) / sizeof(releases[0]))

static const struct puc_build *build;

static void target_new(unsigned int release)
{
	struct unwind_rule rules[PAGE_COUNT];
	struct puc_build puc;
	unsigned int page;

	for (page = 0; page < PAGE_COUNT; page++) {
		rules[page] = plain_rule();
		if (page == PAGE_END)
			rules[page].cfa_kind = CFA_END;
		if (page < PAGE_EXECUTE)
			continue;
		rules[page].cfa_offset = FRAME;
		rules[page].cfa_offset2 = -16;
		rules[page].flags = RULE_PUC;
		rules[page].vm_pc = VM_NO_REG;
	}
	rules[PAGE_PC_IN_RBX].vm_pc = DW_REG_RBX;
	rules[PAGE_CI_IN_SLOT].vm_pc_slot = 3;
	rules[PAGE_CI_IN_SLOT].vm_flags = PUC_PC_OF_CI;
	rules[PAGE_LEAVING].vm_flags = PUC_NO_FRAME;
	rules[PAGE_L_IN_RBP].vm_base_reg = DW_REG_RBP;
	rules[PAGE_FAR].vm_pc = rules[PAGE_NUMBER].vm_pc = DW_REG_RBX;
	rules[PAGE_FAR].vm_flags = PUC_PC_FAR | PUC_PC_NEXT;
	rules[PAGE_NUMBER].vm_pc_slot = DW_REG_R12 << 4 | 2;
	rules[PAGE_POPPING].vm_flags = PUC_POPPING;
	target_make((struct file_table){.puc = 1}, rules, PAGE_COUNT);
	CHECK_EQ(puc_layout__get(release, &puc), 0);
	target->pucs[0] = puc;
	target->puc_count = 1;
	build = &target->pucs[0];
	make_pages(GLOBAL, 1);
	make_pages(CLOSURES, 1);
	make_pages(STRING, 1);
}

static bool is_51(void)
{
	return build->boundary == PUC_FRESH_CALLER;
}

/* ---- functions --------------------------------------------------------------------------------
 */

static uint64_t closure_at(unsigned int n)
{
	return CLOSURES + 0x100ull * n;
}

static uint64_t code_of(unsigned int n)
{
	return closure_at(n) + 0xc0;
}

/* A Lua function of ten instructions, all of them calls. */
static void make_function(unsigned int n)
{
	uint64_t closure = closure_at(n), proto = closure + 0x40;
	uint8_t type = build->proto_type, closure_type = TYPE_LUA & 0x3f;
	uint32_t size = 10, line = 7 + n, call = build->op_call;
	unsigned int i;

	replay__set_memory(target, closure + 8, &closure_type, 1);
	replay__set_word(target, closure + build->closure_proto, proto);
	replay__set_memory(target, proto + 8, &type, 1);
	replay__set_word(target, proto + build->proto_code, code_of(n));
	replay__set_memory(target, proto + build->proto_size_code, &size, 4);
	replay__set_memory(target, proto + build->proto_first_line, &line, 4);
	replay__set_word(target, proto + build->proto_source, STRING);
	for (i = 0; i < size; i++)
		replay__set_memory(target, code_of(n) + 4ull * i, &call, 4);
}

static void make_c_function(unsigned int n)
{
	uint8_t is_c = 1, type = (is_51() ? TYPE_LUA : TYPE_C) & 0x3f;

	replay__set_memory(target, closure_at(n) + 8, &type, 1);
	replay__set_memory(target, closure_at(n) + 10, &is_c, 1);
	replay__set_word(target, closure_at(n) + build->closure_c, pc_in(PAGE_PLAIN));
}

/* ---- states -----------------------------------------------------------------------------------
 */

static uint64_t state_at(unsigned int n)
{
	return STATES + STATE * n;
}

/* The CallInfo of frame `n`; 0 is the outermost one, of no function. */
static uint64_t call_at(uint64_t L, unsigned int n)
{
	if (is_51())
		return L + CALLS + (uint64_t)build->ci_size * n;
	return n ? L + CALLS + CALL * n : L + build->L_base_ci;
}

static uint64_t value_at(uint64_t L, unsigned int n)
{
	return L + VALUES + 32ull * n;
}

static void set_half(uint64_t address, uint32_t value)
{
	replay__set_memory(target, address, &value, 4);
}

/*
 * A state whose frames are, from the outermost: 'F' a Lua function entered from C, 'L' one called
 * by Lua, 'T' one that took its caller's place, 'C' a C function. Each is at its function's
 * instruction number `frame`.
 */
static void make_frames(uint64_t L, unsigned int frame, unsigned int count, char kind)
{
	uint64_t ci, func;
	uint32_t status = 0;

	for (; count--; frame++) {
		unsigned int n = kind == 'C' ? 8 : frame % 4;

		ci = call_at(L, frame);
		func = value_at(L, frame);
		replay__set_word(target, func, closure_at(n));
		replay__set_word(target, func + 8, kind != 'C' || is_51() ? TYPE_LUA : TYPE_C);
		replay__set_word(target, ci + build->ci_func, func);
		replay__set_word(target, ci + build->ci_savedpc, code_of(n) + 4 * (1 + frame % 9));
		replay__set_word(target, L + build->L_ci, ci);
		if (is_51()) {
			set_half(ci + build->ci_tailcalls, kind == 'T');
			replay__set_word(target, L + build->L_savedpc,
					 code_of(n) + 4 * (1 + frame % 9));
			continue;
		}
		status = kind == 'C' ? ~build->ci_lua_value & build->ci_lua : build->ci_lua_value;
		if (kind != 'C' && (kind == 'F') == (build->boundary == PUC_FRESH_SET))
			status |= build->ci_fresh;
		if (kind == 'T')
			status |= build->ci_tail;
		replay__set_word(target, ci + build->ci_previous, call_at(L, frame - 1));
		replay__set_memory(target, ci + build->ci_callstatus, &status,
				   build->release >= 50500   ? 4
				   : build->release >= 50300 ? 2
							     : 1);
	}
}

static void make_state(uint64_t L, const char *kinds)
{
	uint8_t thread = 8;
	unsigned int n;

	make_pages(L, 32);
	replay__set_memory(target, L + 8, &thread, 1);
	replay__set_word(target, L + build->L_g, GLOBAL);
	replay__set_word(target, L + build->L_stack, L + VALUES);
	replay__set_word(target, L + build->L_stack_last, L + STATE - 0x100);
	replay__set_word(target, L + build->L_ci, call_at(L, 0));
	replay__set_word(target, L + L_TOP, value_at(L, 20));
	if (is_51()) {
		replay__set_word(target, L + build->L_base_ci, call_at(L, 0));
		replay__set_word(target, L + L_BASE, value_at(L, 19));
	}
	for (n = 0; n < 4; n++)
		make_function(n);
	make_c_function(8);
	for (n = 0; kinds[n]; n++)
		make_frames(L, n + 1, 1, kinds[n]);
}

static void make_activation(unsigned int n, uint64_t L, enum page caller)
{
	uint64_t cfa = STACK + (uint64_t)FRAME * (n + 1);

	replay__set_word(target, cfa - 16, L);
	return_to(cfa, pc_in(caller));
}

/* One activation, of the main thread. 5.5's is inside its global_State. */
static void target_in(unsigned int release, const char *kinds)
{
	target_new(release);
	start_in(PAGE_EXECUTE);
	make_state(state_at(0), kinds);
	if (build->mainthread_inside)
		replay__set_word(target, state_at(0) + build->L_g,
				 state_at(0) - build->g_mainthread);
	else
		replay__set_word(target, GLOBAL + build->g_mainthread, state_at(0));
	make_activation(0, state_at(0), PAGE_END);
}

/* The words' kinds, innermost first: L, C (a C function's), T (a tail call), n (a native frame), !
 */
static const char *shape(void)
{
	static char text[MAX_WORDS + 1];
	unsigned int i, n = 0;
	uint64_t kind;

	for (i = 0; i < result.word_count; i++) {
		kind = result.words[i] >> FRAME_KIND_SHIFT;
		text[n++] = kind == FRAME_KIND_LUA	   ? 'L'
			    : kind == FRAME_KIND_BUILTIN   ? 'C'
			    : kind == FRAME_KIND_TAIL_CALL ? 'T'
			    : kind == FRAME_KIND_NATIVE	   ? 'n'
							   : '!';
		i += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
	}
	text[n] = 0;
	return text;
}

static void expect_shape(const char *wanted)
{
	walk_expecting(STOP_COMPLETE, LUA_OK);
	CHECK_STR(shape(), wanted);
}

#define EACH_RELEASE(i) for (i = 0; i < RELEASES; i++)

static void test_frames(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLLC");
		expect_shape("CLLLn");
		CHECK_EQ(result.lua_frames, 3);
		CHECK_EQ(result.activations, 1);
		CHECK_EQ((uint32_t)result.words[2], 3); /* the third, after four instructions */
		CHECK_EQ(result.protos[0], closure_at(3) + 0x40);
		CHECK_EQ(result.protos[2], closure_at(1) + 0x40);
	}
}

static void test_position(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FL");
		start_in(PAGE_PC_IN_RBX);
		target->registers[DW_REG_RBX] = code_of(2) + 4 * 9;
		expect_shape("LLn");
		CHECK_EQ((uint32_t)result.words[0], 8); /* not the one in memory */
		start_in(PAGE_CI_IN_SLOT);
		replay__set_word(target, STACK + FRAME - 24, call_at(state_at(0), 2));
		expect_shape("LLn");
		CHECK_EQ((uint32_t)result.words[0], 2);
	}
}

static void test_tail_call(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FTL");
		expect_shape("LLTLn");
	}
}

static void test_no_frame(void)
{
	target_in(50404, "F");
	start_in(PAGE_LEAVING);
	replay__set_word(target, state_at(0) + build->L_ci, call_at(state_at(0), 0));
	expect_shape("nn");
}

static void test_two_activations(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLCFL");
		make_activation(0, state_at(0), PAGE_EXECUTE);
		make_activation(1, state_at(0), PAGE_END);
		expect_shape("LLCLLn");
		CHECK_EQ(result.activations, 2);
	}
}

static void test_activation_without_frames(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FL");
		make_activation(0, state_at(0), PAGE_EXECUTE);
		make_activation(1, state_at(0), PAGE_END);
		expect_lost(LUA_ORDER);
	}
}

/* Frames that no activation has: a main thread cannot have them, a coroutine that has yielded
 * inside pcall and was resumed can. */
static void test_frames_left_over(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLCFL");
		walk_expecting(STOP_COMPLETE, LUA_ORDER);
		CHECK_STR(shape(), "LLn");

		target_in(releases[i], "F");
		make_state(state_at(1), "FCFL");
		replay__set_word(target, state_at(1) + build->L_g,
				 build->mainthread_inside ? state_at(0) - build->g_mainthread
							  : GLOBAL);
		make_activation(0, state_at(1), PAGE_EXECUTE);
		make_activation(1, state_at(0), PAGE_END);
		expect_shape("LLCLLn"); /* in front of the main thread's */
		CHECK_EQ(result.protos[2], closure_at(1) + 0x40);
	}
}

static void test_no_state(void)
{
	unsigned int i;
	uint8_t table = 5;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FL");
		make_activation(0, 0, PAGE_END);
		expect_lost(LUA_READ_STATE);
		make_activation(0, state_at(0) + 4, PAGE_END);
		expect_lost(LUA_READ_STATE);
		make_activation(0, 0xdead0000, PAGE_END);
		expect_lost(LUA_READ_STATE);
		make_activation(0, GLOBAL, PAGE_END); /* no thread */
		expect_lost(LUA_READ_STATE);

		target_in(releases[i], "FL");
		replay__set_memory(target, state_at(0) + 8, &table, 1);
		expect_lost(LUA_READ_STATE);
		target_in(releases[i],
			  "FL"); /* another global_State's main thread is no thread of it */
		replay__set_word(target, state_at(0) + build->L_g, GLOBAL + 0x800);
		expect_lost(LUA_READ_STATE);
		target_in(releases[i], "FL");
		replay__set_word(target, state_at(0) + build->L_stack_last, 0);
		expect_lost(LUA_READ_STATE);
	}
	/* luaV_execute's L is in a register that a call does not keep. */
	target_in(50404, "FL");
	start_in(PAGE_L_IN_RBP);
	target->registers[DW_REG_RBP] = 0;
	expect_lost(LUA_READ_STATE);
	target->registers[DW_REG_RBP] = state_at(0);
	expect_shape("LLn");
}

static void test_forged_calls(void)
{
	uint64_t L = state_at(0);
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLL");
		replay__set_word(target, L + build->L_ci, 0xdead0000);
		expect_lost(LUA_READ_STACK);
		replay__set_word(target, L + build->L_ci, call_at(L, 3) + 4);
		expect_lost(LUA_READ_STACK);
		/* Its function stands where no value of this stack does, or above its callee's. */
		target_in(releases[i], "FLL");
		replay__set_word(target, call_at(L, 1) + build->ci_func, L + STATE);
		expect_lost(LUA_FRAME_LINK);
		replay__set_word(target, call_at(L, 1) + build->ci_func, value_at(L, 1) + 1);
		expect_lost(LUA_FRAME_LINK);
		replay__set_word(target, call_at(L, 1) + build->ci_func, value_at(L, 2));
		expect_lost(LUA_FRAME_LINK);
		replay__set_word(target, call_at(L, 1) + build->ci_func, L + VALUES - 8);
		expect_lost(LUA_FRAME_LINK);
		if (is_51())
			continue;
		target_in(releases[i], "FLL"); /* a circle */
		replay__set_word(target, call_at(L, 2) + build->ci_previous, call_at(L, 3));
		expect_lost(LUA_FRAME_LINK);
		replay__set_word(target, call_at(L, 2) + build->ci_previous, call_at(L, 2));
		expect_lost(LUA_FRAME_LINK);
		replay__set_word(target, call_at(L, 2) + build->ci_previous, 0);
		expect_lost(LUA_READ_STACK);
	}
}

/* The innermost CallInfo is one before its fields are: its function has not begun. */
static void test_unfilled_call(void)
{
	static const char *const shapes[] = {"FLC", "FLL"};
	uint64_t L = state_at(0), elsewhere[] = {L + STATE, L + VALUES - 8, 0, 0xdead0001, 0};
	unsigned int i, k, n;

	EACH_RELEASE(i)
	{
		for (k = 0; k < 2; k++) {
			/* What malloc left there; the place of another call, below its caller's. */
			elsewhere[4] = value_at(L, 1);
			for (n = 0; n < 5; n++) {
				target_in(releases[i], shapes[k]);
				replay__set_word(target, call_at(L, 3) + build->ci_func,
						 elsewhere[n]);
				expect_shape("LLn");
				CHECK_EQ(result.protos[0], closure_at(2) + 0x40);
			}
		}
		/* The whole stack is being moved: then it is not known what is missing. */
		target_in(releases[i], "FLC");
		replay__set_word(target, call_at(L, 3) + build->ci_func, L + STATE);
		replay__set_word(target, L + L_TOP, L + 2 * STATE);
		expect_lost(LUA_FRAME_LINK);
		if (!is_51())
			continue;
		replay__set_word(target, L + L_TOP, value_at(L, 20));
		replay__set_word(target, L + L_BASE, L + 2 * STATE);
		expect_lost(LUA_FRAME_LINK);
	}
}

static void test_far_jump(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FL");
		start_in(PAGE_FAR);
		target->registers[DW_REG_RBX] =
			code_of(2) + 4 * 7 + 4 * (releases[i] < 50400 ? 131071 : 16777215);
		expect_shape("LLn");
		CHECK_EQ((uint32_t)result.words[0], 7);
	}
}

static void test_number_that_tells(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FL");
		start_in(PAGE_NUMBER);
		target->registers[DW_REG_RBX] = code_of(2) + 4 * 9;
		target->registers[DW_REG_R12] = 4;
		expect_shape("LLn");
		CHECK_EQ((uint32_t)result.words[0], 8);
		target->registers[DW_REG_R12] = 0xabc00000002; /* the low half counts */
		expect_shape("LLn");
		CHECK_EQ((uint32_t)result.words[0], 2);
	}
}

/* While 5.1's luaD_poscall runs: the frame is there as long as the saved position is OP_RETURN's.
 */
static void test_popping(void)
{
	uint64_t L = state_at(0);
	uint32_t op_return;

	target_in(50105, "FLCFL");
	op_return = build->op_call + 2u;
	replay__set_memory(target, code_of(1) + 4 * 5, &op_return, 4);
	replay__set_word(target, L + build->L_savedpc, code_of(1) + 4 * 6);
	start_in(PAGE_POPPING);
	make_activation(0, L, PAGE_EXECUTE);
	make_activation(1, L, PAGE_END);
	expect_shape("LLCLLn");
	CHECK_EQ((uint32_t)result.words[0], 5);

	/* It was called by the same activation. */
	replay__set_word(target, L + build->L_ci, call_at(L, 4));
	replay__set_word(target, L + build->L_savedpc, code_of(0) + 4 * 5);
	expect_shape("LCLLn");

	/* By C: the activation has no frame any more. */
	replay__set_word(target, L + build->L_ci, call_at(L, 3));
	replay__set_word(target, L + build->L_savedpc, code_of(2) + 4 * 3);
	expect_shape("nCLLn");
}

static void test_unreadable_lua_stack(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLL");
		replay__drop_memory(target, state_at(0) + VALUES, STATE - VALUES);
		expect_lost(LUA_READ_STACK);
	}
}

/* A caller's function cannot be gone. */
static void test_no_function(void)
{
	uint64_t L = state_at(0);
	unsigned int i;
	uint8_t type = 5;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLL");
		replay__set_word(target, value_at(L, 2), 0xdead0000);
		expect_lost(LUA_FUNCTION);
		target_in(releases[i], "FLL"); /* no proto */
		replay__set_memory(target, closure_at(2) + 0x40 + 8, &type, 1);
		expect_lost(LUA_FUNCTION);
		replay__set_word(target, closure_at(2) + build->closure_proto, 0xdead0000);
		expect_lost(LUA_FUNCTION);
		target_in(releases[i], "FLL"); /* it is not in that function */
		replay__set_word(target, call_at(L, 2) + build->ci_savedpc, code_of(1));
		if (is_51()) /* then C has called the innermost one */
			walk_expecting(STOP_COMPLETE, LUA_ORDER);
		else
			expect_lost(LUA_FUNCTION);
		target_in(releases[i], "FCC"); /* a string where a function was called */
		replay__set_word(target, value_at(L, 2) + 8, 4);
		expect_lost(LUA_FUNCTION);
	}
}

/* The innermost one's results, or an error's message, stand where it did, and it is not popped
 * yet. */
static void test_function_that_has_returned(void)
{
	uint64_t L = state_at(0);
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "FLC");
		replay__set_word(target, value_at(L, 3) + 8, 3); /* a number */
		expect_shape("LLn");
		target_in(releases[i], "FLC"); /* half of a value is written */
		replay__set_word(target, value_at(L, 3), STRING);
		expect_shape("LLn");
		target_in(releases[i], "FLL"); /* a function: another one */
		replay__set_word(target, value_at(L, 3), closure_at(5));
		make_function(5);
		expect_shape("LLn");
	}
}

static void coroutines(unsigned int release, unsigned int count, enum walk_error lua_error)
{
	uint64_t g;
	unsigned int n;

	target_in(release, "F");
	g = build->mainthread_inside ? state_at(0) - build->g_mainthread : GLOBAL;
	for (n = 0; n < count; n++) {
		if (n) {
			make_state(state_at(n), "F");
			replay__set_word(target, state_at(n) + build->L_g, g);
		}
		make_activation(count - 1 - n, state_at(n), n ? PAGE_EXECUTE : PAGE_END);
	}
	walk_expecting(STOP_COMPLETE, lua_error);
	CHECK_EQ(result.activations, count);
}

static void test_coroutines(void)
{
	coroutines(50105, MAX_COROUTINES, LUA_OK);
	CHECK_EQ(result.word_count, 2 * MAX_COROUTINES + 1);
	coroutines(50404, MAX_COROUTINES, LUA_OK);
	CHECK_EQ(result.word_count, 2 * MAX_COROUTINES + 1);
	coroutines(50105, MAX_COROUTINES + 1, LUA_COROUTINES);
	coroutines(50404, MAX_COROUTINES + 1, LUA_COROUTINES);
}

static void test_too_many_frames(void)
{
	unsigned int i;

	EACH_RELEASE(i)
	{
		target_in(releases[i], "F");
		make_frames(state_at(0), 2, MAX_LUA_FRAMES + 10, 'L');
		walk_expecting(STOP_TRUNCATED, LUA_OK);
		CHECK_EQ(result.lua_frames, MAX_LUA_FRAMES);
	}
}

int main(void)
{
	RUN(test_frames, "Lua and C functions in place of the activation");
	RUN(test_position, "the position in a register, and in a CallInfo that is in a slot");
	RUN(test_tail_call, "tail calls");
	RUN(test_no_frame, "an activation that is being left");
	RUN(test_two_activations, "one state, two activations");
	RUN(test_activation_without_frames, "an activation without Lua frames");
	RUN(test_frames_left_over, "frames that no activation has: a coroutine's are kept");
	RUN(test_no_state, "L is no lua_State");
	RUN(test_forged_calls, "corrupt and circular CallInfos");
	RUN(test_unfilled_call, "a CallInfo that is not filled yet");
	RUN(test_far_jump, "a position half way through a far jump");
	RUN(test_number_that_tells, "a number that tells whose position is in a register");
	RUN(test_popping, "5.1: a frame that is being popped");
	RUN(test_unreadable_lua_stack, "an unreadable Lua stack");
	RUN(test_no_function, "a frame without a function");
	RUN(test_function_that_has_returned, "a function whose results stand in its place");
	RUN(test_coroutines, "nested coroutines up to the limit, and beyond");
	RUN(test_too_many_frames, "more Lua frames than the limit: truncated");
	replay__free(target);
	return TEST_RESULT();
}
