/* SPDX-License-Identifier: Apache-2.0 */
/* Opcodes and formats: each release's lopcodes.h; the patch releases of a version have the same. */
#include "puc_bytecode.h"

#include <stddef.h>

#define FIELDS_PER_FLUSH 50 /* LFIELDS_PER_FLUSH, up to 5.3 */

/* What an instruction's fields are, beyond enum puc_op. */
enum form {
	OTHER,
	SETS_A,
	SETS_UP,
	MOVE,
	LOADK,
	LOADNIL_TO, /* 5.1: up to R(B) */
	LOADNIL,
	GETUPVAL,
	GETGLOBAL,
	GETTABUP,
	GETTABLE,
	GETI,
	GETFIELD,
	SETGLOBAL,
	SETTABUP,
	SETUPVAL,
	SETTABLE,
	SETI,
	SETFIELD,
	NEWTABLE,
	SELF,
	JMP,
	TEST,
	TESTSET,
	CALL,
	TAILCALL,
	RETURN,
	RETURN1,
	SETLIST,
	CLOSURE,
	EXTRA,
};

static const uint8_t forms_51[] = {
	MOVE,		LOADK,		SETS_A,		 LOADNIL_TO,
	GETUPVAL,	GETGLOBAL,	GETTABLE,	 SETGLOBAL,
	SETUPVAL,	SETTABLE,	NEWTABLE,	 SELF,
	[12] = SETS_A,	[13] = SETS_A,	[14] = SETS_A,	 [15] = SETS_A,
	[16] = SETS_A,	[17] = SETS_A,	[18] = SETS_A,	 [19] = SETS_A,
	[20] = SETS_A,	[21] = SETS_A,	[22] = JMP,	 [26] = TEST,
	[27] = TESTSET, [28] = CALL,	[29] = TAILCALL, [30] = RETURN,
	[31] = SETS_UP, [32] = SETS_UP, [33] = SETS_UP,	 [34] = SETLIST,
	[36] = CLOSURE, [37] = SETS_UP,
};

static const uint8_t forms_52[] = {
	MOVE,		LOADK,		SETS_A,		SETS_A,
	LOADNIL,	GETUPVAL,	GETTABUP,	GETTABLE,
	SETTABUP,	SETUPVAL,	SETTABLE,	NEWTABLE,
	SELF,		[13] = SETS_A,	[14] = SETS_A,	[15] = SETS_A,
	[16] = SETS_A,	[17] = SETS_A,	[18] = SETS_A,	[19] = SETS_A,
	[20] = SETS_A,	[21] = SETS_A,	[22] = SETS_A,	[23] = JMP,
	[27] = TEST,	[28] = TESTSET, [29] = CALL,	[30] = TAILCALL,
	[31] = RETURN,	[32] = SETS_UP, [33] = SETS_UP, [34] = SETS_UP,
	[35] = SETS_UP, [36] = SETLIST, [37] = CLOSURE, [38] = SETS_UP,
	[39] = EXTRA,
};

static const uint8_t forms_53[] = {
	MOVE,		LOADK,		SETS_A,		SETS_A,		LOADNIL,
	GETUPVAL,	GETTABUP,	GETTABLE,	SETTABUP,	SETUPVAL,
	SETTABLE,	NEWTABLE,	SELF,		[13] = SETS_A,	[14] = SETS_A,
	[15] = SETS_A,	[16] = SETS_A,	[17] = SETS_A,	[18] = SETS_A,	[19] = SETS_A,
	[20] = SETS_A,	[21] = SETS_A,	[22] = SETS_A,	[23] = SETS_A,	[24] = SETS_A,
	[25] = SETS_A,	[26] = SETS_A,	[27] = SETS_A,	[28] = SETS_A,	[29] = SETS_A,
	[30] = JMP,	[34] = TEST,	[35] = TESTSET, [36] = CALL,	[37] = TAILCALL,
	[38] = RETURN,	[39] = SETS_UP, [40] = SETS_UP, [41] = SETS_UP, [42] = SETS_UP,
	[43] = SETLIST, [44] = CLOSURE, [45] = SETS_UP, [46] = EXTRA,
};

