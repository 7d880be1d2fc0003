#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""500 MB of ELF files with unwind tables in one process with Lua: five of 100 MB each, and Debian's libLLVM where it is
installed. What reading them takes: memory, the time to the first sample; all stacks are complete, nothing is lost.

    tests/soak/big.py [MB]      500 unless told
"""
import glob
import os
import re
import shutil
import sys

import mappings
import scale
from scale import live

FILES = 5
MB = int(sys.argv[1]) if len(sys.argv) > 1 else 500
SECONDS = 8
BYTES_PER_FUNCTION = 528  # text, .eh_frame, .eh_frame_hdr

# Functions of half a KB with a prologue of two pushes and a local frame, as compilers make them by the thousand.
FUNCTIONS = """
	.text
	.rept %d
	.cfi_startproc
	push %%rbp
	.cfi_def_cfa_offset 16
	.cfi_offset 6, -16
	push %%rbx
	.cfi_def_cfa_offset 24
	.cfi_offset 3, -24
	sub $24, %%rsp
	.cfi_def_cfa_offset 48
	.skip 464, 0x90
	add $24, %%rsp
	.cfi_def_cfa_offset 24
	pop %%rbx
	.cfi_def_cfa_offset 16
	pop %%rbp
	.cfi_def_cfa_offset 8
	ret
	.cfi_endproc
	.endr
	.section .note.GNU-stack,"",@progbits
"""


def make_files():
    """Each has the one that is called and then those functions."""
    folder = os.path.join(live.SCRATCH, "libraries")
    os.mkdir(folder)
    count = MB * 1000000 // FILES // BYTES_PER_FUNCTION
    functions = os.path.join(live.SCRATCH, "functions.s")
    with open(functions, "w") as f:
        f.write(FUNCTIONS % count)
    first = live.compile_c(mappings.LIBRARY, "big.so", "-shared", "-fPIC", "-O2", "-fomit-frame-pointer", "-s",
                           functions)
    for i in range(FILES):
        shutil.copyfile(first, os.path.join(folder, "lib%d.so" % i))
    os.unlink(first)
    return folder


def eh_frame_bytes(path):
    text = scale.subprocess.check_output(["readelf", "-SW", path], text=True)
    return int(re.search(r"\.eh_frame +\w+ +\w+ +\w+ +(\w+)", text).group(1), 16)


def main():
    folder = make_files()
    files = sorted(glob.glob(os.path.join(folder, "*.so")))
    shared, program = mappings.compile_program()
    llvm = sorted(glob.glob("/usr/lib/x86_64-linux-gnu/libLLVM-1?.so.1"))
    environment = dict(os.environ, LD_LIBRARY_PATH=os.path.dirname(shared))
    for name, preload in (("generated", []), ("generated and libLLVM", llvm)):
        if name != "generated" and not llvm:
            live.skip(name, "cannot: no libLLVM is installed")
            continue
        target = live.start([program, folder, str(FILES), str(FILES), "0"],
                            env=dict(environment, LD_PRELOAD=" ".join(preload)))
        live.wait_until(lambda pid=target.pid: mappings.executable(pid) >= FILES + 4, 60)
        size = sum(os.path.getsize(p) for p in files + preload)
        tables = sum(eh_frame_bytes(p) for p in files + preload)
        run = scale.Running("-v", "-F", 997, "-d", SECONDS, "-p", target.pid)
        run.started()
        inside = scale.tables_kb(run.child.pid)
        r = run.end()
        live.note("%s: %d MB of files, %.1f MB of .eh_frame" % (name, size // 1000000, tables / 1e6))
        mappings.check(name, r, mappings.executable(target.pid), inside, 99.9)
        live.check(name + ": every file has its table", "could not be read" not in r.stderr, r.stderr)
        live.stop(target)


main()
live.finish()
