/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file behind a mapping: our own, a deleted one, a replaced one, things that are no files; and
 * the bias of all the ways in which a linker lays out a program.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "symbol/elf_symbols.h"
#include "target/elf_file.h"

static char dir[64];

__attribute__((format(printf, 1, 2))) static bool shell(const char *format, ...)
{
	char command[1024], line[1200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	snprintf(line, sizeof(line), "cd '%s' && { %s; } >/dev/null 2>&1", dir, command);
	return system(line) == 0;
}

/* Name of the function at `address` of process `pid`, by way of maps, file, bias and symbols; or
 * the step that failed. */
static const char *name_at(pid_t pid, uint64_t address, uint64_t *bias)
{
	static char name[256];
	const struct map_entry *entry;
	struct elf_symbols *symbols = NULL;
	struct elf_file *file = NULL;
	const char *found = NULL;
	struct maps maps;
	int err;

	snprintf(name, sizeof(name), "no mapping");
	if (maps__read(pid, &maps))
		return name;
	entry = maps__find(&maps, address);
	if (!entry)
		goto out;
	err = strcmp(entry->path, "[vdso]") == 0 ? elf_file__open_vdso(pid, entry, &file)
						 : elf_file__open_mapping(pid, entry, &file);
	snprintf(name, sizeof(name), "open: %s", strerror(-err));
	if (err)
		goto out;
	err = elf_file__bias(file, entry, bias);
	snprintf(name, sizeof(name), "bias: %s", strerror(-err));
	if (err)
		goto out;
	if (elf_symbols__load(file->elf, -1, NULL, &symbols) == 0)
		found = elf_symbols__find(symbols, address - *bias, NULL);
	snprintf(name, sizeof(name), "%s", found ? found : "no symbol");
out:
	elf_symbols__free(symbols);
	elf_file__free(file);
	maps__free(&maps);
	return name;
}

/* A child that maps dir/`name` with `protection` and waits; the address is the same here. */
static pid_t child_with_mapping(const char *name, int protection, void **address)
{
	char path[256];
	pid_t child;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	*address = mmap(NULL, 4096, protection, MAP_PRIVATE, fd, 0);
	close(fd);
	if (*address == MAP_FAILED)
		return -1;
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	munmap(*address, 4096);
	return child;
}

static void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* Opens the mapping at `address` of `pid` and closes it again. */
static int try_open(pid_t pid, void *address)
{
	const struct map_entry *entry;
	struct elf_file *file = NULL;
	struct maps maps;
	int err = -ENOENT;

	if (maps__read(pid, &maps))
		return -ESRCH;
	entry = maps__find(&maps, (uintptr_t)address);
	if (entry)
		err = elf_file__open_mapping(pid, entry, &file);
	elf_file__free(file);
	maps__free(&maps);
	return err;
}

/* The same by somebody for whom map_files is closed. Only for root. */
static int try_open_without_map_files(pid_t pid, void *address)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	int status = 0;
	pid_t observer = fork();

	if (observer == 0) {
		if (syscall(SYS_capget, &header, data))
			_exit(255);
		data[0].effective &= ~(1U << CAP_SYS_ADMIN);
		data[1].effective &= ~(1U << (CAP_CHECKPOINT_RESTORE - 32));
		if (syscall(SYS_capset, &header, data))
			_exit(255);
		_exit(-try_open(pid, address));
	}
	waitpid(observer, &status, 0);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -999;
}

static bool have_compiler;

#define NEED_COMPILER()                                                                            \
	do {                                                                                       \
		if (!have_compiler)                                                                \
			SKIP("gcc is missing");                                                    \
	} while (0)
#define NEED_ROOT()                                                                                \
	do {                                                                                       \
		if (geteuid() != 0)                                                                \
			SKIP("cannot: not root");                                                  \
	} while (0)

__attribute__((noinline)) int a_function_of_this_test(int x);
int a_function_of_this_test(int x)
{
	return x * 3;
}

