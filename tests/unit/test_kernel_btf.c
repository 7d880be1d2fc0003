// SPDX-License-Identifier: Apache-2.0
/*
 * The part of the kernel's BTF that libbpf relocates the sampler by: made of types that are made
 * up, and of this machine's kernel, where it must agree with what libbpf finds in all of it.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"
#include "sample/btf_excerpt.h"
#include "sample/kernel_btf.h"
#include "target/elf_image.h"

const void *sampler_bpf__elf_bytes(size_t *size);

/* Types of each kind, where `task` needs some and others are in between. */
struct made_up {
	struct btf *types;
	int integer, task;
};

static void make_up(struct made_up *self)
{
	struct btf *types = btf__new_empty();
	int big, character, flags, constant, pointer, array, choice, state, wide, inner, prototype;

	self->types = types;
	self->integer = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
	btf__add_ptr(types, 4); /* to task, which is added below */
	btf__add_struct(types, "task_group", 4);
	btf__add_field(types, "shares", self->integer, 0, 0);
	self->task = btf__add_struct(types, "task", 96);
	CHECK_EQ(self->task, 4);
	character = self->task + 1;
	flags = character + 1;
	constant = flags + 1;
	array = constant + 1;
	choice = array + 1;
	state = choice + 1;
	wide = state + 1;
	inner = wide + 1;
	big = inner + 1;
	btf__add_field(types, "pid", self->integer, 0, 0);
	btf__add_field(types, "flags", constant, 32, 0);
	btf__add_field(types, "comm", array, 64, 0);
	btf__add_field(types, "", choice, 192, 0);
	btf__add_field(types, "state", state, 256, 0);
	btf__add_field(types, "wide", wide, 320, 0);
	btf__add_field(types, "in", inner, 384, 0);
	btf__add_field(types, "parent", 2, 448, 0);
	btf__add_field(types, "weight", big, 512, 0);
	CHECK_EQ(btf__add_int(types, "char", 1, BTF_INT_CHAR), character);
	CHECK_EQ(btf__add_typedef(types, "flags_t", self->integer), flags);
	CHECK_EQ(btf__add_const(types, flags), constant);
	CHECK_EQ(btf__add_array(types, self->integer, character, 16), array);
	CHECK_EQ(btf__add_union(types, NULL, 4), choice);
	btf__add_field(types, "first", self->integer, 0, 0);
	btf__add_field(types, "second", self->integer, 0, 0);
	CHECK_EQ(btf__add_enum(types, "state", 4), state);
	btf__add_enum_value(types, "RUNNING", 0);
	btf__add_enum_value(types, "SLEEPING", 1);
	CHECK_EQ(btf__add_enum64(types, "wide", 8, false), wide);
	btf__add_enum64_value(types, "WIDE", 1ull << 40);
	CHECK_EQ(btf__add_struct(types, "inner", 4), inner);
	btf__add_field(types, "low", self->integer, 0, 3);
	btf__add_field(types, "high", self->integer, 3, 5);
	CHECK_EQ(btf__add_float(types, "double", 8), big);
	/* What nothing needs. */
	pointer = btf__add_ptr(types, btf__add_type_tag(types, "user", inner));
	prototype = btf__add_func_proto(types, self->integer);
	btf__add_func_param(types, "argument", pointer);
	btf__add_decl_tag(types, "tag", btf__add_func(types, "call", 0, prototype), -1);
	btf__add_fwd(types, "unknown", BTF_FWD_UNION);
	btf__add_volatile(types, btf__add_restrict(types, pointer));
	btf__add_datasec(types, ".data", 4);
	btf__add_datasec_var_info(types, btf__add_var(types, "variable", 1, self->integer), 0, 4);
}

/* To be freed. */
static void *raw(const struct btf *types, size_t *size)
{
	uint32_t got;
	const void *bytes = btf__raw_data(types, &got);
	void *copy = malloc(got);

	memcpy(copy, bytes, got);
	*size = got;
	return copy;
}

