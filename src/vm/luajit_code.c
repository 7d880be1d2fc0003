/* SPDX-License-Identifier: Apache-2.0 */
#include "luajit_code.h"

#include <errno.h>
#include <string.h>

#include "../bpf/luajit_layout.h"
#include "luajit_known.h"

#define GC64_L_TOP 0x28
#define GC32_L_TOP 0x18

/* Fewer bytes than any global_State has. */
#define MIN_DISPATCH 0x100

bool luajit_code__is_link(const struct luajit_code *self, const struct x86_instruction *i)
{
	return i->base == DW_REG_RDX && i->index == X86_NO_REG && i->disp == -self->link_size &&
	       i->width == self->link_size;
}

bool luajit_code__is_l_base(const struct luajit_code *self, const struct x86_instruction *i)
{
	return i->base != X86_NO_REG && i->base != DW_REG_RSP && i->base != DW_REG_R14 &&
	       i->base != DW_REG_RDX && i->index == X86_NO_REG && i->disp == self->l_base &&
	       i->width == self->link_size;
}

bool luajit_code__in_trace_exit(const struct luajit_code *self, uint64_t address)
{
	return address >= self->trace_exit_start && address < self->trace_exit_end;
}

/* push rbp; push rbx; push r15; push r14; sub rsp, 40: the C frame is made. */
bool luajit_code__is_entry(const struct luajit_code *self, size_t at)
{
	static const uint8_t order[] = {DW_REG_RBP, DW_REG_RBX, DW_REG_R15, DW_REG_R14};
	const struct x86_instruction *i = self->code.instructions;
	size_t first = 0, k;

	if (i[at].op != X86_PUSH)
		return false;
	if (i[at].source == DW_REG_RBX) {
		/* Without push rbp: FFI callbacks. Not the tail of a whole entry. */
		if (at && i[at - 1].op == X86_PUSH && i[at - 1].source == DW_REG_RBP)
			return false;
		first = 1;
	}
	for (k = first; k < sizeof(order); k++, at++) {
		if (at >= self->code.count || i[at].op != X86_PUSH || i[at].source != order[k])
			return false;
	}
	return at < self->code.count && i[at].op == X86_ADD_IMM && i[at].reg == DW_REG_RSP &&
	       i[at].imm == -40;
}

enum luajit_helper luajit_code__helper(const struct luajit_code *self,
				       const struct x86_instruction *call)
{
	enum luajit_helper helper = HELPER_KEEPS_BASE;
	const struct x86_instruction *i;
	ptrdiff_t at;

	at = call->target ? x86_code__find(&self->code, call->target) : -1;
	if (at < 0 || luajit_code__is_entry(self, (size_t)at))
		return HELPER_NONE;
	/* Helpers are short and straight: up to their ret. */
	for (; (size_t)at < self->code.count; at++) {
		i = &self->code.instructions[at];
		if (i->op == X86_RETURN)
			return helper;
		if (i->op == X86_CALL)
			helper = HELPER_NONE;
		if (i->writes & 1u << DW_REG_RDX)
			helper = i->op == X86_LOAD && luajit_code__is_l_base(self, i)
					 ? HELPER_RELOADS_BASE
					 : HELPER_NONE;
	}
	return HELPER_NONE;
}

/* ---- landmarks ------------------------------------------------------------------------------ */

/* lj_vm_exit_handler pushes the registers from r13 (or r15) down; it ends where rsp is reloaded. */
static int find_trace_exit(struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	size_t at, end;

	for (at = 0; at + 2 < self->code.count; at++) {
		if (i[at].op == X86_PUSH && i[at].source == DW_REG_R13 &&
		    i[at + 1].op == X86_PUSH && i[at + 1].source == DW_REG_R12 &&
		    i[at + 2].op == X86_PUSH && i[at + 2].source == DW_REG_R10 + 1)
			break;
	}
	if (at + 2 >= self->code.count)
		return -ENOENT;
	for (end = at; end < self->code.count; end++) {
		if (i[end].op == X86_MOVE && i[end].reg == DW_REG_RSP) {
			self->trace_exit_start = i[at].address;
			self->trace_exit_end = i[end].address + i[end].size;
			return 0;
		}
	}
	return -ENOENT;
}

/* `add r14, G_to_dispatch` wherever the dispatch register is made from L->glref. Without the JIT
 * compiler that is little more than the size of global_State: 0x2e8. */
static int find_dispatch(struct luajit_code *self)
{
	size_t at;

	for (at = 0; at < self->code.count; at++) {
		const struct x86_instruction *i = &self->code.instructions[at];

		if (i->op != X86_ADD_IMM || i->reg != DW_REG_R14 || i->imm < MIN_DISPATCH)
			continue;
		self->build.dispatch_from_g = (int32_t)i->imm;
		self->build.gc64 = i->width == 8;
		return 0;
	}
	return -EINVAL;
}

