/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of real ELF files, made here with gcc and binutils: complete, stripped, with debug files
 * by build id and by debuglink, with .gnu_debugdata. The expected addresses come from nm.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/debug_data.h"
#include "symbol/elf_symbols.h"
#include "target/elf_image.h"

static char dir[64]; /* holds the fixtures, and stands for the target's root */

static const char FIXTURE[] =
	"static __attribute__((noinline, used)) int static_function(int x) { return x * 7 + 1; }\n"
	"int global_function(int x) { return static_function(x) + 3; }\n"
	"int __implementation(int x) { return x + 11; }\n"
	"int plain_name(int x) __attribute__((alias(\"__implementation\")));\n"
	"static __attribute__((noinline, used)) int local_only(int x) { return x - 5; }\n"
	"int a_weak_name(int x) __attribute__((weak, alias(\"local_only\")));\n"
	"int data_object = 5;\n"
	"__asm__(\".text\\n.p2align 4\\n\"\n"
	"\".globl sized_asm\\n.type sized_asm,@function\\nsized_asm: .skip 8,0x90\\n\"\n"
	"\".size sized_asm, 8\\n.skip 8,0x90\\n\"\n"
	"\".globl zero_size\\n.type zero_size,@function\\nzero_size: .skip 32,0x90\\n\"\n"
	"\".globl after_zero\\n.type after_zero,@function\\nafter_zero: .skip 8,0x90\\n\"\n"
	"\"label_inside: .skip 8,0x90\\n.size after_zero, 16\\n\"\n"
	"\"untyped_code: .skip 16,0x90\\n\"\n"
	"\".globl outer\\n.type outer,@function\\nouter: .skip 16,0x90\\n\"\n"
	"\".type inner,@function\\ninner: .skip 16,0x90\\n.size inner, 16\\n\"\n"
	"\".skip 16,0x90\\n.size outer, 48\\n\");\n";

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[2048], line[2200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "cd '%s' && { %s; } >/dev/null 2>&1", dir, command);
	return system(line) == 0;
}

static void in_dir(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", dir, name);
}

static Elf *open_elf(const char *name, int *fd)
{
	char path[256];
	Elf *elf = NULL;

	in_dir(path, sizeof(path), name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd >= 0)
		elf_image__open_fd(*fd, &elf);
	return elf;
}

/* The handle is closed before the names are used: they must not point into the file. */
static struct elf_symbols *load(const char *name, bool with_root, const char *file_dir)
{
	struct elf_symbols *symbols = NULL;
	int fd, root_fd = -1;
	Elf *elf = open_elf(name, &fd);

	if (with_root)
		root_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (elf)
		CHECK_EQ(elf_symbols__load(elf, root_fd, file_dir, &symbols), 0);
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	if (root_fd >= 0)
		close(root_fd);
	return symbols;
}

/* The address of a symbol according to nm; 0 if unknown. */
static uint64_t nm(const char *name)
{
	char command[256], line[256], symbol[128];
	unsigned long long address, found = 0;
	FILE *pipe;

	snprintf(command, sizeof(command), "nm '%s/full.so' 2>/dev/null", dir);
	pipe = popen(command, "r");
	if (!pipe)
		return 0;
	while (fgets(line, sizeof(line), pipe)) {
		if (sscanf(line, "%llx %*c %127s", &address, symbol) == 2 &&
		    strcmp(symbol, name) == 0)
			found = address;
	}
	pclose(pipe);
	CHECK(found != 0);
	return found;
}

static bool make_fixtures(void)
{
	char path[256];
	FILE *file;

	in_dir(path, sizeof(path), "fixture.c");
	file = fopen(path, "w");
	if (!file)
		return false;
	fputs(FIXTURE, file);
	fclose(file);
	return shell("gcc -O1 -g -fPIC -shared -Wl,--build-id=sha1 -o full.so fixture.c && "
		     "objcopy --only-keep-debug full.so full.debug && "
		     "strip -o stripped.so full.so && nm full.so");
}

static bool have_fixtures;