static const uint8_t forms_54[] = {
	MOVE,
	SETS_A,
	SETS_A,
	LOADK,
	SETS_A,
	SETS_A,
	SETS_A,
	SETS_A,
	LOADNIL,
	GETUPVAL,
	SETUPVAL,
	GETTABUP,
	GETTABLE,
	GETI,
	GETFIELD,
	SETTABUP,
	SETTABLE,
	SETI,
	SETFIELD,
	NEWTABLE,
	SELF,
	[21 ... 45] = SETS_A, /* arithmetic; the order of two of them differs in 5.5 */
	[49] = SETS_A,
	[50] = SETS_A,
	[51] = SETS_A,
	[52] = SETS_A,
	[53] = SETS_A,
	[56] = JMP,
	[66] = TEST,
	[67] = TESTSET,
	[68] = CALL,
	[69] = TAILCALL,
	[70] = RETURN,
	[72] = RETURN1,
	[73] = SETS_UP,
	[74] = SETS_UP,
	[75] = SETS_UP,
	[76] = SETS_UP,
	[77] = SETS_UP,
	[78] = SETLIST,
	[79] = CLOSURE,
	[80] = SETS_UP,
	[82] = EXTRA,
};

static const uint8_t forms_55[] = {
	MOVE,		SETS_A,
	SETS_A,		LOADK,
	SETS_A,		SETS_A,
	SETS_A,		SETS_A,
	LOADNIL,	GETUPVAL,
	SETUPVAL,	GETTABUP,
	GETTABLE,	GETI,
	GETFIELD,	SETTABUP,
	SETTABLE,	SETI,
	SETFIELD,	NEWTABLE,
	SELF,		[21 ... 45] = SETS_A,
	[49] = SETS_A,	[50] = SETS_A,
	[51] = SETS_A,	[52] = SETS_A,
	[53] = SETS_A,	[56] = JMP,
	[66] = TEST,	[67] = TESTSET,
	[68] = CALL,	[69] = TAILCALL,
	[70] = RETURN,	[72] = RETURN1,
	[73] = SETS_UP, [74] = SETS_UP,
	[75] = SETS_UP, [76] = SETS_UP,
	[77] = SETS_UP, [78] = SETLIST,
	[79] = CLOSURE, [80] = SETS_UP,
	[81] = SETS_A,	[84] = EXTRA,
};

#define FORM(forms, op) ((op) < sizeof(forms) ? (enum form)(forms)[op] : OTHER)

static enum form form_of(uint32_t release, uint32_t op)
{
	switch (release / 100) {
	case 501:
		return FORM(forms_51, op);
	case 502:
		return FORM(forms_52, op);
	case 503:
		return FORM(forms_53, op);
	case 504:
		return FORM(forms_54, op);
	case 505:
		return FORM(forms_55, op);
	}
	return OTHER;
}

/* The fields of either format. `k` is that of 5.4 and later. */
struct fields {
	bool old; /* up to 5.3: a bit of B and C tells constants from registers */
	bool k;
	uint32_t a, b, c, bx;
	int32_t jump;
	uint32_t variant_b, variant_c; /* 5.5 */
};

static struct fields fields_of(uint32_t release, uint32_t word)
{
	if (release < 50400)
		return (struct fields){.old = true,
				       .a = word >> 6 & 0xff,
				       .c = word >> 14 & 0x1ff,
				       .b = word >> 23,
				       .bx = word >> 14,
				       .jump = (int32_t)(word >> 14) - 131071};
	return (struct fields){.a = word >> 7 & 0xff,
			       .k = word >> 15 & 1,
			       .b = word >> 16 & 0xff,
			       .c = word >> 24,
			       .bx = word >> 15,
			       .jump = (int32_t)(word >> 7) - 16777215,
			       .variant_b = word >> 16 & 0x3f,
			       .variant_c = word >> 22};
}

static void set_key(struct puc_instruction *self, enum puc_key key, uint32_t index)
{
	self->key = key;
	self->key_index = index;
}

/* Field B or C as a key: with its highest bit a constant, up to 5.3. */
static void set_old_key(struct puc_instruction *self, uint32_t field)
{
	set_key(self, field & 0x100 ? PUC_KEY_CONSTANT : PUC_KEY_REGISTER, field & 0xff);
}

static int32_t stored_register(const struct fields *f)
{
	if (f->old)
		return f->c & 0x100 ? -1 : (int32_t)f->c;
	return f->k ? -1 : (int32_t)f->c;
}

static void decode_get(struct puc_instruction *self, enum form form, const struct fields *f,
		       uint32_t release)
{
	self->op = form == GETTABUP ? PUC_OP_GETTABUP
		   : form == SELF   ? PUC_OP_SELF
				    : PUC_OP_GETTABLE;
	if (f->old)
		set_old_key(self, f->c);
	else if (form == GETI)
		set_key(self, PUC_KEY_INTEGER, f->c);
	else if (form == GETTABLE || (form == SELF && release < 50500 && !f->k))
		set_key(self, PUC_KEY_REGISTER, f->c);
	else
		set_key(self, PUC_KEY_CONSTANT, f->c);
}

