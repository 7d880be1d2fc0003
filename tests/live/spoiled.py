# SPDX-License-Identifier: Apache-2.0
"""luaspy with BPF programs that no verifier accepts. They are in the executable as an ELF file each: copies of it get
an instruction there that reads a register which nothing has been written to."""
import os
import re
import struct

import live

ELF_MACHINE_BPF = 247
MOVE = 0xbf  # of a register
READ_R9 = struct.pack("<BBhi", MOVE, 0x90, 0, 0)  # r0 = r9


def sections(image, start):
    """(name, offset in the image) of each section of the 64-bit ELF file that begins at `start`."""
    table, = struct.unpack_from("<Q", image, start + 0x28)
    size, count, names = struct.unpack_from("<HHH", image, start + 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", image, start + table + i * size) for i in range(count)]
    texts = start + headers[names][4]
    for header in headers:
        name = texts + header[0]
        yield image[name:image.index(b"\0", name)].decode(), start + header[4]


def spoiled(section):
    """The path of a luaspy with a program that the verifier refuses at one of its first instructions."""
    with open(live.LUASPY, "rb") as f:
        image = bytearray(f.read())
    for found in list(re.finditer(b"\x7fELF", image)):
        if struct.unpack_from("<H", image, found.start() + 18)[0] != ELF_MACHINE_BPF:
            continue
        for name, offset in sections(image, found.start()):
            if name == section:
                while image[offset] != MOVE:  # libbpf puts numbers and addresses into others
                    offset += 8
                image[offset:offset + 8] = READ_R9
    path = os.path.join(live.SCRATCH, "luaspy-" + section.replace("/", "-"))
    with open(path, "wb") as f:
        f.write(image)
    os.chmod(path, 0o755)
    return path