/* vmstate = ~INTERP is the most frequent store of -1 relative to the dispatch register. */
static int find_vmstate(struct luajit_code *self)
{
	size_t at, other, count, best = 0;

	for (at = 0; at < self->code.count; at++) {
		const struct x86_instruction *i = &self->code.instructions[at], *j;

		if (i->op != X86_STORE_IMM || i->base != DW_REG_R14 ||
		    (uint32_t)i->imm != 0xffffffff || i->width != 4)
			continue;
		count = 0;
		for (other = at; other < self->code.count; other++) {
			j = &self->code.instructions[other];
			count += j->op == X86_STORE_IMM && j->base == DW_REG_R14 &&
				 j->disp == i->disp && (uint32_t)j->imm == 0xffffffff;
		}
		if (count > best) {
			best = count;
			self->vmstate_disp = i->disp;
		}
	}
	if (best < 3)
		return -EINVAL;
	self->build.vmstate = (uint32_t)(self->build.dispatch_from_g + self->vmstate_disp);
	return 0;
}

/* From an entry up to where it has stored its first frame link: SAVE_L, the previous cframe, cur_L.
 */
static int find_entry_offsets(struct luajit_code *self)
{
	struct luajit_build *build = &self->build;
	size_t at, k;

	for (at = 0; at < self->code.count; at++) {
		if (!luajit_code__is_entry(self, at) ||
		    self->code.instructions[at].source != DW_REG_RBP)
			continue;
		for (k = at; k < self->code.count && k < at + 200; k++) {
			const struct x86_instruction *i = &self->code.instructions[k];

			if (i->op != X86_STORE)
				continue;
			if (luajit_code__is_link(self, i) && i->source == DW_REG_RBX)
				break;
			if (i->base == DW_REG_RSP && i->source == DW_REG_RDI && !build->save_L)
				build->save_L = (uint8_t)i->disp;
			if (i->base == DW_REG_RSP && i->source == DW_REG_R15 && i->width == 8 &&
			    !build->save_cframe)
				build->save_cframe = (uint8_t)i->disp;
			if (i->base == DW_REG_R14 && i->source == DW_REG_RBP && !build->cur_L)
				build->cur_L = (uint32_t)(build->dispatch_from_g + i->disp);
		}
		if (build->save_L && build->save_cframe && build->cur_L)
			return 0;
	}
	return -EINVAL;
}

/* The exit handler loads BASE from jit_base, which stands behind cur_L. */
static int find_jit_base(struct luajit_code *self)
{
	size_t at;

	self->build.jit_base = self->build.cur_L + (uint32_t)self->link_size;
	if (!self->trace_exit_end)
		return 0; /* built without the JIT compiler */
	for (at = 0; at < self->code.count; at++) {
		const struct x86_instruction *i = &self->code.instructions[at];

		if (luajit_code__in_trace_exit(self, i->address) && i->op == X86_LOAD &&
		    i->reg == DW_REG_RDX && i->base == DW_REG_R14 &&
		    self->build.dispatch_from_g + i->disp == (int32_t)self->build.jit_base)
			return 0;
	}
	return -EINVAL;
}

/*
 * Where BC_JLOOP enters a trace: BASE goes to jit_base; shortly before, the array of traces was
 * loaded from the dispatch register's structure.
 */
static int find_trace_array(struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	int32_t jit_base = (int32_t)self->build.jit_base - self->build.dispatch_from_g;
	size_t at, k;

	if (!self->trace_exit_end)
		return 0;
	for (at = 0; at < self->code.count; at++) {
		if (i[at].op != X86_STORE || i[at].base != DW_REG_R14 || i[at].disp != jit_base ||
		    i[at].source != DW_REG_RDX)
			continue;
		for (k = at; k-- && at - k < 12;) {
			if (i[k].op == X86_LOAD && i[k].base == DW_REG_R14 &&
			    i[k].width == self->link_size && i[k].index == X86_NO_REG) {
				self->build.trace_array =
					(uint32_t)(self->build.dispatch_from_g + i[k].disp);
				return 0;
			}
		}
	}
	return -EINVAL;
}

/*
 * The exit handler sets vmstate to ~EXIT and then stores the exit's number and its trace, two
 * 32-bit fields side by side.
 */
static int find_trace_exit_fields(struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions, *state = NULL;
	int32_t first = 0;
	size_t at;

	if (!self->trace_exit_end)
		return 0;
	for (at = 0; at < self->code.count; at++, i++) {
		if (!luajit_code__in_trace_exit(self, i->address) || i->base != DW_REG_R14)
			continue;
		if (i->op == X86_STORE_IMM && i->disp == self->vmstate_disp) {
			state = i;
		} else if (state && i->op == X86_STORE && i->width == 4) {
			if (!first) {
				first = i->disp;
				continue;
			}
			if (i->disp - first != 4 && first - i->disp != 4)
				return -EINVAL;
			first = i->disp < first ? i->disp : first;
			self->build.trace_exit = (uint32_t)(self->build.dispatch_from_g + first);
			return 0;
		}
	}
	return -EINVAL;
}