#define NEED_FIXTURES()                                                                            \
	do {                                                                                       \
		if (!have_fixtures)                                                                \
			SKIP("gcc or binutils is missing");                                        \
	} while (0)

static void full_file_names_every_function(void)
{
	struct elf_symbols *symbols;
	uint64_t start = 0, address;

	NEED_FIXTURES();
	symbols = load("full.so", false, NULL);
	address = nm("static_function");
	CHECK_STR(elf_symbols__find(symbols, address, &start), "static_function");
	CHECK_EQ(start, address);
	start = 0;
	CHECK_STR(elf_symbols__find(symbols, address + 3, &start), "static_function");
	CHECK_EQ(start, address);
	CHECK_STR(elf_symbols__find(symbols, nm("global_function"), NULL), "global_function");
	CHECK(elf_symbols__find(symbols, nm("data_object"), NULL) == NULL);
	CHECK(elf_symbols__find(symbols, 0, NULL) == NULL);
	CHECK(elf_symbols__find(symbols, UINT64_MAX, NULL) == NULL);
	CHECK(elf_symbols__count(symbols) >= 8);
	elf_symbols__free(symbols);
}

static void a_size_ends_a_symbol(void)
{
	struct elf_symbols *symbols;
	uint64_t address;

	NEED_FIXTURES();
	symbols = load("full.so", false, NULL);
	address = nm("sized_asm");
	CHECK_STR(elf_symbols__find(symbols, address + 7, NULL), "sized_asm");
	CHECK(elf_symbols__find(symbols, address + 8, NULL) == NULL);
	CHECK(elf_symbols__find(symbols, address + 15, NULL) == NULL);
	CHECK_STR(elf_symbols__find(symbols, address + 16, NULL), "zero_size");
	elf_symbols__free(symbols);
}

static void size_zero_reaches_to_the_next_symbol(void)
{
	struct elf_symbols *symbols;
	uint64_t zero, after, start = 0;

	NEED_FIXTURES();
	symbols = load("full.so", false, NULL);
	zero = nm("zero_size");
	after = nm("after_zero");
	CHECK_EQ(after, zero + 32);
	CHECK_STR(elf_symbols__find(symbols, zero, NULL), "zero_size");
	CHECK_STR(elf_symbols__find(symbols, after - 1, &start), "zero_size");
	CHECK_EQ(start, zero);
	CHECK_STR(elf_symbols__find(symbols, after, NULL), "after_zero");
	/* A label inside a function with a size does not split it; code after it has a name. */
	CHECK_STR(elf_symbols__find(symbols, nm("label_inside") + 2, NULL), "after_zero");
	CHECK_STR(elf_symbols__find(symbols, nm("untyped_code") + 15, NULL), "untyped_code");
	elf_symbols__free(symbols);
}

static void the_innermost_of_nested_symbols_wins(void)
{
	struct elf_symbols *symbols;
	uint64_t outer, start = 0;

	NEED_FIXTURES();
	symbols = load("full.so", false, NULL);
	outer = nm("outer");
	CHECK_STR(elf_symbols__find(symbols, outer + 15, NULL), "outer");
	CHECK_STR(elf_symbols__find(symbols, outer + 16, NULL), "inner");
	CHECK_STR(elf_symbols__find(symbols, outer + 31, NULL), "inner");
	CHECK_STR(elf_symbols__find(symbols, outer + 32, &start), "outer");
	CHECK_EQ(start, outer);
	CHECK_STR(elf_symbols__find(symbols, outer + 47, NULL), "outer");
	elf_symbols__free(symbols);
}

static void aliases_give_the_name_a_person_would_pick(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	symbols = load("full.so", false, NULL);
	CHECK_EQ(nm("plain_name"), nm("__implementation"));
	CHECK_STR(elf_symbols__find(symbols, nm("__implementation"), NULL), "plain_name");
	CHECK_EQ(nm("a_weak_name"), nm("local_only"));
	CHECK_STR(elf_symbols__find(symbols, nm("local_only"), NULL), "a_weak_name");
	elf_symbols__free(symbols);
}

