# SPDX-License-Identifier: Apache-2.0
"""luaspy with BPF programs that no verifier accepts. They are in the executable as an ELF file each, compressed: copies
of it get an instruction there that reads a register which nothing has been written to."""
import os
import re
import struct
import zlib

import live

ELF_MACHINE_BPF = 247
MOVE = 0xbf  # of a register
READ_R9 = struct.pack("<BBhi", MOVE, 0x90, 0, 0)  # r0 = r9


GZIP = 16 + zlib.MAX_WBITS


def sections(elf):
    """(name, offset in the file) of each section of a 64-bit ELF file."""
    table, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3a)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    texts = headers[names][4]
    for header in headers:
        name = texts + header[0]
        yield elf[name:elf.index(b"\0", name)].decode(), header[4]


def spoil(elf, section):
    """Puts that instruction into an ELF file, if it has the section."""
    for name, offset in sections(elf):
        if name == section:
            while elf[offset] != MOVE:  # libbpf puts numbers and addresses into others
                offset += 8
            elf[offset:offset + 8] = READ_R9


def compressed(elf):
    """In as few bytes as possible: they have to fit where the original was. Without the lines of the source, which the
    verifier's log has beside the instructions."""
    found = []
    elf = re.sub(rb"(?<=\0)\t[\t -~]{8,}(?=\0)", lambda line: bytes(len(line.group())), elf)
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED):
        for memory in range(6, 10):
            stream = zlib.compressobj(9, zlib.DEFLATED, GZIP, memory, strategy)
            found.append(stream.compress(elf) + stream.flush())
    return min(found, key=len)


def spoiled(section):
    """The path of a luaspy with a program that the verifier refuses at one of its first instructions."""
    with open(live.LUASPY, "rb") as f:
        image = f.read()
    changed = 0
    for found in re.finditer(b"\x1f\x8b\x08", image):
        stream = zlib.decompressobj(GZIP)
        try:
            elf = bytearray(stream.decompress(image[found.start():]))
        except zlib.error:
            continue
        size = len(image) - found.start() - len(stream.unused_data)
        if not stream.eof or elf[:4] != b"\x7fELF" or struct.unpack_from("<H", elf, 18)[0] != ELF_MACHINE_BPF:
            continue
        original = bytes(elf)
        spoil(elf, section)
        if elf == original:
            continue
        new = compressed(bytes(elf))
        assert len(new) <= size, "the spoiled object does not fit: %d bytes instead of %d" % (len(new), size)
        image = image[:found.start()] + new.ljust(size, b"\0") + image[found.start() + size:]
        changed += 1
    assert changed == 1, "%d objects have a section %s" % (changed, section)
    path = os.path.join(live.SCRATCH, "luaspy-" + section.replace("/", "-"))
    with open(path, "wb") as f:
        f.write(image)
    os.chmod(path, 0o755)
    return path
