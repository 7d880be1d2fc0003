// SPDX-License-Identifier: Apache-2.0
/* Profiles in pprof's format: what is written is read again; what is damaged. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "output/output.h"
#include "pprof.pb-c.h"
#include "test_pprof.h"

static uint8_t *write_profile(const struct profile *profile, size_t *size)
{
	char *bytes = NULL;
	FILE *out = open_memstream(&bytes, size);

	CHECK_EQ(pprof__write(profile, out), 0);
	fclose(out);
	return (uint8_t *)bytes;
}

/* Written and read again. */
static struct profile *copy_of(const struct profile *profile)
{
	size_t size;
	uint8_t *bytes = write_profile(profile, &size);
	struct profile *copy = read_profile(bytes, size);

	free(bytes);
	return copy;
}

/* ---- luaspy's own --------------------------------------------------------------------------- */

/* Each type of frame, and frames that differ in one thing only. */
static const struct profile_frame frames[] = {
	{.name = "main", .type = PROFILE_NATIVE, .mapping = 2, .address = 0x1040},
	{.name = "main", .type = PROFILE_NATIVE, .mapping = 2, .address = 0x1044},
	{.name = "memcpy", .type = PROFILE_NATIVE, .mapping = 1, .address = 0x1040},
	{.name = "[code outside any file]", .type = PROFILE_NATIVE, .address = 0x7f0012345678},
	{.name = "run", .file = "app.lua", .first_line = 3, .line = 5, .type = PROFILE_LUA},
	{.name = "run", .file = "app.lua", .first_line = 3, .line = 6, .type = PROFILE_LUA},
	{.name = "run",
	 .file = "app.lua",
	 .first_line = 3,
	 .line = 5,
	 .type = PROFILE_LUA_COMPILED},
	{.name = "run",
	 .file = "app.lua",
	 .first_line = 3,
	 .line = 5,
	 .type = PROFILE_LUA_COMPILED,
	 .estimated = 1},
	{.name = "run",
	 .file = "app.lua",
	 .first_line = 3,
	 .line = 5,
	 .type = PROFILE_LUA,
	 .estimated = 1},
	{.name = "", .file = "app.lua", .first_line = 3, .line = 0, .type = PROFILE_LUA},
	{.name = "main chunk", .file = "=[C]:@x:0", .type = PROFILE_LUA},
	{.name = "@app.lua:3", .file = "app.lua", .first_line = 3, .type = PROFILE_LUA},
	{.name = "string.gsub", .type = PROFILE_BUILTIN},
	{.name = "tcp_sendmsg", .type = PROFILE_KERNEL, .address = 0xffffffff81000010},
	{.name = "[truncated]", .type = PROFILE_NOTE},
	{.name = "nginx", .type = PROFILE_THREAD},
	{.name = "h\xc3\xa9 \xe2\x82\xac", .type = PROFILE_BUILTIN},
};

#define FRAMES (sizeof(frames) / sizeof(frames[0]))

static const struct profile_count errors[] = {{"BASE not known", 4}, {"a: b", 1}};

static struct profile *example(enum profile_kind kind)
{
	static const struct profile_mapping mappings[] = {
		{.path = "/lib/libc.so.6",
		 .build_id = "c0ffee",
		 .start = 0x1000,
		 .limit = 0x9000,
		 .offset = 0x1000},
		{.path = "/usr/sbin/nginx", .build_id = "", .start = 0x400000, .limit = 0x500000},
		{.path = "[vdso]", .start = 0x10, .limit = 0x20},
	};
	static const uint64_t times[] = {7, 1000000007, 0};
	struct profile_label web[] = {{"pid", "7"}, {"comm", "nginx"}, {"vmstate", "GC"}};
	struct profile_label job[] = {
		{"pid", "8"}, {"comm", "job"}, {"thread", "9"}, {"container", "web"}};
	struct profile_info info = {.title = "nginx 7 and 1 other",
				    .command_line = "luaspy record: -n nginx",
				    .version = "1.2",
				    .host = "web-7",
				    .kind = kind,
				    .rate_hz = kind == PROFILE_OFF_CPU ? 0 : 999,
				    .duration_seconds = 12.345,
				    .start_time = 1767225600,
				    .samples = UINT64_C(0x100000000) + 10,
				    .unique_stacks = 4,
				    .with_lua = 9,
				    .complete = 8,
				    .truncated = 1,
				    .lost = 3,
				    .errors = errors,
				    .error_count = 2};
	struct profile *profile = profile__new();
	uint32_t ids[FRAMES], all[FRAMES * 2];
	uint32_t web_id, job_id, i;