static void our_own_functions_are_named(void)
{
	uint64_t bias = 1;

	CHECK_STR(name_at(getpid(), (uintptr_t)&a_function_of_this_test, &bias),
		  "a_function_of_this_test");
}

static void the_vdso_is_read_from_memory(void)
{
	uint64_t start = getauxval(AT_SYSINFO_EHDR), bias = 1, address;
	const struct map_entry *entry;
	struct elf_symbols *symbols;
	struct elf_file *file = NULL;
	struct maps maps;
	size_t named = 0;

	if (!start)
		SKIP("cannot: this kernel maps no vdso");
	CHECK_EQ(maps__read(getpid(), &maps), 0);
	entry = maps__find(&maps, start);
	CHECK(entry && strcmp(entry->path, "[vdso]") == 0);
	CHECK_EQ(elf_file__open_mapping(getpid(), entry, &file), (uint64_t)-EINVAL);
	CHECK_EQ(elf_file__open_vdso(getpid(), entry, &file), 0);
	if (file) {
		CHECK(file->from_memory);
		CHECK_EQ(elf_file__bias(file, entry, &bias), 0);
		CHECK_EQ(bias, start);
		CHECK_EQ(elf_symbols__load(file->elf, -1, NULL, &symbols), 0);
		for (address = 0; address < entry->end - entry->start; address += 16) {
			const char *name = elf_symbols__find(symbols, address, NULL);

			named += name && strstr(name, "clock_gettime");
		}
		CHECK(named > 0);
		elf_symbols__free(symbols);
		elf_file__free(file);
	}
	entry = maps__find(&maps, (uintptr_t)&a_function_of_this_test);
	CHECK_EQ(elf_file__open_vdso(getpid(), entry, &file), (uint64_t)-EINVAL);
	maps__free(&maps);
}

/* Layouts of shared objects: the symbol found must be the one that dlsym finds. */
static void the_bias_is_right_for_all_layouts(void)
{
	static const char *const layouts[] = {
		"-Wl,-z,separate-code",
		"-Wl,-z,noseparate-code",
		"-Wl,-z,max-page-size=0x200000",
		"-Wl,-z,noseparate-code,-z,max-page-size=0x1000",
	};
	size_t i;

	NEED_COMPILER();
	for (i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		uint64_t bias = 1;
		char path[128];
		void *handle, *first, *last;

		snprintf(path, sizeof(path), "%s/layout%zu.so", dir, i);
		if (!shell("gcc -O0 -shared -fPIC %s -o %s layout.c", layouts[i], path)) {
			printf("# linker refuses %s\n", layouts[i]);
			continue;
		}
		handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (!handle) {
			printf("# loader refuses %s: %s\n", layouts[i], dlerror());
			continue;
		}
		first = dlsym(handle, "first_function");
		last = dlsym(handle, "last_function");
		CHECK(first && last);
		CHECK_STR(name_at(getpid(), (uintptr_t)first, &bias), "first_function");
		CHECK_STR(name_at(getpid(), (uintptr_t)last, &bias), "last_function");
		dlclose(handle);
	}
}

/* A program that waits; its main is named and its bias is as expected. */
static void fixed_and_position_independent_programs(void)
{
	static const struct {
		const char *flags;
		bool fixed;
	} kinds[] = {{"-no-pie", true}, {"-pie -fPIE", false}, {"-static", true}};
	size_t i;

	NEED_COMPILER();
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned long long address = 0;
		uint64_t bias = 1;
		char path[128];
		int pipe_fds[2];
		pid_t child;
		FILE *pipe_file;

		snprintf(path, sizeof(path), "%s/waiter%zu", dir, i);
		CHECK(shell("gcc -O0 %s -o %s waiter.c", kinds[i].flags, path));
		CHECK_EQ(pipe(pipe_fds), 0);
		child = fork();
		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			dup2(pipe_fds[1], 1);
			execl(path, path, NULL);
			_exit(1);
		}
		close(pipe_fds[1]);
		pipe_file = fdopen(pipe_fds[0], "r");
		CHECK(pipe_file && fscanf(pipe_file, "%llx", &address) == 1);
		CHECK_STR(name_at(child, address, &bias), "main");
		CHECK_EQ(bias == 0, kinds[i].fixed);
		if (pipe_file)
			fclose(pipe_file);
		end_child(child);
	}
}

