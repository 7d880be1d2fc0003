/* SPDX-License-Identifier: Apache-2.0 */
#include "x86_code.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/contract.h"

#define REL32_SIZE 4 /* a distance, the last bytes of a call, jump or branch */

/* Any width of a general register to its DWARF number. */
static uint8_t dwarf_number(unsigned int reg)
{
	switch (reg) {
	case X86_REG_RAX:
	case X86_REG_EAX:
	case X86_REG_AX:
	case X86_REG_AL:
	case X86_REG_AH:
		return DW_REG_RAX;
	case X86_REG_RDX:
	case X86_REG_EDX:
	case X86_REG_DX:
	case X86_REG_DL:
	case X86_REG_DH:
		return DW_REG_RDX;
	case X86_REG_RCX:
	case X86_REG_ECX:
	case X86_REG_CX:
	case X86_REG_CL:
	case X86_REG_CH:
		return DW_REG_RCX;
	case X86_REG_RBX:
	case X86_REG_EBX:
	case X86_REG_BX:
	case X86_REG_BL:
	case X86_REG_BH:
		return DW_REG_RBX;
	case X86_REG_RSI:
	case X86_REG_ESI:
	case X86_REG_SI:
	case X86_REG_SIL:
		return DW_REG_RSI;
	case X86_REG_RDI:
	case X86_REG_EDI:
	case X86_REG_DI:
	case X86_REG_DIL:
		return DW_REG_RDI;
	case X86_REG_RBP:
	case X86_REG_EBP:
	case X86_REG_BP:
	case X86_REG_BPL:
		return DW_REG_RBP;
	case X86_REG_RSP:
	case X86_REG_ESP:
	case X86_REG_SP:
	case X86_REG_SPL:
		return DW_REG_RSP;
	}
	/* The numbered registers are in order within each width. */
	if (reg >= X86_REG_R8 && reg <= X86_REG_R15)
		return DW_REG_R8 + (reg - X86_REG_R8);
	if (reg >= X86_REG_R8B && reg <= X86_REG_R15B)
		return DW_REG_R8 + (reg - X86_REG_R8B);
	if (reg >= X86_REG_R8D && reg <= X86_REG_R15D)
		return DW_REG_R8 + (reg - X86_REG_R8D);
	if (reg >= X86_REG_R8W && reg <= X86_REG_R15W)
		return DW_REG_R8 + (reg - X86_REG_R8W);
	return X86_NO_REG;
}

static void take_memory(struct x86_instruction *out, const cs_x86_op *op)
{
	out->base = dwarf_number(op->mem.base);
	out->index = dwarf_number(op->mem.index);
	out->scale = (uint8_t)op->mem.scale;
	out->disp = (int32_t)op->mem.disp;
	out->width = op->size;
	if (op->mem.base == X86_REG_RIP)
		out->target = out->address + out->size + (uint64_t)op->mem.disp;
}

static void classify_move(struct x86_instruction *out, const cs_x86 *x86)
{
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];

	if (to->type == X86_OP_MEM) {
		take_memory(out, to);
		out->op = X86_STORE_OTHER;
		if (from->type == X86_OP_REG) {
			out->op = X86_STORE;
			out->source = dwarf_number(from->reg);
		} else if (from->type == X86_OP_IMM) {
			out->op = X86_STORE_IMM;
			out->imm = from->imm;
		}
		return;
	}
	out->reg = dwarf_number(to->reg);
	out->width = to->size;
	if (from->type == X86_OP_MEM) {
		out->op = X86_LOAD;
		take_memory(out, from);
	} else if (from->type == X86_OP_REG) {
		out->op = X86_MOVE;
		out->source = dwarf_number(from->reg);
	} else if (from->type == X86_OP_IMM) {
		out->op = X86_MOVE_IMM;
		out->imm = from->imm;
	}
}

static void classify_arithmetic(struct x86_instruction *out, const cs_x86 *x86, unsigned int id)
{
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];

	bool adds = id == X86_INS_ADD || id == X86_INS_SUB;

	if (adds && from->type != X86_OP_IMM)
		out->adds = id == X86_INS_SUB	       ? X86_SUBTRACTS
			    : from->type == X86_OP_REG ? X86_ADDS_REG
						       : X86_ADDS_MEMORY;
	if (to->type != X86_OP_REG) {
		if (adds && from->type == X86_OP_IMM) {
			out->adds = X86_ADDS_IMM;
			out->imm = id == X86_INS_SUB ? -from->imm : from->imm;
		}
		return;
	}
	out->reg = dwarf_number(to->reg);
	out->width = to->size;
	if (from->type == X86_OP_REG)
		out->source = dwarf_number(from->reg);
	if (from->type == X86_OP_IMM) {
		out->op = id == X86_INS_XOR   ? X86_XOR_IMM
			  : id == X86_INS_AND ? X86_AND_IMM
					      : X86_ADD_IMM;
		out->imm = id == X86_INS_SUB ? -from->imm : from->imm;
	} else if (from->type == X86_OP_REG && id == X86_INS_SUB) {
		out->op = X86_SUB;
	}
}