	for (i = 0; i < 3; i++)
		CHECK_EQ(profile__add_mapping(profile, &mappings[i]), i + 1);
	for (i = 0; i < FRAMES; i++) {
		ids[i] = (uint32_t)profile__add_frame(profile, &frames[i]);
		all[i] = all[2 * FRAMES - 1 - i] = ids[i]; /* a recursion */
	}
	profile__frame(profile, PROFILE_NATIVE, "in no stack");
	web_id = (uint32_t)profile__add_labels(profile, web, 3);
	job_id = (uint32_t)profile__add_labels(profile, job, 4);
	const struct profile_stack stacks[] = {
		{.frames = all,
		 .frame_count = 2 * FRAMES,
		 .labels = web_id,
		 .count = 3,
		 .nanoseconds = 3003003,
		 .times = times,
		 .time_count = 3},
		{.frames = all,
		 .frame_count = 2 * FRAMES,
		 .labels = job_id,
		 .count = 5,
		 .nanoseconds = 77},
		{.frames = all + 1,
		 .frame_count = 2,
		 .labels = web_id,
		 .count = UINT64_C(0x100000000),
		 .nanoseconds = UINT64_C(0x10000000000000)},
		{.frames = all, .frame_count = 0, .labels = 0, .count = 2, .nanoseconds = 1},
	};
	for (i = 0; i < 4; i++)
		CHECK_EQ(profile__add_stack(profile, &stacks[i]), 0);
	profile__set_info(profile, &info);
	return profile;
}

static void check_same_frame(const struct profile *a, uint32_t a_id, const struct profile *b,
			     uint32_t b_id)
{
	const struct profile_frame *x = profile__frame_at(a, a_id), *y = profile__frame_at(b, b_id);
	const struct profile_mapping *m, *n;

	CHECK_STR(y->name, x->name);
	CHECK_STR(y->file, x->file);
	CHECK_EQ(y->first_line, x->first_line);
	CHECK_EQ(y->line, x->line);
	CHECK_EQ(y->address, x->address);
	CHECK_EQ(y->type, x->type);
	CHECK_EQ(y->estimated, x->estimated);
	CHECK_EQ(y->mapping != 0, x->mapping != 0);
	if (!x->mapping || !y->mapping)
		return;
	m = profile__mapping_at(a, x->mapping - 1);
	n = profile__mapping_at(b, y->mapping - 1);
	CHECK_STR(n->path, m->path);
	CHECK_STR(n->build_id, m->build_id);
	CHECK_EQ(n->start, m->start);
	CHECK_EQ(n->limit, m->limit);
	CHECK_EQ(n->offset, m->offset);
}

static void check_same_labels(const struct profile *a, uint32_t a_id, const struct profile *b,
			      uint32_t b_id)
{
	uint32_t a_count, b_count, i;
	const struct profile_label *x = profile__labels_at(a, a_id, &a_count);
	const struct profile_label *y = profile__labels_at(b, b_id, &b_count);

	CHECK_EQ(b_count, a_count);
	for (i = 0; i < a_count && i < b_count; i++) {
		CHECK_STR(y[i].key, x[i].key);
		CHECK_STR(y[i].value, x[i].value);
	}
}

static void check_same_stacks(const struct profile *a, const struct profile *b)
{
	struct profile_stack x, y;
	size_t i, k;
	uint32_t f;

	CHECK_EQ(profile__stack_count(b), profile__stack_count(a));
	for (i = 0; i < profile__stack_count(a) && i < profile__stack_count(b); i++) {
		x = profile__stack_at(a, i);
		y = profile__stack_at(b, i);
		CHECK_EQ(y.count, x.count);
		CHECK_EQ(y.nanoseconds, x.nanoseconds);
		CHECK_EQ(y.time_count, x.time_count);
		for (k = 0; k < x.time_count && k < y.time_count; k++)
			CHECK_EQ(y.times[k], x.times[k]);
		CHECK_EQ(y.frame_count, x.frame_count);
		for (f = 0; f < x.frame_count && f < y.frame_count; f++)
			check_same_frame(a, x.frames[f], b, y.frames[f]);
		check_same_labels(a, x.labels, b, y.labels);
	}
}

static void check_same_info(const struct profile_info *x, const struct profile_info *y)
{
	size_t i;

	CHECK_STR(y->title, x->title);
	CHECK_STR(y->command_line, x->command_line);
	CHECK_STR(y->version, x->version);
	CHECK_STR(y->host, x->host);
	CHECK_EQ(y->kind, x->kind);
	CHECK_EQ(y->rate_hz, x->rate_hz);
	CHECK_EQ(y->duration_seconds * 1e6 + 0.5, x->duration_seconds * 1e6 + 0.5);
	CHECK_EQ(y->start_time, x->start_time);
	CHECK_EQ(y->samples, x->samples);
	CHECK_EQ(y->unique_stacks, x->unique_stacks);
	CHECK_EQ(y->with_lua, x->with_lua);
	CHECK_EQ(y->complete, x->complete);
	CHECK_EQ(y->truncated, x->truncated);
	CHECK_EQ(y->lost, x->lost);
	CHECK_EQ(y->error_count, x->error_count);
	for (i = 0; i < x->error_count && i < y->error_count; i++) {
		CHECK_STR(y->errors[i].name, x->errors[i].name);
		CHECK_EQ(y->errors[i].count, x->errors[i].count);
	}
}

