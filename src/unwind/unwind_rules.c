/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The set of distinct unwind rules: an array indexed by id, and an open-addressed hash table of
 * ids over it. It knows nothing about where rules come from.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unwind_table.h"

/* A power of two, twice the number of rules, so that probing always meets an empty slot. */
#define SLOT_COUNT (2 * MAX_RULES)

_Static_assert((SLOT_COUNT & (SLOT_COUNT - 1)) == 0, "slots are chosen by masking");
_Static_assert(MAX_RULES < UINT16_MAX, "a slot holds id + 1 in 16 bits");

struct unwind_rules {
	struct unwind_rule *rules;
	uint32_t count;
	uint32_t capacity;
	uint16_t slots[SLOT_COUNT]; /* id + 1; 0 = empty */
};

static uint32_t rule_hash(const struct unwind_rule *rule)
{
	uint64_t words[sizeof(*rule) / sizeof(uint64_t)];
	uint64_t hash = 0;

	_Static_assert(sizeof(words) == sizeof(*rule), "a rule is a whole number of words");
	memcpy(words, rule, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		/* The golden ratio's fraction: spreads consecutive values over the high bits. */
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
	}
	return (uint32_t)(hash >> 32);
}

struct unwind_rules *unwind_rules__new(void)
{
	const struct unwind_rule none = {.cfa_kind = CFA_NONE, .vm_base_reg = VM_NO_REG};
	struct unwind_rules *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->capacity = 256;
	self->rules = calloc(self->capacity, sizeof(*self->rules));
	if (!self->rules || unwind_rules__intern(self, &none) != (int)RULE_ID_NONE) {
		unwind_rules__free(self);
		return NULL;
	}
	return self;
}

void unwind_rules__free(struct unwind_rules *self)
{
	if (!self)
		return;
	free(self->rules);
	free(self);
}

int unwind_rules__intern(struct unwind_rules *self, const struct unwind_rule *rule)
{
	uint32_t slot = rule_hash(rule) & (SLOT_COUNT - 1);

	for (; self->slots[slot]; slot = (slot + 1) & (SLOT_COUNT - 1)) {
		uint32_t id = self->slots[slot] - 1u;

		if (memcmp(&self->rules[id], rule, sizeof(*rule)) == 0)
			return (int)id;
	}
	if (self->count == MAX_RULES)
		return -ENOSPC;
	if (self->count == self->capacity) {
		uint32_t capacity = 2 * self->capacity;
		struct unwind_rule copy = *rule; /* it may stand in the array that moves */
		struct unwind_rule *rules = reallocarray(self->rules, capacity, sizeof(*rules));

		if (!rules)
			return -ENOMEM;
		self->rules = rules;
		self->capacity = capacity;
		self->rules[self->count] = copy;
	} else {
		self->rules[self->count] = *rule;
	}
	self->slots[slot] = (uint16_t)(self->count + 1);
	return (int)self->count++;
}

const struct unwind_rule *unwind_rules__get(const struct unwind_rules *self, uint32_t id)
{
	return id < self->count ? &self->rules[id] : NULL;
}

uint32_t unwind_rules__count(const struct unwind_rules *self)
{
	return self->count;
}

struct unwind_rule unwind_rule__for_walk(const struct unwind_rule *rule)
{
	static const uint8_t registers[SAVED_COUNT] = {
		[SAVED_RBX] = DW_REG_RBX, [SAVED_RBP] = DW_REG_RBP, [SAVED_R12] = DW_REG_R12,
		[SAVED_R13] = DW_REG_R13, [SAVED_R14] = DW_REG_R14, [SAVED_R15] = DW_REG_R15,
		[SAVED_RA] = DW_REG_RA};
	struct unwind_rule out = *rule;
	uint32_t mask = 0;
	int i;

	if (rule->saved_base[SAVED_RA] != BASE_CFA)
		return out;
	for (i = 0; i < SAVED_COUNT; i++) {
		if (rule->saved_base[i] == BASE_SAME)
			continue;
		if (rule->saved_base[i] != BASE_CFA || rule->saved_offset[i] % 8 ||
		    rule->saved_offset[i] > -8 || rule->saved_offset[i] < -128)
			return out;
		mask |= 1u << registers[i];
	}
	out.flags |= RULE_SIMPLE;
	out.saved_mask = mask;
	return out;
}