static void a_stripped_file_keeps_its_dynamic_symbols(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	symbols = load("stripped.so", true, "/");
	CHECK_STR(elf_symbols__find(symbols, nm("global_function"), NULL), "global_function");
	CHECK(elf_symbols__find(symbols, nm("static_function"), NULL) == NULL);
	elf_symbols__free(symbols);
}

static void build_id_is_that_of_readelf(void)
{
	char hex[41], expected[128] = "", command[512], path[256];
	FILE *pipe;
	Elf *elf;
	int fd;

	NEED_FIXTURES();
	in_dir(path, sizeof(path), "full.so");
	snprintf(command, sizeof(command),
		 "readelf -n '%s' 2>/dev/null | sed -n 's/.*Build ID: //p'", path);
	pipe = popen(command, "r");
	if (pipe && fgets(expected, sizeof(expected), pipe))
		expected[strcspn(expected, "\n")] = '\0';
	if (pipe)
		pclose(pipe);
	elf = open_elf("full.so", &fd);
	CHECK_EQ(elf_build_id(elf, hex, sizeof(hex)), 40);
	CHECK_STR(hex, expected);
	CHECK_EQ(elf_build_id(elf, hex, 40), (uint64_t)-E2BIG);
	elf_end(elf);
	close(fd);

	CHECK(shell("gcc -O1 -fPIC -shared -Wl,--build-id=none -o noid.so fixture.c"));
	elf = open_elf("noid.so", &fd);
	CHECK_EQ(elf_build_id(elf, hex, sizeof(hex)), (uint64_t)-ENOENT);
	elf_end(elf);
	close(fd);
}

/* Puts `source` where the debug file of stripped.so is looked for. */
static bool install_by_build_id(const char *how)
{
	char hex[129];
	bool ok;
	Elf *elf;
	int fd;

	elf = open_elf("stripped.so", &fd);
	ok = elf_build_id(elf, hex, sizeof(hex)) > 4;
	elf_end(elf);
	close(fd);
	return ok && shell("rm -rf usr && mkdir -p usr/lib/debug/.build-id/%.2s && "
			   "T=usr/lib/debug/.build-id/%.2s/%s.debug && %s",
			   hex, hex, hex + 2, how);
}

static void debug_file_is_found_by_build_id(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	CHECK(install_by_build_id("cp full.debug $T"));
	symbols = load("stripped.so", true, NULL);
	CHECK_STR(elf_symbols__find(symbols, nm("static_function"), NULL), "static_function");
	elf_symbols__free(symbols);

	/* Without a root there is nothing to search. */
	symbols = load("stripped.so", false, NULL);
	CHECK(elf_symbols__find(symbols, nm("static_function"), NULL) == NULL);
	elf_symbols__free(symbols);
}

static void absolute_links_stay_inside_the_root(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	CHECK(install_by_build_id("mkdir -p store && cp full.debug store/x && ln -s /store/x $T"));
	symbols = load("stripped.so", true, NULL);
	CHECK_STR(elf_symbols__find(symbols, nm("static_function"), NULL), "static_function");
	elf_symbols__free(symbols);
}

static void debug_file_of_another_build_is_refused(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	CHECK(shell("gcc -O0 -g -fPIC -shared -Wl,--build-id=sha1 -o other.so fixture.c"));
	CHECK(install_by_build_id("cp other.so $T"));
	symbols = load("stripped.so", true, "/");
	CHECK(elf_symbols__find(symbols, nm("static_function"), NULL) == NULL);
	elf_symbols__free(symbols);
}

static void a_fifo_in_place_of_a_debug_file_does_not_block(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	CHECK(install_by_build_id("mkfifo $T"));
	alarm(20);
	symbols = load("stripped.so", true, "/");
	alarm(0);
	CHECK_STR(elf_symbols__find(symbols, nm("global_function"), NULL), "global_function");
	elf_symbols__free(symbols);
}