static void a_deleted_file_is_still_read(void)
{
	void *address;
	pid_t child;

	NEED_COMPILER();
	NEED_ROOT();
	CHECK(shell("cp layout.so deleted.so"));
	child = child_with_mapping("deleted.so", PROT_READ | PROT_EXEC, &address);
	CHECK(child > 0);
	CHECK_EQ(try_open(child, address), 0);
	CHECK(shell("rm deleted.so"));
	CHECK_EQ(try_open(child, address), 0);
	CHECK_EQ(try_open_without_map_files(child, address), -ESTALE);
	end_child(child);
}

static void a_replaced_file_is_not_mistaken(void)
{
	void *address;
	pid_t child;

	NEED_COMPILER();
	NEED_ROOT();
	CHECK(shell("cp layout.so replaced.so"));
	child = child_with_mapping("replaced.so", PROT_READ | PROT_EXEC, &address);
	CHECK(child > 0);
	CHECK_EQ(try_open_without_map_files(child, address), 0);
	CHECK(shell("cp layout.so new.so && mv new.so replaced.so"));
	CHECK_EQ(try_open(child, address), 0);
	CHECK_EQ(try_open_without_map_files(child, address), -ESTALE);
	end_child(child);
}

static void an_entry_that_is_out_of_date_is_refused(void)
{
	struct elf_file *file = NULL;
	struct map_entry entry;
	struct maps maps;
	const struct map_entry *found;

	CHECK_EQ(maps__read(getpid(), &maps), 0);
	found = maps__find(&maps, (uintptr_t)&a_function_of_this_test);
	entry = *found;
	entry.inode++;
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-ESTALE);
	CHECK(file == NULL);
	maps__free(&maps);
}

/* maps shows the path as seen from our root, not the target's. */
static void a_target_in_a_chroot_is_found_by_path(void)
{
	void *address = NULL;
	const struct map_entry *entry = NULL;
	struct maps maps;
	pid_t child;
	size_t i;

	NEED_COMPILER();
	NEED_ROOT();
	if (!shell("mkdir -p jail && gcc -static -o jail/waiter waiter.c"))
		SKIP("no static C library");
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chdir(dir) || chroot("jail") || chdir("/") || close(1))
			_exit(1);
		execl("/waiter", "waiter", NULL);
		_exit(1);
	}
	for (i = 0; i < 200 && !address; i++) {
		usleep(10000);
		if (maps__read(child, &maps))
			break;
		for (entry = maps.entries; entry < maps.entries + maps.count; entry++) {
			if (entry->executable && strstr(entry->path, "/jail/waiter"))
				address = (void *)(uintptr_t)entry->start;
		}
		maps__free(&maps);
	}
	CHECK(address != NULL);
	CHECK_EQ(try_open(child, address), 0);
	CHECK_EQ(try_open_without_map_files(child, address), 0);
	end_child(child);
}