static int make(const void *bytes, size_t size, const char *name, struct btf **types)
{
	size_t excerpt_size;
	void *excerpt;
	int err = btf_excerpt__make(bytes, size, &name, 1, &excerpt, &excerpt_size);

	*types = NULL;
	if (err)
		return err;
	*types = btf__new(excerpt, (uint32_t)excerpt_size);
	CHECK(*types != NULL);
	free(excerpt);
	return 0;
}

static int make_of(const struct btf *types, const char *name, struct btf **excerpt)
{
	size_t size;
	void *bytes = raw(types, &size);
	int err = make(bytes, size, name, excerpt);

	free(bytes);
	return err;
}

/* Are they laid out alike, with the same names, as far as there is no pointer in between? */
static void check_same(const struct btf *a, uint32_t a_id, const struct btf *b, uint32_t b_id)
{
	const struct btf_type *x = btf__type_by_id(a, a_id), *y = btf__type_by_id(b, b_id);
	uint32_t i;

	CHECK(x && y);
	if (!x || !y)
		return;
	CHECK_STR(btf__name_by_offset(a, x->name_off), btf__name_by_offset(b, y->name_off));
	CHECK_EQ(x->info, y->info);
	if (x->info != y->info)
		return;
	if (btf_is_ptr(x)) {
		CHECK_EQ(x->type, 0);
	} else if (btf_is_mod(x) || btf_is_typedef(x)) {
		if (x->type || y->type)
			check_same(a, x->type, b, y->type);
	} else if (btf_is_array(x)) {
		CHECK_EQ(btf_array(x)->nelems, btf_array(y)->nelems);
		check_same(a, btf_array(x)->type, b, btf_array(y)->type);
		check_same(a, btf_array(x)->index_type, b, btf_array(y)->index_type);
	} else {
		CHECK_EQ(x->size, y->size);
	}
	for (i = 0; btf_is_composite(x) && i < btf_vlen(x); i++) {
		CHECK_STR(btf__name_by_offset(a, btf_members(x)[i].name_off),
			  btf__name_by_offset(b, btf_members(y)[i].name_off));
		CHECK_EQ(btf_members(x)[i].offset, btf_members(y)[i].offset);
		check_same(a, btf_members(x)[i].type, b, btf_members(y)[i].type);
	}
	for (i = 0; btf_is_enum(x) && i < btf_vlen(x); i++) {
		CHECK_STR(btf__name_by_offset(a, btf_enum(x)[i].name_off),
			  btf__name_by_offset(b, btf_enum(y)[i].name_off));
		CHECK_EQ(btf_enum(x)[i].val, btf_enum(y)[i].val);
	}
	for (i = 0; btf_is_enum64(x) && i < btf_vlen(x); i++) {
		CHECK_STR(btf__name_by_offset(a, btf_enum64(x)[i].name_off),
			  btf__name_by_offset(b, btf_enum64(y)[i].name_off));
		CHECK_EQ(btf_enum64_value(&btf_enum64(x)[i]), btf_enum64_value(&btf_enum64(y)[i]));
	}
	if (btf_is_int(x))
		CHECK_EQ(*(const uint32_t *)(x + 1), *(const uint32_t *)(y + 1));
}

static void a_struct_comes_with_all_that_is_in_it(void)
{
	const struct btf_type *task;
	const struct btf_member *members;
	struct made_up made_up;
	struct btf *types;
	int id;

	make_up(&made_up);
	CHECK_EQ(make_of(made_up.types, "task", &types), 0);
	id = btf__find_by_name_kind(types, "task", BTF_KIND_STRUCT);
	CHECK_EQ(id, 1);
	check_same(types, (uint32_t)id, made_up.types, (uint32_t)made_up.task);
	task = btf__type_by_id(types, (uint32_t)id);
	members = btf_members(task);
	CHECK_EQ(btf_vlen(task), 9);
	CHECK_STR(btf__name_by_offset(types, members[2].name_off), "comm");
	CHECK_EQ(members[2].offset, 64);
	CHECK_EQ(btf__resolve_size(types, members[2].type), 16);
	CHECK_EQ(btf__resolve_size(types, members[1].type), 4);
	/* void, task, int, const, array, union, enum, enum64, inner, pointer, double, flags_t, char
	 */
	CHECK_EQ(btf__type_cnt(types), 13);
	CHECK(btf__find_by_name(types, "task_group") < 0);
	CHECK(btf__find_by_name(types, "call") < 0);
	btf__free(types);
	btf__free(made_up.types);
}