/* The target of a jump or call that is in memory: nothing here has use for a rip-relative one. */
static void take_indirect(struct x86_instruction *out, const cs_x86_op *op)
{
	take_memory(out, op);
	out->target = 0;
}

static void classify_transfer(struct x86_instruction *out, const cs_x86 *x86, enum x86_op op)
{
	out->op = op;
	if (x86->operands[0].type == X86_OP_IMM)
		out->target = (uint64_t)x86->operands[0].imm;
	else if (x86->operands[0].type == X86_OP_REG)
		out->source = dwarf_number(x86->operands[0].reg);
	else if (x86->operands[0].type == X86_OP_MEM)
		take_indirect(out, &x86->operands[0]);
}

/* movsx, movsxd. */
static void classify_extend(struct x86_instruction *out, const cs_x86 *x86)
{
	const cs_x86_op *from = &x86->operands[1];

	out->reg = dwarf_number(x86->operands[0].reg);
	if (from->type == X86_OP_MEM) {
		take_memory(out, from);
		out->op = X86_LOAD_SIGNED;
	} else {
		out->op = X86_EXTEND;
		out->width = from->size;
		out->source = dwarf_number(from->reg);
	}
}

static void classify(csh handle, const cs_insn *insn, struct x86_instruction *out)
{
	const cs_x86 *x86 = &insn->detail->x86;
	const cs_x86_op *first = &x86->operands[0];
	cs_regs read, written;
	uint8_t reads, writes, i, reg;

	if (cs_regs_access(handle, insn, read, &reads, written, &writes) == CS_ERR_OK) {
		for (i = 0; i < writes; i++) {
			reg = dwarf_number(written[i]);
			if (reg < 16)
				out->writes |= 1u << reg;
		}
		for (i = 0; i < reads; i++) {
			reg = dwarf_number(read[i]);
			if (reg < 16)
				out->reads |= 1u << reg;
		}
	}
	switch (insn->id) {
	case X86_INS_MOV:
	case X86_INS_MOVABS:
		classify_move(out, x86);
		return;
	case X86_INS_MOVZX:
		if (x86->operands[1].type == X86_OP_MEM) {
			take_memory(out, &x86->operands[1]);
			out->op = X86_LOAD_EXTEND;
			out->reg = dwarf_number(first->reg);
		}
		return;
	case X86_INS_MOVSX:
	case X86_INS_MOVSXD:
		classify_extend(out, x86);
		return;
	case X86_INS_CDQE:
		out->op = X86_EXTEND;
		out->reg = out->source = DW_REG_RAX;
		out->width = 4;
		return;
	case X86_INS_LEA:
		take_memory(out, &x86->operands[1]);
		out->op = X86_LEA;
		out->reg = dwarf_number(first->reg);
		out->width = first->size;
		return;
	case X86_INS_ADD:
	case X86_INS_SUB:
	case X86_INS_XOR:
	case X86_INS_AND:
		classify_arithmetic(out, x86, insn->id);
		break;
	case X86_INS_NEG:
		if (first->type == X86_OP_REG) {
			out->op = X86_NEGATE;
			out->reg = dwarf_number(first->reg);
			out->width = first->size;
		}
		break;
	case X86_INS_CMP:
		if (first->type == X86_OP_MEM && x86->operands[1].type == X86_OP_IMM) {
			take_memory(out, first);
			out->op = X86_COMPARE_IMM;
			out->imm = x86->operands[1].imm;
		} else if (first->type == X86_OP_REG && x86->operands[1].type == X86_OP_IMM) {
			out->op = X86_COMPARE_REG;
			out->reg = dwarf_number(first->reg);
			out->width = first->size;
			out->imm = x86->operands[1].imm;
		}
		return;
	case X86_INS_TEST:
		if (first->type == X86_OP_REG && x86->operands[1].type == X86_OP_REG &&
		    first->reg == x86->operands[1].reg) {
			out->op = X86_COMPARE_REG;
			out->reg = dwarf_number(first->reg);
			out->width = first->size;
		}
		return;
	case X86_INS_PUSH:
		out->op = X86_PUSH;
		if (first->type == X86_OP_REG)
			out->source = dwarf_number(first->reg);
		return;
	case X86_INS_POP:
		out->op = X86_POP;
		if (first->type == X86_OP_REG)
			out->reg = dwarf_number(first->reg);
		return;
	case X86_INS_CALL:
		classify_transfer(out, x86, X86_CALL);
		return;
	case X86_INS_JMP:
		classify_transfer(out, x86, X86_JUMP);
		return;
	case X86_INS_RET:
		out->op = X86_RETURN;
		return;
	case X86_INS_INT3:
	case X86_INS_UD2:
	case X86_INS_HLT:
		out->op = X86_STOP;
		return;
	}
	if (cs_insn_group(handle, insn, X86_GRP_CMOV)) {
		out->reads |= out->writes; /* it may keep its value */
		out->reg = dwarf_number(first->reg);
		out->width = first->size;
		if (x86->operands[1].type == X86_OP_REG) {
			out->op = X86_SELECT;
			out->source = dwarf_number(x86->operands[1].reg);
		}
		return;
	}
	if (cs_insn_group(handle, insn, X86_GRP_JUMP)) {
		classify_transfer(out, x86, X86_BRANCH);
		out->imm = insn->id == X86_INS_JE    ? X86_IF_EQUAL
			   : insn->id == X86_INS_JNE ? X86_IF_UNEQUAL
						     : X86_IF_OTHER;
	} else if (out->op == X86_OTHER && x86->op_count && first->type == X86_OP_MEM &&
		   first->access & CS_AC_WRITE) {
		take_memory(out, first);
		out->op = X86_STORE_OTHER;
	}
}

