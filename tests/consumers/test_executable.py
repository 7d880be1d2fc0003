#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The executable as a file: it needs nothing else, and it is small.

Needs no privilege.
"""
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

PT_DYNAMIC, PT_INTERP = 2, 3
CAPSTONE = "/usr/include/capstone/capstone.h"


def segment_types(elf):
    """p_type of each program header of a 64-bit file (elf.h: Elf64_Ehdr, Elf64_Phdr)."""
    offset, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return [struct.unpack_from("<I", elf, offset + i * size)[0] for i in range(count)]


def capstone_version():
    with open(CAPSTONE) as f:
        return int(re.search(r"^#define CS_API_MAJOR (\d+)", f.read(), re.MULTILINE).group(1))


with open(live.LUASPY, "rb") as file:
    luaspy = file.read()
types = segment_types(luaspy)
live.check("luaspy is a static executable", types and PT_DYNAMIC not in types and PT_INTERP not in types, types)
# (capstone 5 has tables of 0.8 MB more for x86 alone.)
limit = 4 if capstone_version() <= 4 else 5
live.check("luaspy is at most %d MB" % limit, len(luaspy) <= limit << 20, len(luaspy))
live.check("luaspy's code for other processors was left out", b"cntpct_el0" not in luaspy and
           b"vfnmadd132pd" in luaspy)
live.finish()
