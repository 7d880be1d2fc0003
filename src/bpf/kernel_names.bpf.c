// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Names of kernel functions, as the kernel itself prints them: user space runs it by
 * BPF_PROG_TEST_RUN. It is attached to nothing.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* KSYM_NAME_LEN is 512, a module's name 64 at most. */
char name[600];

/* The argument is an address; its function's name is in `name` then, or "0x...". */
SEC("raw_tp")
int name_function(struct bpf_raw_tracepoint_args *ctx)
{
	static const char format[] = "%ps";
	__u64 address = ctx->args[0];

	return bpf_snprintf(name, sizeof(name), format, &address, sizeof(address));
}