static void decode_set(struct puc_instruction *self, enum form form, const struct fields *f)
{
	self->op = form == SETTABUP ? PUC_OP_SETTABUP : PUC_OP_SETTABLE;
	self->value = stored_register(f);
	if (f->old)
		set_old_key(self, f->b);
	else if (form == SETI)
		set_key(self, PUC_KEY_INTEGER, f->b);
	else
		set_key(self, form == SETTABLE ? PUC_KEY_REGISTER : PUC_KEY_CONSTANT, f->b);
}

static void decode_list(struct puc_instruction *self, const struct fields *f, uint32_t release)
{
	self->op = PUC_OP_SETLIST;
	if (f->old) {
		self->first_more = f->c == 0;
		self->first = f->c ? (f->c - 1) * FIELDS_PER_FLUSH : 0;
		return;
	}
	self->b = release < 50500 ? f->b : f->variant_b;
	self->first = release < 50500 ? f->c : f->variant_c;
	self->first_more = f->k;
}

struct puc_instruction puc_bytecode__decode(uint32_t release, uint32_t word)
{
	/* Forms that have no fields but A and B. */
	static const uint8_t ops[] = {
		[SETS_A] = PUC_OP_SETS_A,     [SETS_UP] = PUC_OP_SETS_UP,   [MOVE] = PUC_OP_MOVE,
		[GETUPVAL] = PUC_OP_GETUPVAL, [NEWTABLE] = PUC_OP_NEWTABLE, [CALL] = PUC_OP_CALL,
		[TAILCALL] = PUC_OP_TAILCALL, [RETURN] = PUC_OP_RETURN,	    [EXTRA] = PUC_OP_EXTRA,
	};
	enum form form = form_of(release, word & (release < 50400 ? 0x3f : 0x7f));
	struct fields f = fields_of(release, word);
	struct puc_instruction self = {.a = f.a, .b = f.b, .value = -1};

	switch (form) {
	case LOADK:
	case GETGLOBAL:
	case SETGLOBAL:
		self.op = form == LOADK	      ? PUC_OP_LOADK
			  : form == GETGLOBAL ? PUC_OP_GETGLOBAL
					      : PUC_OP_SETGLOBAL;
		set_key(&self, PUC_KEY_CONSTANT, f.bx);
		self.value = form == SETGLOBAL ? (int32_t)f.a : -1;
		break;
	case LOADNIL_TO:
	case LOADNIL:
		self.op = PUC_OP_LOADNIL;
		self.b += form == LOADNIL ? f.a : 0;
		break;
	case GETTABUP:
	case GETTABLE:
	case GETI:
	case GETFIELD:
	case SELF:
		decode_get(&self, form, &f, release);
		break;
	case SETTABUP:
	case SETTABLE:
	case SETI:
	case SETFIELD:
		decode_set(&self, form, &f);
		break;
	case SETUPVAL:
		self.op = PUC_OP_SETUPVAL;
		self.value = (int32_t)f.a;
		break;
	case JMP:
		self.op = PUC_OP_JMP;
		self.jump = f.jump;
		break;
	case TEST:
	case TESTSET:
		self.op = form == TEST ? PUC_OP_TEST : PUC_OP_TESTSET;
		self.condition = f.old ? f.c != 0 : f.k;
		break;
	case RETURN1:
		self.op = PUC_OP_RETURN;
		self.b = 2;
		break;
	case SETLIST:
		decode_list(&self, &f, release);
		break;
	case CLOSURE:
		self.op = PUC_OP_CLOSURE;
		self.b = f.bx;
		break;
	default:
		self.op = (enum puc_op)ops[form];
	}
	return self;
}

bool puc_bytecode__sets(const struct puc_instruction *self, uint32_t reg)
{
	switch (self->op) {
	case PUC_OP_SETS_A:
	case PUC_OP_MOVE:
	case PUC_OP_LOADK:
	case PUC_OP_GETUPVAL:
	case PUC_OP_GETGLOBAL:
	case PUC_OP_GETTABUP:
	case PUC_OP_GETTABLE:
	case PUC_OP_NEWTABLE:
	case PUC_OP_TESTSET:
	case PUC_OP_CLOSURE:
		return reg == self->a;
	case PUC_OP_SELF:
		return reg == self->a || reg == self->a + 1;
	case PUC_OP_LOADNIL:
		return reg >= self->a && reg <= self->b;
	case PUC_OP_SETS_UP:
	case PUC_OP_CALL:
	case PUC_OP_TAILCALL:
		return reg >= self->a;
	default:
		return false;
	}
}
