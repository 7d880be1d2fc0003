/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel names: from made-up tables and from this machine's own. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/kernel_symbols.h"

static int load_text(const char *text, struct kernel_symbols **symbols)
{
	char path[] = "/tmp/luaspy-kallsyms-XXXXXX";
	int fd = mkstemp(path), result;

	*symbols = NULL;
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -EIO;
	close(fd);
	result = kernel_symbols__load(path, symbols);
	unlink(path);
	return result;
}

static void the_function_at_or_before_is_found(void)
{
	struct kernel_symbols *symbols;

	CHECK_EQ(load_text("ffffffff81000000 T first\n"
			   "ffffffff81000100 t second\n"
			   "ffffffff81000180 d some_data\n"
			   "ffffffffc0000000 t nf_hook\t[nf_tables]\n"
			   "ffffffff81000200 W weak_one\n",
			   &symbols),
		 0);
	CHECK_EQ(kernel_symbols__count(symbols), 4);
	CHECK(kernel_symbols__find(symbols, 0xffffffff80ffffffULL) == NULL);
	CHECK(kernel_symbols__find(symbols, 0) == NULL);
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff81000000ULL), "first");
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff810000ffULL), "first");
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff810001ffULL), "second");
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff81000200ULL), "weak_one");
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffffc0000010ULL), "nf_hook [nf_tables]");
	CHECK_STR(kernel_symbols__find(symbols, UINT64_MAX), "nf_hook [nf_tables]");
	kernel_symbols__free(symbols);
}

static void aliases_prefer_global_and_plain_names(void)
{
	struct kernel_symbols *symbols;

	CHECK_EQ(load_text("ffffffff81000000 t local\nffffffff81000000 T __global\n"
			   "ffffffff81000010 T __x64_read\nffffffff81000010 T read\n",
			   &symbols),
		 0);
	CHECK_EQ(kernel_symbols__count(symbols), 2);
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff81000000ULL), "__global");
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff81000010ULL), "read");
	kernel_symbols__free(symbols);
}

static void hidden_addresses_are_a_lack_of_permission(void)
{
	struct kernel_symbols *symbols;

	CHECK_EQ(load_text("0000000000000000 T first\n0000000000000000 t second\n", &symbols),
		 (uint64_t)-EPERM);
	CHECK(symbols == NULL);
}

static void odd_input_is_survived(void)
{
	struct kernel_symbols *symbols;
	char line[4096];

	CHECK_EQ(load_text("", &symbols), 0);
	CHECK_EQ(kernel_symbols__count(symbols), 0);
	CHECK(kernel_symbols__find(symbols, 1) == NULL);
	kernel_symbols__free(symbols);

	CHECK_EQ(load_text("nonsense\n\nffffffff81000000\nffffffff81000000 T\n"
			   "ffffffff81000000 T \nffffffff81000020 T good\n"
			   "fffffffffffffffff81000000 T overflow",
			   &symbols),
		 0);
	CHECK_EQ(kernel_symbols__count(symbols), 1);
	CHECK_STR(kernel_symbols__find(symbols, 0xffffffff81000020ULL), "good");
	kernel_symbols__free(symbols);

	memset(line, 'x', sizeof(line));
	memcpy(line, "ffffffff81000000 T ", 19);
	line[sizeof(line) - 1] = '\0';
	CHECK_EQ(load_text(line, &symbols), 0);
	CHECK_EQ(kernel_symbols__count(symbols), 0);
	kernel_symbols__free(symbols);

	CHECK_EQ(kernel_symbols__load("/nonexistent/kallsyms", &symbols), (uint64_t)-ENOENT);
	CHECK(kernel_symbols__find(NULL, 1) == NULL);
	kernel_symbols__free(NULL);
}

static void this_kernel_has_names(void)
{
	char line[256], name[200], type;
	struct kernel_symbols *symbols;
	unsigned long long address;
	struct timespec before, after;
	FILE *file;
	int err;

	clock_gettime(CLOCK_MONOTONIC, &before);
	err = kernel_symbols__load(NULL, &symbols);
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (err == -EPERM || err == -ENOENT || err == -EACCES)
		SKIP("cannot: kernel addresses are hidden");
	CHECK_EQ(err, 0);
	printf("# %zu symbols in %.1f ms\n", kernel_symbols__count(symbols),
	       (double)(after.tv_sec - before.tv_sec) * 1e3 +
		       (double)(after.tv_nsec - before.tv_nsec) / 1e6);
	CHECK(kernel_symbols__count(symbols) > 10000);
	file = fopen("/proc/kallsyms", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %199s", &address, &type, name) == 3 &&
		    strcmp(name, "vfs_read") == 0)
			CHECK_STR(kernel_symbols__find(symbols, address + 1), "vfs_read");
	}
	if (file)
		fclose(file);
	kernel_symbols__free(symbols);
}

int main(void)
{
	RUN(the_function_at_or_before_is_found, "the function at or before an address is found");
	RUN(aliases_prefer_global_and_plain_names, "aliases prefer global and plain names");
	RUN(hidden_addresses_are_a_lack_of_permission, "zero addresses are -EPERM");
	RUN(odd_input_is_survived, "odd input is survived");
	RUN(this_kernel_has_names, "this kernel's functions have names");
	return TEST_RESULT();
}
