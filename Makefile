# SPDX-License-Identifier: Apache-2.0
# Builds build/luaspy (one static executable) and the tests, and installs it. `./dev` is the usual
# way in; it installs what is missing and calls this.
#
#     make install [PREFIX=/usr/local] [DESTDIR=]     the executable, manual pages, completions
#     make uninstall

CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
B := build
SAN ?=

PREFIX ?= /usr/local
DESTDIR ?=
BIN_DIR := $(DESTDIR)$(PREFIX)/bin
MAN_DIR := $(DESTDIR)$(PREFIX)/share/man/man1
BASH_DIR := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_DIR := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_DIR := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo 0.1)

# Of the newest change: the manual pages' date.
DATE := $(shell git log -1 --format=%cs 2>/dev/null || date -u +%F)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
	-Wundef -Wpointer-arith -Wno-unused-parameter -Werror
CPPFLAGS += -D_GNU_SOURCE -DLUASPY_VERSION='"$(VERSION)"' -DLUASPY_DATE='"$(DATE)"' \
	-Isrc -I$(B)
CFLAGS += -std=gnu11 -O2 -g $(WARN) -ffunction-sections -fdata-sections $(SAN)
LDFLAGS += -Wl,--gc-sections $(SAN)
LDLIBS := -lbpf -ljson-c -lprotobuf-c -ldw -lelf -lcapstone -lz -llzma -lncursesw -ltinfo -lpthread -lm
# Debian 13's static libelf needs zstd, and src/target/elfutils_static.c after it (hence the group).
LIBZSTD := $(if $(wildcard /usr/lib/*/libzstd.a /usr/lib64/libzstd.a),-lzstd)

# ---- the BPF object and its skeleton -------------------------------------------------------
BPF_SRC := $(wildcard src/bpf/*.bpf.c)
BPF_SKEL := $(BPF_SRC:src/bpf/%.bpf.c=$(B)/%.skel.h)
BPF_OBJECT := $(BPF_SKEL:.skel.h=.object.h)
BPF_HDR := $(wildcard src/bpf/*.h)
# -disable-block-placement: else clang puts a loop's last block in front of its first, and older verifiers
# (Linux 6.1 is one) refuse to fall through backwards: docs/architecture.md, "The verifier".
BPF_CFLAGS := -std=gnu11 -O2 -g -target bpf -mcpu=v3 -mllvm -disable-block-placement \
	-DLUASPY_BPF -D__TARGET_ARCH_x86 \
	-Wall -Wextra -Werror -Wno-unused-function -Wno-unused-parameter \
	-I/usr/include/$(shell uname -m)-linux-gnu

# ---- sources -------------------------------------------------------------------------------
LIB_SRC := $(filter-out src/cmd/main.c,$(wildcard src/*/*.c))
LIB_SRC := $(filter-out %.bpf.c,$(LIB_SRC))
# Only for static linking, where it stands in front of the libraries.
STATIC_SRC := src/vm/capstone_static.c
LIB_SRC := $(filter-out $(STATIC_SRC),$(LIB_SRC))
STATIC_OBJ := $(STATIC_SRC:%.c=$(B)/%.o)
LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o) $(B)/pprof.pb-c.o
ASSETS := $(wildcard src/output/assets/*)

UNIT_SRC := $(wildcard tests/unit/test_*.c) $(wildcard tests/replay/test_*.c)
# The other files of tests/replay are a library for tests and fuzz targets: recorded processes.
REPLAY_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/replay/test_%,$(wildcard tests/replay/*.c)))
UNIT_BIN := $(UNIT_SRC:%.c=$(B)/%)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)

.PHONY: all clean unit fuzz kernels headers install uninstall
.SECONDARY: $(BPF_SKEL) $(BPF_OBJECT) $(BPF_SKEL:.skel.h=.bpf.o)
all: $(B)/luaspy

$(B)/%.bpf.o: src/bpf/%.bpf.c $(BPF_HDR)
	@mkdir -p $(@D)
	$(CLANG) $(BPF_CFLAGS) -c $< -o $@.tmp
	$(BPFTOOL) gen object $@ $@.tmp
	@rm -f $@.tmp

# Without the object's bytes, which src/sample/bpf_objects.c has, compressed.
$(B)/%.skel.h: $(B)/%.bpf.o Makefile
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp
	@sed -e 's/^static inline \(const void \*$*_bpf__elf_bytes(size_t \*sz);\)$$/\1/' \
		-e '/^static inline const void \*$*_bpf__elf_bytes(size_t \*sz)$$/,/^}/d' $@.tmp > $@
	@rm $@.tmp

# What stands between the braces of a C array of bytes.
C_BYTES := od -An -v -tu1 | sed 's/ \+/,/g; s/^,//; s/$$/,/'

$(B)/%.object.h: $(B)/%.bpf.o Makefile
	@gzip -9 -n < $< > $@.gz
	@{ echo '#define $(shell echo $* | tr a-z A-Z)_OBJECT_BYTES' $$(wc -c < $<); \
		echo 'static const unsigned char $*_object[] = {'; \
		cat $@.gz | $(C_BYTES); echo '};'; } > $@.tmp
	@mv $@.tmp $@

# What protobuf-c makes of the profile format is not ours to mend.
$(B)/pprof.pb-c.c $(B)/pprof.pb-c.h &: src/output/pprof.proto
	@mkdir -p $(B)
	protoc-c --c_out=$(B) --proto_path=src/output pprof.proto

$(B)/pprof.pb-c.o: $(B)/pprof.pb-c.c $(B)/pprof.pb-c.h
	$(CC) $(CPPFLAGS) $(filter-out $(WARN),$(CFLAGS)) -w -c $< -o $@

# A command's code runs once: it may be small instead of fast.
$(B)/src/cmd/%.o: CFLAGS += -Os

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(addprefix $(B)/src/sample/,bpf_loading.o kernel_tables.o off_cpu.o sampler.o vm_programs.o): $(B)/sampler.skel.h
$(B)/src/sample/thread_states.o: $(B)/tasks.skel.h
$(B)/src/sample/kernel_names.o: $(B)/kernel_names.skel.h
$(B)/src/sample/bpf_objects.o: $(BPF_SKEL) $(BPF_OBJECT)
$(addprefix $(B)/src/output/,flamegraph.o heatmap.o diff_graph.o): $(ASSETS)
$(B)/src/target/system_calls.o: $(B)/system_call_names.h

# The names of the kernel's system calls, by number, as the installed headers know them.
$(B)/system_call_names.h: Makefile
	@mkdir -p $(@D)
	$(CC) -dM -E -include asm/unistd_64.h -x c /dev/null | \
		awk '$$2 ~ /^__NR_/ && $$3 ~ /^[0-9]+$$/ { print "[" $$3 "] = \"" substr($$2, 6) "\"," }' > $@.tmp
	@mv $@.tmp $@

$(addprefix $(B)/src/output/,pprof_read.o pprof_unpack.o pprof_write.o): $(B)/pprof.pb-c.h

# A terminal's description, for machines that have none.
$(B)/terminfo.h: src/cmd/top_terminal.ti
	@mkdir -p $(B)/terminfo
	tic -x -o $(B)/terminfo $<
	@{ echo 'static const unsigned char builtin_terminfo[] = {'; \
		cat $(B)/terminfo/*/luaspy-ansi | $(C_BYTES); echo '};'; } > $@.tmp
	@mv $@.tmp $@