static void each_of_a_name_comes(void)
{
	struct made_up made_up;
	struct btf *types;
	int second, flavour, choice;

	make_up(&made_up);
	second = btf__add_struct(made_up.types, "task", 8);
	btf__add_field(made_up.types, "pid", made_up.integer, 32, 0);
	flavour = btf__add_struct(made_up.types, "task___other", 16);
	btf__add_field(made_up.types, "pid", made_up.integer, 64, 0);
	choice = btf__add_union(made_up.types, "task", 4);
	btf__add_typedef(made_up.types, "task", second);
	btf__add_struct(made_up.types, "task__group", 4);
	btf__add_struct(made_up.types, "tas", 4);
	CHECK_EQ(make_of(made_up.types, "task", &types), 0);
	check_same(types, 1, made_up.types, (uint32_t)made_up.task);
	check_same(types, 2, made_up.types, (uint32_t)second);
	check_same(types, 3, made_up.types, (uint32_t)flavour);
	check_same(types, 4, made_up.types, (uint32_t)choice);
	CHECK_EQ(btf__type_cnt(types), 13 + 3);
	btf__free(types);
	btf__free(made_up.types);
}

static void a_name_that_is_not_there_is_told(void)
{
	const char *names[] = {"inner", "nothing"};
	struct made_up made_up;
	struct btf *types;
	void *bytes, *excerpt;
	size_t size, excerpt_size;

	make_up(&made_up);
	CHECK_EQ(make_of(made_up.types, "nothing", &types), -ENOENT);
	CHECK_EQ(make_of(made_up.types, "state", &types), -ENOENT);
	bytes = raw(made_up.types, &size);
	CHECK_EQ(btf_excerpt__make(bytes, size, names, 2, &excerpt, &excerpt_size), -ENOENT);
	free(bytes);
	btf__free(made_up.types);
}

static void too_many_types_are_refused(void)
{
	struct made_up made_up;
	struct btf *types;
	char name[32];
	int i, first;

	make_up(&made_up);
	first = btf__add_typedef(made_up.types, "t", made_up.integer);
	for (i = 1; i < 5000; i++)
		btf__add_typedef(made_up.types, "t", made_up.integer);
	btf__add_struct(made_up.types, "large", 20000);
	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		btf__add_field(made_up.types, name, first + i, (uint32_t)i * 32, 0);
	}
	CHECK_EQ(make_of(made_up.types, "large", &types), -E2BIG);
	CHECK_EQ(make_of(made_up.types, "inner", &types), 0);
	CHECK_EQ(btf__type_cnt(types), 3);
	btf__free(types);
	btf__free(made_up.types);
}

/* What is behind a buffer's end is for the sanitizer to find. */
static void bytes_that_end_early_are_refused(void)
{
	struct made_up made_up;
	struct btf *types;
	size_t size, length;
	char *bytes, *cut;

	make_up(&made_up);
	bytes = raw(made_up.types, &size);
	for (length = 0; length < size; length++) {
		cut = malloc(length + !length);
		memcpy(cut, bytes, length);
		CHECK_EQ(make(cut, length, "task", &types), -EINVAL);
		free(cut);
	}
	free(bytes);
	btf__free(made_up.types);
}

static void no_number_in_the_bytes_is_trusted(void)
{
	static const uint32_t others[] = {0, 1, 0x7fffffff, 0xffffffff, 0x0400ffff, 0x1f000000};
	struct made_up made_up;
	size_t size, excerpt_size, i, j;
	const char *name = "task";
	uint32_t *bytes, kept;
	unsigned int accepted = 0, refused = 0;
	void *excerpt;
	int err;

	make_up(&made_up);
	bytes = raw(made_up.types, &size);
	for (i = 0; i < size / 4; i++) {
		kept = bytes[i];
		for (j = 0; j < sizeof(others) / sizeof(others[0]); j++) {
			bytes[i] = others[j];
			err = btf_excerpt__make(bytes, size, &name, 1, &excerpt, &excerpt_size);
			CHECK(!err || err == -EINVAL || err == -ENOENT || err == -ENOTSUP);
			accepted += !err;
			refused += err != 0;
			if (!err)
				free(excerpt);
		}
		bytes[i] = kept;
	}
	CHECK(accepted && refused);
	free(bytes);
	btf__free(made_up.types);
}