static const char *name_by_link(const char *set_up)
{
	static char name[64];
	struct elf_symbols *symbols;
	const char *found;

	CHECK(shell("rm -rf usr opt && mkdir -p opt/lib/.debug usr/lib/debug/opt/lib && %s",
		    set_up));
	symbols = load("linked.so", true, "/opt/lib");
	found = elf_symbols__find(symbols, nm("static_function"), NULL);
	snprintf(name, sizeof(name), "%s", found ? found : "");
	elf_symbols__free(symbols);
	return name;
}

static void debug_file_is_found_by_debuglink_and_crc(void)
{
	NEED_FIXTURES();
	CHECK(shell("objcopy --remove-section .note.gnu.build-id full.so l.so && "
		    "objcopy --only-keep-debug l.so linked.debug && strip -o linked.so l.so && "
		    "objcopy --add-gnu-debuglink=linked.debug linked.so"));
	CHECK_STR(name_by_link("cp linked.debug opt/lib/"), "static_function");
	CHECK_STR(name_by_link("cp linked.debug opt/lib/.debug/"), "static_function");
	CHECK_STR(name_by_link("cp linked.debug usr/lib/debug/opt/lib/"), "static_function");
	CHECK_STR(name_by_link("true"), "");
	CHECK_STR(name_by_link("cp linked.debug opt/lib/ && echo >> opt/lib/linked.debug"), "");
	/* A bad one does not hide a good one further on. */
	CHECK_STR(name_by_link("cp linked.debug usr/lib/debug/opt/lib/ && echo > "
			       "opt/lib/linked.debug"),
		  "static_function");
}

static void minidebuginfo_is_unpacked(void)
{
	struct elf_symbols *symbols;

	NEED_FIXTURES();
	if (!shell("xz --version"))
		SKIP("xz is missing");
	CHECK(shell("rm -rf usr opt; objcopy -S --keep-symbol=static_function full.debug mini && "
		    "rm -f mini.xz && xz -k mini && "
		    "objcopy --add-section .gnu_debugdata=mini.xz stripped.so mini.so"));
	symbols = load("mini.so", true, "/");
	CHECK_STR(elf_symbols__find(symbols, nm("static_function"), NULL), "static_function");
	CHECK_STR(elf_symbols__find(symbols, nm("global_function"), NULL), "global_function");
	elf_symbols__free(symbols);

	CHECK(shell("echo garbage > g && objcopy --add-section .gnu_debugdata=g stripped.so g.so"));
	symbols = load("g.so", true, "/");
	CHECK_STR(elf_symbols__find(symbols, nm("global_function"), NULL), "global_function");
	elf_symbols__free(symbols);
}

static void unpacking_stops_at_its_limit(void)
{
	static unsigned char packed[65536];
	char path[256];
	void *output = NULL;
	size_t size, got = 0;
	FILE *file;

	if (!shell("head -c 1000000 /dev/zero | xz -9 > zeros.xz"))
		SKIP("xz is missing");
	in_dir(path, sizeof(path), "zeros.xz");
	file = fopen(path, "r");
	CHECK(file != NULL);
	if (!file)
		return;
	size = fread(packed, 1, sizeof(packed), file);
	fclose(file);
	CHECK(size > 50 && size < 2000);
	CHECK_EQ(debug_data__unpack(packed, size, 999999, &output, &got), (uint64_t)-EINVAL);
	CHECK_EQ(debug_data__unpack(packed, size / 2, 2000000, &output, &got), (uint64_t)-EINVAL);
	CHECK_EQ(debug_data__unpack(packed, size, 2000000, &output, &got), 0);
	CHECK_EQ(got, 1000000);
	free(output);
}