static void what_is_written_is_read_again(void)
{
	enum profile_kind kind;

	for (kind = PROFILE_CPU; kind <= PROFILE_WALL; kind++) {
		struct profile *profile = example(kind), *copy = copy_of(profile);

		check_same_stacks(profile, copy);
		check_same_info(profile__info(profile), profile__info(copy));
		profile__free(profile);
		profile__free(copy);
	}
}

static void an_empty_profile_is_one(void)
{
	struct profile *profile = profile__new(), *copy = copy_of(profile);

	CHECK_EQ(profile__stack_count(copy), 0);
	CHECK_EQ(profile__info(copy)->samples, 0);
	profile__free(profile);
	profile__free(copy);
}

static void every_rate_survives(void)
{
	struct profile *profile = profile__new(), *copy;
	struct profile_info info = {.title = "t", .version = "1"};

	for (info.rate_hz = 1; info.rate_hz < 10000; info.rate_hz += info.rate_hz < 100 ? 1 : 97) {
		profile__set_info(profile, &info);
		copy = copy_of(profile);
		CHECK_EQ(profile__info(copy)->rate_hz, info.rate_hz);
		profile__free(copy);
	}
	profile__free(profile);
}

/* What a text is allowed to be in a protocol buffer. */
static void bad_bytes_become_replacement_characters(void)
{
	struct profile *profile = profile__new(), *copy;
	uint32_t id = (uint32_t)profile__frame(profile, PROFILE_BUILTIN, "a\xff\x1b[31mb");

	profile__add(profile, &id, 1, 1);
	copy = copy_of(profile);
	CHECK_STR(profile__frame_at(copy, profile__stack_at(copy, 0).frames[0])->name,
		  "a\xef\xbf\xbd\xef\xbf\xbd[31mb");
	profile__free(profile);
	profile__free(copy);
}

/* ---- the messages --------------------------------------------------------------------------- */

static uint8_t *gunzip(const uint8_t *bytes, size_t size, size_t *length)
{
	const size_t room = 1 << 20;
	uint8_t *out = calloc(1, room);
	z_stream gzip = {.next_in = (uint8_t *)bytes,
			 .avail_in = (uInt)size,
			 .next_out = out,
			 .avail_out = (uInt)room};

	CHECK_EQ(inflateInit2(&gzip, 31), Z_OK);
	CHECK_EQ(inflate(&gzip, Z_FINISH), Z_STREAM_END);
	CHECK_EQ(gzip.avail_in, 0);
	inflateEnd(&gzip);
	*length = room - gzip.avail_out;
	return out;
}

/* What readers expect: the last value is shown, ids count from 1, the program comes first. */
static void the_messages_are_as_readers_expect_them(void)
{
	struct profile *profile = example(PROFILE_CPU);
	size_t size, length, i;
	uint8_t *packed = write_profile(profile, &size), *bytes = gunzip(packed, size, &length);
	Pb__Profile *m = pb__profile__unpack(NULL, length, bytes);

	CHECK(m != NULL);
	CHECK_STR(m->string_table[0], "");
	CHECK_EQ(m->n_sample_type, 2);
	CHECK_STR(m->string_table[m->sample_type[0]->type], "samples");
	CHECK_STR(m->string_table[m->sample_type[0]->unit], "count");
	CHECK_STR(m->string_table[m->sample_type[1]->type], "cpu");
	CHECK_STR(m->string_table[m->sample_type[1]->unit], "nanoseconds");
	CHECK_STR(m->string_table[m->default_sample_type], "cpu");
	CHECK_STR(m->string_table[m->period_type->type], "cpu");
	CHECK_EQ(m->period, 1001001);
	CHECK_STR(m->string_table[m->mapping[0]->filename], "/usr/sbin/nginx");
	CHECK_STR(m->string_table[m->mapping[1]->filename], "/lib/libc.so.6");
	for (i = 0; i < m->n_mapping; i++)
		CHECK_EQ(m->mapping[i]->id, i + 1);
	for (i = 0; i < m->n_location; i++)
		CHECK_EQ(m->location[i]->id, i + 1);
	for (i = 0; i < m->n_function; i++)
		CHECK_EQ(m->function[i]->id, i + 1);
	CHECK_EQ(m->n_location, FRAMES);
	CHECK_EQ(m->sample[2]->n_location_id, 2);
	CHECK_EQ(m->sample[2]->location_id[0], 3); /* the leaf */
	CHECK_EQ(m->sample[2]->location_id[1], 2);
	i = m->location[4]->line[0]->function_id - 1;
	CHECK_STR(m->string_table[m->function[i]->name], "run@app.lua:3");
	CHECK_STR(m->string_table[m->function[i]->system_name], "run");
	CHECK_STR(m->string_table[m->function[i]->filename], "app.lua");
	CHECK_EQ(m->function[i]->start_line, 3);
	CHECK_EQ(m->location[4]->line[0]->line, 5);
	pb__profile__free_unpacked(m, NULL);
	free(bytes);
	free(packed);
	profile__free(profile);
}