static void members_of_types_that_cannot_be_are_refused(void)
{
	struct made_up made_up;
	struct btf *types;
	int call;

	make_up(&made_up);
	call = btf__find_by_name_kind(made_up.types, "call", BTF_KIND_FUNC);
	CHECK(call > 0);
	btf__add_struct(made_up.types, "of_a_function", 4);
	btf__add_field(made_up.types, "call", call, 0, 0);
	btf__add_struct(made_up.types, "of_no_type", 4);
	btf__add_field(made_up.types, "last", 100000, 0, 0);
	CHECK_EQ(make_of(made_up.types, "of_a_function", &types), -EINVAL);
	CHECK_EQ(make_of(made_up.types, "of_no_type", &types), -EINVAL);
	btf__free(made_up.types);
}

static void what_is_not_known_is_refused(void)
{
	struct made_up made_up;
	struct btf_header *header;
	struct btf_type *integer;
	struct btf *types;
	size_t size;
	char *bytes;

	make_up(&made_up);
	bytes = raw(made_up.types, &size);
	header = (void *)bytes;
	integer = (void *)(bytes + header->hdr_len + header->type_off);
	CHECK_EQ(btf_kind(integer), BTF_KIND_INT);
	integer->info = 31u << 24;
	CHECK_EQ(make(bytes, size, "task", &types), -ENOTSUP);
	integer->info = BTF_KIND_INT << 24;
	CHECK_EQ(make(bytes, size, "task", &types), 0);
	btf__free(types);
	header->version = 2;
	CHECK_EQ(make(bytes, size, "task", &types), -EINVAL);
	header->version = BTF_VERSION;
	header->magic = __builtin_bswap16(BTF_MAGIC);
	CHECK_EQ(make(bytes, size, "task", &types), -ENOTSUP);
	header->magic = 0;
	CHECK_EQ(make(bytes, size, "task", &types), -EINVAL);
	free(bytes);
	btf__free(made_up.types);
}

/* The structs at which the sampler's accesses begin. */
static const char *const roots[] = {"task_struct", "pid", "pid_namespace"};

static void the_samplers_part_is_that_of_the_whole(void)
{
	struct btf *whole, *part;
	struct kernel_btf file;
	const void *object;
	size_t size, i;
	int id, whole_id, fd;

	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		SKIP("cannot: this kernel has no BTF");
	object = sampler_bpf__elf_bytes(&size);
	CHECK_EQ(kernel_btf__open(object, size, &file), 0);
	part = btf__parse(file.path, NULL);
	whole = btf__load_vmlinux_btf();
	CHECK(part && whole);
	for (i = 0; part && whole && i < sizeof(roots) / sizeof(roots[0]); i++) {
		id = btf__find_by_name_kind(part, roots[i], BTF_KIND_STRUCT);
		whole_id = btf__find_by_name_kind(whole, roots[i], BTF_KIND_STRUCT);
		CHECK(id > 0 && whole_id > 0);
		check_same(part, (uint32_t)id, whole, (uint32_t)whole_id);
	}
	/* A few hundred of more than ten thousand. */
	if (part && whole)
		CHECK(btf__type_cnt(part) < btf__type_cnt(whole) / 20);
	btf__free(part);
	btf__free(whole);
	fd = file.fd;
	kernel_btf__close(&file);
	kernel_btf__close(&file);
	CHECK_EQ(file.fd, -1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), -1);
}

static void what_is_no_object_is_refused(void)
{
	struct kernel_btf file;
	const char *object;
	size_t size, length;
	char *cut;

	object = sampler_bpf__elf_bytes(&size);
	for (length = 0; length < size; length += 4999) {
		cut = malloc(length + 1);
		memcpy(cut, object, length);
		CHECK(kernel_btf__open(cut, length, &file) < 0);
		CHECK_EQ(file.fd, -1);
		free(cut);
	}
	CHECK_EQ(kernel_btf__open(NULL, 0, &file), -EINVAL);
}

