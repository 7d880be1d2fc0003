/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../sample/targets.h"
#include "../target/memory.h"
#include "dump_values.h"

static struct stored_stack *new_stack(size_t words)
{
	return calloc(1, sizeof(struct stored_stack) + words * sizeof(uint64_t));
}

static uint32_t count_lua(const struct stored_stack *stack)
{
	uint32_t i, count = 0, kind;

	for (i = 0; i < stack->word_count; i++) {
		kind = (uint32_t)(stack->words[i] >> FRAME_KIND_SHIFT);
		count += kind == FRAME_KIND_LUA;
		i += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
	}
	return count;
}

/* Which image of the process its built-in functions are of (contract.h, stack_store.c). */
static void set_image(struct stored_stack *stack, uint32_t image)
{
	uint32_t i, kind;

	for (i = 0; i < stack->word_count; i++) {
		kind = (uint32_t)(stack->words[i] >> FRAME_KIND_SHIFT);
		if (kind == FRAME_KIND_BUILTIN)
			stack->words[i] |= (uint64_t)image << FRAME_IMAGE_SHIFT;
		i += kind == FRAME_KIND_LUA || kind == FRAME_KIND_BUILTIN;
	}
}

static int take_values(struct dump_session *self, struct dump_stack *stack)
{
	stack->lua_count = count_lua(stack->stored);
	if (!self->values || !stack->lua_count)
		return 0;
	stack->variables = calloc(stack->lua_count, sizeof(*stack->variables));
	if (!stack->variables)
		return -ENOMEM;
	return dump_values__take(self->values, self, stack);
}

int dump_session__put_walk(struct dump_session *self, struct dump_stack *stack, pid_t pid,
			   const struct user_walk_result *walk, const struct record_task *task)
{
	const struct lua_vms *vms = sampler__vms(self->sampler);
	size_t kernel = self->kernel && task ? task->kernel_count : 0;
	struct stored_stack *stored = new_stack(kernel + walk->word_count);

	if (!stored)
		return -ENOMEM;
	stored->hash = walk->hash;
	stored->count = 1;
	stored->tgid = (uint32_t)pid;
	stored->stop = (uint8_t)walk->stop;
	stored->flags = (uint8_t)((walk->lua_error == LUA_ORDER ? STACK_LUA_ORDER : 0) |
				  walk->vm_state << STACK_VM_STATE_SHIFT);
	if (lua_vms__distrusts(vms, stored->tgid))
		stored->flags |= STACK_LUA_DISTRUST;
	stored->word_count = (uint16_t)(kernel + walk->word_count);
	if (kernel)
		memcpy(stored->words, task->kernel, kernel * sizeof(uint64_t));
	memcpy(stored->words + kernel, walk->words, walk->word_count * sizeof(uint64_t));
	set_image(stored, lua_vms__image(vms, stored->tgid));
	stack->stored = stored;
	return take_values(self, stack);
}

int dump_session__put_sample(struct dump_session *self, struct dump_stack *stack,
			     const struct stored_stack *sample)
{
	struct stored_stack *stored = new_stack(sample->word_count);

	if (!stored)
		return -ENOMEM;
	memcpy(stored, sample, sizeof(*stored) + sample->word_count * sizeof(uint64_t));
	stack->stored = stored;
	return take_values(self, stack);
}

static int read_process(void *context, uint64_t address, void *bytes, size_t size)
{
	return memory__read(*(const pid_t *)context, address, bytes, size);
}

bool dump_session__view(struct dump_session *self, const pid_t *pid, struct user_walk_view *view)
{
	*view = (struct user_walk_view){
		.tables = sampler__tables(self->sampler),
		.tgid = (uint32_t)*pid,
		.read = read_process,
		.context = (void *)pid,
		.record = sampler__take_record,
		.record_context = self->sampler,
		.with_values = self->values != NULL,
	};
	return targets__view(sampler__targets(self->sampler), *pid, &view->mappings,
			     &view->mapping_count, &view->vm);
}