/* ---- damage --------------------------------------------------------------------------------- */

static void what_is_no_profile_is_refused(void)
{
	static const uint8_t text[] = "nginx;main 3\n";

	check_refused(text, 0, -EINVAL, "it is empty");
	check_refused(text, sizeof(text) - 1, -EINVAL,
		      "it is not in pprof's format (`luaspy record -o FILE.pb.gz` writes it)");
}

static void every_cut_and_flipped_byte_is_noticed(void)
{
	struct profile *profile = example(PROFILE_CPU), *other;
	char why[PPROF_WHY_BYTES];
	size_t size, i;
	uint8_t *bytes = write_profile(profile, &size);

	for (i = 2; i < size; i++)
		check_refused(bytes, i, -EINVAL, "it ends too early: was it copied whole?");
	for (i = 10; i < size; i++) { /* the header has a time and a name in it */
		bytes[i] ^= 0x10;
		CHECK(pprof__parse(bytes, size, &other, why) != 0);
		CHECK(other == NULL);
		bytes[i] ^= 0x10;
	}
	free(bytes);
	profile__free(profile);
}

static uint8_t *gzip_zeros(size_t count, size_t *size)
{
	static uint8_t zeros[65536];
	const size_t room = 1 << 20;
	uint8_t *out = malloc(room);
	z_stream gzip = {.next_out = out, .avail_out = (uInt)room};

	CHECK_EQ(deflateInit2(&gzip, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	for (; count; count -= sizeof(zeros)) {
		gzip.next_in = zeros;
		gzip.avail_in = sizeof(zeros);
		deflate(&gzip, count == sizeof(zeros) ? Z_FINISH : Z_NO_FLUSH);
	}
	deflateEnd(&gzip);
	*size = room - gzip.avail_out;
	return out;
}

static void a_bomb_is_not_unpacked_to_its_end(void)
{
	size_t size;
	uint8_t *bytes = gzip_zeros((256ul << 20) + 65536, &size);

	CHECK(size < 300000);
	check_refused(bytes, size, -EFBIG, "it is larger than 256 MB when it is unpacked");
	free(bytes);
}

/* Two bytes each: what is unpacked is fifty times that. */
static void messages_are_bounded_too(void)
{
	const size_t size = 20ul << 20;
	uint8_t *bytes = malloc(size);
	size_t i;

	for (i = 0; i < size; i += 2) {
		bytes[i] = 2 << 3 | 2; /* a sample */
		bytes[i + 1] = 0;
	}
	check_refused(bytes, size, -EFBIG, "it takes more than 512 MB of memory");
	free(bytes);
}

static void a_full_disk_is_reported(void)
{
	struct profile *profile = example(PROFILE_CPU);
	FILE *out = fopen("/dev/full", "w");

	if (!out) {
		profile__free(profile);
		SKIP("cannot: no /dev/full");
	}
	CHECK_EQ(pprof__write(profile, out), -ENOSPC);
	fclose(out);
	profile__free(profile);
}

int main(void)
{
	RUN(what_is_written_is_read_again, "what is written is read again");
	RUN(an_empty_profile_is_one, "an empty profile is one");
	RUN(every_rate_survives, "every rate survives");
	RUN(bad_bytes_become_replacement_characters, "texts are valid UTF-8");
	RUN(the_messages_are_as_readers_expect_them, "the messages are as readers expect them");
	RUN(what_is_no_profile_is_refused, "what is no profile is refused");
	RUN(every_cut_and_flipped_byte_is_noticed, "every cut and flipped byte is noticed");
	RUN(a_bomb_is_not_unpacked_to_its_end, "a bomb is not unpacked to its end");
	RUN(messages_are_bounded_too, "messages are bounded, too");
	RUN(a_full_disk_is_reported, "a full disk is reported");
	return TEST_RESULT();
}