/* What a linker fills in: the distance to something that is not in [start, start + size). */
static void find_link(const cs_insn *insn, uint64_t start, size_t size, struct x86_instruction *out)
{
	const cs_x86 *x86 = &insn->detail->x86;
	uint64_t next = insn->address + insn->size;
	uint8_t i;

	if (out->target && out->target - start >= size && out->size > REL32_SIZE) {
		out->link_at = out->size - REL32_SIZE;
		out->link_size = REL32_SIZE;
	}
	for (i = 0; i < x86->op_count; i++) {
		if (x86->operands[i].type == X86_OP_MEM &&
		    x86->operands[i].mem.base == X86_REG_RIP &&
		    next + (uint64_t)x86->operands[i].mem.disp - start >= size) {
			out->link_at = x86->encoding.disp_offset;
			out->link_size = x86->encoding.disp_size;
		}
	}
}

int x86_code__decode(const uint8_t *text, size_t size, uint64_t vaddr, struct x86_code *code)
{
	memset(code, 0, sizeof(*code));
	return x86_code__append(text, size, vaddr, code);
}

int x86_code__append(const uint8_t *text, size_t size, uint64_t vaddr, struct x86_code *code)
{
	struct x86_instruction *grown, *out;
	const uint64_t start = vaddr;
	const size_t whole = size;
	size_t capacity = code->count;
	cs_insn *insn = NULL;
	csh handle = 0;
	int err = 0;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK) {
		x86_code__free(code);
		return -EIO;
	}
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	if (!insn) {
		err = -ENOMEM;
		goto out;
	}
	while (size) {
		if (!cs_disasm_iter(handle, &text, &size, &vaddr, insn)) {
			text++;
			size--;
			vaddr++;
			continue;
		}
		if (code->count == capacity) {
			capacity = capacity ? 2 * capacity : 8192;
			grown = realloc(code->instructions, capacity * sizeof(*grown));
			if (!grown) {
				err = -ENOMEM;
				goto out;
			}
			code->instructions = grown;
		}
		out = &code->instructions[code->count++];
		memset(out, 0, sizeof(*out));
		out->address = insn->address;
		out->size = (uint8_t)insn->size;
		out->reg = out->source = out->base = out->index = X86_NO_REG;
		classify(handle, insn, out);
		find_link(insn, start, whole, out);
	}
out:
	if (insn)
		cs_free(insn, 1);
	cs_close(&handle);
	if (err)
		x86_code__free(code);
	return err;
}

void x86_code__free(struct x86_code *code)
{
	free(code->instructions);
	memset(code, 0, sizeof(*code));
}

ptrdiff_t x86_code__find(const struct x86_code *code, uint64_t address)
{
	size_t low = 0, high = code->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (code->instructions[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < code->count && code->instructions[low].address == address)
		return (ptrdiff_t)low;
	return -1;
}