/* Each byte of the headers set to odd values in turn: no crash, and no error but memory. */
static void corrupt_headers_are_survived(void)
{
	static unsigned char image[1 << 16], copy[1 << 16];
	static const unsigned char values[] = {0x00, 0x7f, 0xff};
	Elf64_Ehdr header;
	char path[256];
	size_t size, i, j, step, tried = 0;
	FILE *file;

	NEED_FIXTURES();
	in_dir(path, sizeof(path), "full.so");
	file = fopen(path, "r");
	size = file ? fread(image, 1, sizeof(image), file) : 0;
	if (file)
		fclose(file);
	CHECK(size > 4096 && size < sizeof(image));
	memcpy(&header, image, sizeof(header));
	step = size - header.e_shoff;
	for (i = 0; i < sizeof(header) + 512 + step; i++) {
		size_t at =
			i < sizeof(header) + 512 ? i : header.e_shoff + i - sizeof(header) - 512;

		for (j = 0; j < sizeof(values); j++) {
			struct elf_symbols *symbols = NULL;
			char hex[129];
			Elf *elf;

			memcpy(copy, image, size);
			copy[at] = values[j];
			if (elf_image__open_memory(copy, size, &elf))
				continue;
			elf_build_id(elf, hex, sizeof(hex));
			CHECK_EQ(elf_symbols__load(elf, -1, NULL, &symbols), 0);
			elf_symbols__free(symbols);
			elf_end(elf);
			tried++;
		}
	}
	CHECK(tried > 1000);
}

static void no_object_has_no_names(void)
{
	CHECK(elf_symbols__find(NULL, 5, NULL) == NULL);
	CHECK_EQ(elf_symbols__count(NULL), 0);
	elf_symbols__free(NULL);
}

/* Size on disk says little: what counts is the number of symbols. */
static void a_large_library_loads_quickly(void)
{
	struct timespec before, after;
	struct elf_symbols *symbols;
	double ms;

	if (!shell("{ for i in $(seq 100000); do echo \".globl function_with_a_long_name_$i\"; "
		   "echo \".type function_with_a_long_name_$i,@function\"; "
		   "echo \"function_with_a_long_name_$i: .skip 16,0x90\"; "
		   "echo \".size function_with_a_long_name_$i,16\"; done; } > many.s && "
		   "gcc -shared -o many.so many.s"))
		SKIP("gcc is missing");
	clock_gettime(CLOCK_MONOTONIC, &before);
	symbols = load("many.so", false, NULL);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ms = (double)(after.tv_sec - before.tv_sec) * 1e3 +
	     (double)(after.tv_nsec - before.tv_nsec) / 1e6;
	printf("# 100,000 symbols, each in two tables: %.1f ms\n", ms);
	CHECK(elf_symbols__count(symbols) >= 100000);
	CHECK(elf_symbols__count(symbols) < 100020);
	CHECK(ms < 2000); /* sanitizers included */
	elf_symbols__free(symbols);
}

int main(void)
{
	strcpy(dir, "/tmp/luaspy-symbols-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	have_fixtures = make_fixtures();

	RUN(full_file_names_every_function, "a file with .symtab names every function");
	RUN(a_size_ends_a_symbol, "a symbol ends after its size");
	RUN(size_zero_reaches_to_the_next_symbol, "a symbol of size 0 reaches to the next");
	RUN(the_innermost_of_nested_symbols_wins, "the innermost of nested symbols wins");
	RUN(aliases_give_the_name_a_person_would_pick, "aliases: global, weak, local, underscores");
	RUN(a_stripped_file_keeps_its_dynamic_symbols, "a stripped file has its .dynsym");
	RUN(build_id_is_that_of_readelf, "the build id is the one readelf shows");
	RUN(debug_file_is_found_by_build_id, "a debug file is found by build id");
	RUN(absolute_links_stay_inside_the_root, "absolute links stay inside the target's root");
	RUN(debug_file_of_another_build_is_refused, "a debug file of another build is refused");
	RUN(a_fifo_in_place_of_a_debug_file_does_not_block, "a FIFO as debug file does not block");
	RUN(debug_file_is_found_by_debuglink_and_crc, "debuglink: three places, checked by CRC");
	RUN(minidebuginfo_is_unpacked, ".gnu_debugdata is unpacked, garbage is ignored");
	RUN(unpacking_stops_at_its_limit, "unpacking stops at its limit");
	RUN(corrupt_headers_are_survived, "corrupt headers are survived");
	RUN(no_object_has_no_names, "NULL has no names");
	RUN(a_large_library_loads_quickly, "100,000 symbols load quickly");

	shell("rm -rf '%s'", dir);
	return TEST_RESULT();
}