/* A process with a file system of its own: the path means nothing in our mount namespace. */
static void a_container_is_entered_through_its_root(void)
{
	static const char marker[] = "/mnt/luaspy-only-here.so";
	void *address;
	int pipe_fds[2];
	pid_t child;

	NEED_COMPILER();
	NEED_ROOT();
	CHECK_EQ(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		address = NULL;
		if (unshare(CLONE_NEWNS) == 0 &&
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		    mount("none", "/mnt", "tmpfs", 0, NULL) == 0 &&
		    shell("cp layout.so %s", marker)) {
			fd = open(marker, O_RDONLY);
			address = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		}
		if (write(pipe_fds[1], &address, sizeof(address)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	if (read(pipe_fds[0], &address, sizeof(address)) != sizeof(address) || !address) {
		end_child(child);
		SKIP("cannot: mounting is not allowed here");
	}
	CHECK(access(marker, F_OK) != 0);
	CHECK_EQ(try_open(child, address), 0);
	CHECK_EQ(try_open_without_map_files(child, address), 0);
	end_child(child);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void a_file_on_overlayfs_is_opened(void)
{
	void *address;
	pid_t child;

	NEED_COMPILER();
	NEED_ROOT();
	if (!shell("mkdir -p base lower upper work merged && mount -t tmpfs none base && cd base "
		   "&& "
		   "mkdir lower upper work && cp ../layout.so lower/over.so && "
		   "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work "
		   "../merged && touch ../merged/over.so")) {
		shell("umount base");
		SKIP("cannot: overlayfs cannot be mounted here");
	}
	child = child_with_mapping("merged/over.so", PROT_READ | PROT_EXEC, &address);
	CHECK(child > 0);
	CHECK_EQ(try_open(child, address), 0);
	end_child(child);
	CHECK(shell("umount merged; umount base"));
}

static void what_is_no_regular_file_is_refused(void)
{
	struct map_entry entry = {.start = 0x1000, .end = 0x2000, .executable = true};
	struct elf_file *file = NULL;
	char path[128];
	struct stat status;

	snprintf(path, sizeof(path), "%s/fifo", dir);
	CHECK_EQ(mkfifo(path, 0600), 0);
	CHECK_EQ(stat(path, &status), 0);
	entry.path = path;
	entry.inode = status.st_ino;
	entry.device = status.st_dev;
	alarm(20);
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-EINVAL);
	alarm(0);
	entry.path = dir;
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-EINVAL);
	entry.path = (char *)(uintptr_t) "/dev/zero";
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-EINVAL);
	entry.path = (char *)(uintptr_t) "[heap]";
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-EINVAL);
	entry.path = (char *)(uintptr_t) "";
	CHECK_EQ(elf_file__open_mapping(getpid(), &entry, &file), (uint64_t)-EINVAL);
	CHECK(file == NULL);
	elf_file__free(NULL);
}

static int open_content(const char *command)
{
	void *address;
	pid_t child;
	int err;

	if (!shell("rm -f content && %s && truncate -s '>4096' content", command))
		return -999;
	child = child_with_mapping("content", PROT_READ, &address);
	err = try_open(child, address);
	end_child(child);
	return err;
}

static void what_is_no_elf_file_is_refused(void)
{
	NEED_COMPILER();
	CHECK_EQ(open_content("cp layout.so content"), 0);
	CHECK_EQ(open_content("echo hello > content"), -ENOEXEC);
	CHECK_EQ(open_content("head -c 40 layout.so > content"), -ENOEXEC);
	CHECK_EQ(open_content("head -c 64 layout.so > content"), -ENOEXEC);
	/* An object file has no segments; a 32-bit file is no code of a 64-bit process. */
	CHECK_EQ(open_content("gcc -c -o content layout.c"), -ENOEXEC);
	CHECK_EQ(open_content("cp layout.so content && printf '\\1' | "
			      "dd of=content bs=1 seek=4 conv=notrunc"),
		 -ENOEXEC);
	/* e_shnum 0, e_shoff in the zeros of a huge hole: no allocation by what the file claims. */
	CHECK_EQ(open_content("cp layout.so content && printf '\\0\\0' | "
			      "dd of=content bs=1 seek=60 conv=notrunc && truncate -s 3G content"),
		 -EFBIG);
}

static void a_file_that_shrinks_meanwhile_does_not_kill_us(void)
{
	const struct map_entry *entry;
	struct elf_symbols *symbols = NULL;
	struct elf_file *file = NULL;
	struct maps maps;
	void *address;
	pid_t child;

	NEED_COMPILER();
	CHECK(shell("cp layout.so shrinking.so"));
	child = child_with_mapping("shrinking.so", PROT_READ | PROT_EXEC, &address);
	CHECK(child > 0);
	CHECK_EQ(maps__read(child, &maps), 0);
	entry = maps__find(&maps, (uintptr_t)address);
	CHECK_EQ(elf_file__open_mapping(child, entry, &file), 0);
	CHECK(shell("truncate -s 100 shrinking.so"));
	if (file) {
		CHECK_EQ(elf_symbols__load(file->elf, -1, NULL, &symbols), 0);
		CHECK_EQ(elf_symbols__count(symbols), 0);
	}
	elf_symbols__free(symbols);
	elf_file__free(file);
	maps__free(&maps);
	end_child(child);
}