$(B)/src/cmd/top_terminal.o: $(B)/terminfo.h

# What the compiler needs to be there before any source: for tests/lint.
headers: $(BPF_SKEL) $(BPF_OBJECT) $(B)/pprof.pb-c.h $(B)/system_call_names.h $(B)/terminfo.h

$(B)/libluaspy.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/luaspy: $(B)/src/cmd/main.o $(STATIC_OBJ) $(B)/libluaspy.a
	$(CC) -static $(LDFLAGS) -Wl,--start-group $^ $(LDLIBS) $(LIBZSTD) -Wl,--end-group -o $@.debug
	strip -o $@ $@.debug

# The product with another table of known builds, which tests/live/test_offsets.py writes.
$(B)/tests/live/luaspy_other_table: $(B)/tests/live/other_table.c $(B)/src/cmd/main.o $(STATIC_OBJ) \
		$(B)/libluaspy.a
	$(CC) $(CPPFLAGS) $(CFLAGS) -static $(LDFLAGS) -Wl,--start-group $^ $(LDLIBS) $(LIBZSTD) \
		-Wl,--end-group -o $@

# ---- tests (dynamic, so that sanitizers work: make unit SAN=-fsanitize=address,undefined) ----
unit: $(UNIT_BIN)
$(B)/libreplay.a: $(REPLAY_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

$(B)/tests/%: $(B)/tests/%.o $(B)/libreplay.a $(B)/libluaspy.a
	$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Runs in guests that have no libraries (tests/kernels).
$(B)/tests/kernels/load_programs: $(B)/tests/kernels/load_programs.o \
		$(addprefix $(B)/src/,$(addsuffix .o,sample/bpf_objects sample/kernel_btf sample/btf_excerpt target/elf_image))
	$(CC) -static $(LDFLAGS) -Wl,--start-group $^ -lbpf -lelf -lz $(LIBZSTD) -Wl,--end-group -o $@
$(B)/tests/kernels/load_programs.o: $(BPF_SKEL)

kernels: $(B)/tests/kernels/load_programs

fuzz: $(FUZZ_BIN)

# ---- installing ------------------------------------------------------------------------------
# What is written for man and the shells comes from the executable itself: it is right for every
# option without anybody's care.
install: $(B)/luaspy
	install -d $(BIN_DIR) $(MAN_DIR) $(BASH_DIR) $(ZSH_DIR) $(FISH_DIR)
	install -m 755 $(B)/luaspy $(BIN_DIR)/luaspy
	$(B)/luaspy help --man > $(MAN_DIR)/luaspy.1
	set -e; for command in $$($(B)/luaspy help --names); do \
		$(B)/luaspy help --man $$command > $(MAN_DIR)/luaspy-$$command.1; done
	$(B)/luaspy completion bash > $(BASH_DIR)/luaspy
	$(B)/luaspy completion zsh > $(ZSH_DIR)/_luaspy
	$(B)/luaspy completion fish > $(FISH_DIR)/luaspy.fish

uninstall:
	rm -f $(BIN_DIR)/luaspy $(MAN_DIR)/luaspy.1 $(MAN_DIR)/luaspy-*.1 $(BASH_DIR)/luaspy \
		$(ZSH_DIR)/_luaspy $(FISH_DIR)/luaspy.fish

clean:
	rm -rf $(B)

-include $(shell find $(B)/src $(B)/tests $(B)/bench -name '*.d' -type f 2>/dev/null)