/* string.byte: cmp dword [str->len], 1; ...; movzx, byte [str + data]. */
static int find_string_data(struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	size_t at, k;

	for (at = 0; at + 4 < self->code.count; at++) {
		if (i[at].op != X86_COMPARE_IMM || i[at].base != DW_REG_RBP || i[at].imm != 1 ||
		    i[at].width != 4)
			continue;
		for (k = at + 1; k <= at + 4; k++) {
			if (i[k].op == X86_LOAD_EXTEND && i[k].base == DW_REG_RBP &&
			    i[k].width == 1 &&
			    (i[k].disp == i[at].disp + 4 || i[k].disp == i[at].disp + 8)) {
				self->build.string_data = (uint8_t)i[k].disp;
				self->build.string_length = (uint8_t)i[at].disp;
				return 0;
			}
		}
	}
	return -EINVAL;
}

/* ISNEXT that finds another iterator than next() makes itself a JMP and its loop an ITERC: so the
 * opcodes are numbered as it is known here. */
static int check_opcodes(const struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	size_t at, k;

	for (at = 0; at < self->code.count; at++) {
		if (i[at].op != X86_STORE_IMM || i[at].width != 1 || i[at].base != DW_REG_RBX ||
		    i[at].disp != -4 || i[at].imm != BC_JMP)
			continue;
		for (k = at + 1; k < self->code.count && k < at + 8; k++) {
			if (i[k].op == X86_STORE_IMM && i[k].width == 1 &&
			    i[k].base == DW_REG_RBX && i[k].disp == 0 && i[k].imm == BC_ITERC)
				return 0;
		}
	}
	return -EINVAL;
}

/* Behind the exit handler: cmp op, FUNCF; jb ...; cmp op, FUNCC + 2; jae ...: is it a function's
 * header where the interpreter goes on? */
static int find_function_header(struct luajit_code *self)
{
	const struct x86_instruction *i = self->code.instructions;
	size_t at;

	if (!self->trace_exit_end)
		return 0;
	for (at = 0; at + 2 < self->code.count; at++) {
		if (i[at].address < self->trace_exit_end || i[at].op != X86_COMPARE_REG ||
		    i[at + 1].op != X86_BRANCH || i[at + 2].op != X86_COMPARE_REG ||
		    i[at].reg != i[at + 2].reg || i[at].imm <= BC_JMP ||
		    i[at].imm + BC_HEADERS != i[at + 2].imm || i[at + 2].imm > 255)
			continue;
		self->build.bc_funcf = (uint8_t)i[at].imm;
		return 0;
	}
	return -EINVAL;
}

/* The entry of FFI callbacks is there when the FFI is. */
static void find_ffi(struct luajit_code *self)
{
	size_t at;

	for (at = 0; at < self->code.count; at++) {
		if (luajit_code__is_entry(self, at) &&
		    self->code.instructions[at].source == DW_REG_RBX)
			self->build.ffi = 1;
	}
}

int luajit_code__open(const uint8_t *text, size_t size, uint64_t vaddr, struct luajit_code *self)
{
	int err;

	memset(self, 0, sizeof(*self));
	err = x86_code__decode(text, size, vaddr, &self->code);
	if (err)
		return err;
	err = luajit_known__fingerprint(&self->code, text, size, vaddr, &self->fingerprint);
	if (!err)
		err = find_dispatch(self);
	if (err)
		goto out;
	self->build.interpreter_start = vaddr;
	self->build.interpreter_end = vaddr + size;
	self->build.frame_size = 80;
	self->link_size = self->build.gc64 ? 8 : 4;
	self->save_pc = self->build.gc64 ? 0x18 : 0x1c;
	self->l_base = self->build.gc64 ? GC64_L_BASE : GC32_L_BASE;
	self->l_top = self->build.gc64 ? GC64_L_TOP : GC32_L_TOP;
	find_trace_exit(self);
	err = find_vmstate(self);
	if (!err)
		err = find_entry_offsets(self);
	if (!err)
		err = find_jit_base(self);
	if (!err)
		err = find_trace_array(self);
	if (!err)
		err = find_trace_exit_fields(self);
	if (!err)
		err = find_string_data(self);
	if (!err)
		err = check_opcodes(self);
	if (!err)
		err = find_function_header(self);
	if (!err)
		find_ffi(self);
out:
	if (err)
		luajit_code__close(self);
	return err;
}

void luajit_code__close(struct luajit_code *self)
{
	x86_code__free(&self->code);
}