static void a_mapping_that_no_segment_covers_has_no_bias(void)
{
	struct elf_load loads[] = {
		{.vaddr = 0x400000, .offset = 0, .file_size = 0x500, .memory_size = 0x500},
		{.vaddr = 0x401500,
		 .offset = 0x500,
		 .file_size = 0x2000,
		 .memory_size = 0x2000,
		 .executable = true},
		{.vaddr = 0x800000, .offset = 0x2500, .memory_size = 0x9000},
	};
	struct elf_file file = {.loads = loads, .load_count = 3, .fd = -1};
	struct map_entry entry = {.start = 0x10000, .end = 0x12000, .executable = true};
	uint64_t bias = 1;

	/* File page 0 belongs to both segments: the permission decides. */
	CHECK_EQ(elf_file__bias(&file, &entry, &bias), 0);
	CHECK_EQ(bias, 0x10000 + 0x500 - 0x401500ULL);
	entry.executable = false;
	CHECK_EQ(elf_file__bias(&file, &entry, &bias), 0);
	CHECK_EQ(bias, 0x10000 - 0x400000ULL);
	entry.executable = true;
	entry.offset = 0x2000;
	CHECK_EQ(elf_file__bias(&file, &entry, &bias), 0);
	CHECK_EQ(bias, 0x10000 - 0x2000 + 0x500 - 0x401500ULL);
	entry.offset = 0x3000;
	CHECK_EQ(elf_file__bias(&file, &entry, &bias), (uint64_t)-ENOENT);
	file.load_count = 0;
	entry.offset = 0;
	CHECK_EQ(elf_file__bias(&file, &entry, &bias), (uint64_t)-ENOENT);
}

int main(void)
{
	strcpy(dir, "/tmp/luaspy-elf-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	have_compiler =
		shell("printf 'int first_function(int x) { return x + 1; }\\nint data = 1;\\n"
		      "char space[9000];\\nint last_function(int x) { return x + data; }\\n' "
		      "> layout.c && gcc -O0 -shared -fPIC -o layout.so layout.c && "
		      "printf '#include <stdio.h>\\n#include <unistd.h>\\nint main(void) "
		      "{ printf(\"%%%%lx\\\\n\", (unsigned long)main); fflush(stdout); "
		      "for (;;) pause(); }\\n' > waiter.c && gcc -o waiter waiter.c");

	RUN(our_own_functions_are_named, "our own functions are named");
	RUN(the_vdso_is_read_from_memory, "the vdso is read from memory");
	RUN(the_bias_is_right_for_all_layouts, "the bias is right for all layouts of a library");
	RUN(fixed_and_position_independent_programs, "fixed and position-independent programs");
	RUN(a_deleted_file_is_still_read, "a deleted file is read through map_files");
	RUN(a_replaced_file_is_not_mistaken, "a replaced file is -ESTALE without map_files");
	RUN(an_entry_that_is_out_of_date_is_refused, "an entry that is out of date is -ESTALE");
	RUN(a_target_in_a_chroot_is_found_by_path, "a target in a chroot is found by path");
	RUN(a_container_is_entered_through_its_root, "a container is entered through its root");
	RUN(a_file_on_overlayfs_is_opened, "a file on overlayfs is opened");
	RUN(what_is_no_regular_file_is_refused, "what is no regular file is refused");
	RUN(what_is_no_elf_file_is_refused, "what is no ELF file is refused");
	RUN(a_file_that_shrinks_meanwhile_does_not_kill_us, "a file that shrinks does not kill us");
	RUN(a_mapping_that_no_segment_covers_has_no_bias, "the segment that fits a mapping");

	shell("rm -rf '%s'", dir);
	return TEST_RESULT();
}