/* Where the section is in the object. */
static size_t section_offset(char *object, size_t size, const char *name)
{
	const Elf64_Shdr *section;
	struct elf_image image;
	size_t offset = 0;
	Elf *elf;

	CHECK_EQ(elf_image__open_memory(object, size, &elf), 0);
	CHECK_EQ(elf_image__read(elf, &image), 0);
	section = elf_image__section(&image, name);
	CHECK(section != NULL);
	if (section)
		offset = section->sh_offset;
	elf_image__free(&image);
	elf_end(elf);
	return offset;
}

static int open_changed(char *object, size_t size, size_t offset, uint32_t value)
{
	struct kernel_btf file;
	uint32_t kept;
	int err;

	memcpy(&kept, object + offset, sizeof(kept));
	memcpy(object + offset, &value, sizeof(value));
	err = kernel_btf__open(object, size, &file);
	kernel_btf__close(&file);
	memcpy(object + offset, &kept, sizeof(kept));
	return err;
}

static void relocations_that_do_not_fit_are_refused(void)
{
	uint32_t header_size, relocations_offset;
	const void *original;
	size_t size, head, part;
	char *object;

	original = sampler_bpf__elf_bytes(&size);
	object = malloc(size);
	memcpy(object, original, size);
	head = section_offset(object, size, ".BTF.ext");
	memcpy(&header_size, object + head + 4, sizeof(header_size));
	memcpy(&relocations_offset, object + head + 24, sizeof(relocations_offset));
	part = head + header_size + relocations_offset;
	CHECK_EQ(open_changed(object, size, head, 0), -EINVAL);		     /* magic */
	CHECK_EQ(open_changed(object, size, head + 4, 8), -EINVAL);	     /* header's size */
	CHECK_EQ(open_changed(object, size, head + 24, ~0u), -EINVAL);	     /* offset */
	CHECK_EQ(open_changed(object, size, head + 28, ~0u), -EINVAL);	     /* size */
	CHECK_EQ(open_changed(object, size, head + 28, 2), -EINVAL);	     /* size */
	CHECK_EQ(open_changed(object, size, head + 28, 4), -ENOENT);	     /* no relocations */
	CHECK_EQ(open_changed(object, size, head + 28, 4 + 8 + 8), -EINVAL); /* half of one */
	CHECK_EQ(open_changed(object, size, part, 4), -EINVAL);		     /* record's size */
	CHECK_EQ(open_changed(object, size, part + 8, ~0u), -ENOTSUP);	     /* count */
	CHECK_EQ(open_changed(object, size, part + 12 + 4, ~0u), -ENOTSUP);  /* type */
	CHECK_EQ(open_changed(object, size, part + 12 + 12, 8), -ENOTSUP);   /* kind: type exists */
	free(object);
}

int main(void)
{
	RUN(a_struct_comes_with_all_that_is_in_it,
	    "kernel BTF: a struct comes with all that is in it");
	RUN(each_of_a_name_comes,
	    "kernel BTF: each struct of a name comes, with flavours and unions");
	RUN(a_name_that_is_not_there_is_told, "kernel BTF: a name that is not there is told");
	RUN(too_many_types_are_refused, "kernel BTF: too many types are refused");
	RUN(bytes_that_end_early_are_refused, "kernel BTF: bytes that end early are refused");
	RUN(no_number_in_the_bytes_is_trusted, "kernel BTF: no number in the bytes is trusted");
	RUN(members_of_types_that_cannot_be_are_refused,
	    "kernel BTF: members of types that cannot be are refused");
	RUN(what_is_not_known_is_refused, "kernel BTF: what is not known is refused");
	RUN(the_samplers_part_is_that_of_the_whole,
	    "kernel BTF: the sampler's part says what all of it says");
	RUN(what_is_no_object_is_refused, "kernel BTF: what is no object is refused");
	RUN(relocations_that_do_not_fit_are_refused,
	    "kernel BTF: relocations that do not fit are refused");
	return TEST_RESULT();
}
