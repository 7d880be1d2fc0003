/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps what capstone has for other processors out of the static executable: 3.3 of its 7.8 MB.
 *
 * capstone's cs.c has a table of two functions per architecture, so that libcapstone.a is linked
 * whole. Here are functions of those names for all of them but x86. The product is linked with this
 * file in front of the library (Makefile), so that the members that contain the real ones are not
 * looked for. An architecture that a later capstone has and this list has not only makes the
 * executable larger. Nothing else is linked with this file.
 *
 * The types are those of cs_priv.h and of arch/ARCH/ARCHModule.h in capstone 4 and 5, which are not
 * installed.
 */
#include <capstone/capstone.h>

struct cs_struct;
struct MCInst;
struct SStream;

#define LEFT_OUT(arch)                                                                             \
	cs_err arch##_global_init(struct cs_struct *handle);                                       \
	cs_err arch##_option(struct cs_struct *handle, cs_opt_type type, size_t value);            \
	cs_err arch##_global_init(struct cs_struct *handle)                                        \
	{                                                                                          \
		return CS_ERR_ARCH;                                                                \
	}                                                                                          \
	cs_err arch##_option(struct cs_struct *handle, cs_opt_type type, size_t value)             \
	{                                                                                          \
		return CS_ERR_ARCH;                                                                \
	}

LEFT_OUT(AArch64)
LEFT_OUT(ARM)
LEFT_OUT(BPF)
LEFT_OUT(EVM)
LEFT_OUT(M680X)
LEFT_OUT(M68K)
LEFT_OUT(MOS65XX)
LEFT_OUT(Mips)
LEFT_OUT(PPC)
LEFT_OUT(RISCV)
LEFT_OUT(SH)
LEFT_OUT(Sparc)
LEFT_OUT(SystemZ)
LEFT_OUT(TMS320C64x)
LEFT_OUT(TRICORE)
LEFT_OUT(WASM)
LEFT_OUT(XCore)

/* Text in AT&T's syntax is never asked for. (Intel's is not either, but the operands that are asked
 * for are filled in while it is written.) */
void X86_ATT_printInst(struct MCInst *instruction, struct SStream *out, void *info);

void X86_ATT_printInst(struct MCInst *instruction, struct SStream *out, void *info)
{
}
