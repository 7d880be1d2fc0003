#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every message that luaspy can print has an entry in docs/troubleshooting.md, and no entry is of a message that is
gone. Every line at the end of a recording is explained in docs/reading-a-flame-graph.md.

    tests/consumers/test_messages.py            checks that; needs nothing built
    tests/consumers/test_messages.py --missing  prints the messages without an entry

A message is what the sources of src/ give to fprintf(stderr), argp_error, doctor_check__found (unless all is well), or
fprintf in a function called ...warn..., and what functions called ...explain... or walk_...__text (reasons) make. An
entry is a bold text at the start of a line: the message with capitals or numbers where a value stands (NAME, 1234),
and perhaps only its beginning, with "..." at its end.
"""
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

LETTERS = 7  # of a text that is a message, or a part of one that tells which it is
CALL = re.compile(r"\b(fprintf|argp_error|doctor_check__found|doctor_check__advise|snprintf|add|add_error|return)\b")
FUNCTION = re.compile(r"^[a-z][^;{}=#]*?\b(\w+)\([^;{}]*\)\n\{", re.M)
CONVERSION = re.compile(r"%[-#0 +'*.\d]*(?:hh|ll|[hlzjt])?[diouxXeEfgGcspm]")
# "  lost         %d": the values stand in a column.
CLOSING = re.compile(r"\n?  (?=.{28})([a-z][a-zA-Z']*(?: [a-zA-Z']+)*)(?: {2,}| %|\n|$)")
MACRO = re.compile(r'\bPRI[diux]\d\d\b')


def without_comments(text):
    keep = lambda found: found.group(0) if found.group(0)[0] in "\"'" else " "
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|/\*.*?\*/|//[^\n]*', keep, text, flags=re.S)


def defines(text):
    return dict(re.findall(r'^#define (\w+)\s+"((?:[^"\\]|\\.)*)"$', text, re.M))


def statement(text, start):
    """From `start` to the semicolon that ends it."""
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[()\[\]{};]', text[start:]):
        c = found.group(0)
        depth += c in "([{"
        depth -= c in ")]}"
        if c == ";" and depth <= 0:
            return text[start:start + found.start()]
    return ""


def arguments(call):
    """Of "name(a, b)": [a, b]."""
    inside = call[call.index("(") + 1:]
    parts, depth, last = [], 0, 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[()\[\]{},]', inside):
        c = found.group(0)
        if c == ")" and depth == 0 or c == "," and depth == 0:
            parts.append(inside[last:found.start()])
            last = found.end()
            if c == ")":
                break
        depth += c in "([{"
        depth -= c in ")]}"
    return parts


def texts(argument, macros):
    """The string literals of an argument; adjacent ones are one, those of a condition's branches are several."""
    argument = MACRO.sub('""', argument)
    for name, value in macros.items():
        argument = re.sub(r"\b%s\b" % name, lambda _, value=value: '"%s"' % value, argument)
    found, text, end = [], None, 0
    # The conversion's letter stands in PRIu64, which is "" here.
    for literal in re.finditer(r'"((?:[^"\\]|\\.)*)"', argument):
        if text is not None and argument[end:literal.start()].strip() == "":
            if text.endswith("%"):
                text += "d"
            text += literal.group(1)
        else:
            if text is not None:
                found.append(text)
            text = literal.group(1)
        end = literal.end()
    if text is not None:
        found.append(text + "d" * text.endswith("%"))
    return [t.replace("\\n", "\n").replace('\\"', '"').replace("\\r", "") for t in found]


def is_message(kind, function, args):
    if kind == "fprintf":
        return args[0].strip() == "stderr" or "warn" in function
    if kind == "doctor_check__found":
        return args[1].strip() != "DOCTOR_OK"
    return kind in ("argp_error", "add_error") or "explain" in function


def messages():
    """(texts that have to have an entry, texts that may have one, labels of the closing lines)."""
    wanted, possible, labels = {}, set(), {}
    for path in sorted(glob.glob(os.path.join(live.TOP, "src", "*", "*.c"))):
        if path.endswith(".bpf.c"):
            continue
        with open(path) as f:
            text = without_comments(f.read())
        macros = defines(text)
        places = [(found.start(), found.group(1)) for found in FUNCTION.finditer(text)]
        for call in CALL.finditer(text):
            kind = call.group(1)
            function = next((name for start, name in reversed(places) if start < call.start()), "")
            where = "%s, %s" % (os.path.relpath(path, live.TOP), function)
            code = statement(text, call.start())
            if kind == "return":
                if re.search(r"^walk_\w+__text$", function) or "explain" in function:
                    wanted.update((t, where) for t in texts(code, macros))
                continue
            if not re.match(r"\w+\s*\(", code):
                continue
            args = arguments(code)
            at = {"fprintf": 1, "argp_error": 1, "snprintf": 2, "add": 2, "add_error": 1, "doctor_check__found": 2,
                  "doctor_check__advise": 1}[kind]
            if len(args) <= at:
                continue
            for t in texts(args[at], macros):
                if kind == "doctor_check__advise":
                    possible.add(t)
                elif kind == "fprintf" and "/record_" in path and CLOSING.match(t):
                    labels[CLOSING.match(t).group(1)] = where
                elif is_message(kind, function, args):
                    wanted.setdefault(t, where)
    return ({t: where for t, where in wanted.items() if letters(t) >= LETTERS},
            {t for t in possible if letters(t) >= LETTERS}, labels)


def pattern(words):
    """Of a format's words, as a regular expression for what it prints."""
    parts = []
    for word in words:
        pieces = CONVERSION.split(word.replace("%%", "\0"))
        parts.append(".*?".join(re.escape(piece).replace("\0", "%") for piece in pieces))
    return " ?".join(parts)


def letters(text):
    return len(re.findall("[A-Za-z]", CONVERSION.sub("", text)))


def fits(entry, text):
    words = text.split()
    beginning = entry[:-3].rstrip() if entry.endswith("...") else None
    return re.search(pattern(words), entry) is not None or beginning is not None and any(
        re.search(pattern(words[:n]) + "$", beginning) for n in range(1, len(words) + 1)
        if letters(" ".join(words[:n])) >= LETTERS)


def entries(path):
    with open(path) as f:
        text = f.read()
    # The last part is not about messages.
    text = text[:text.index("\n## No message")]
    return [" ".join(found.split()) for found in re.findall(r"^\*\*(.+?)\*\*\\?$", text, re.M | re.S)]


def main():
    wanted, possible, labels = messages()
    guide = entries(os.path.join(live.TOP, "docs", "troubleshooting.md"))
    missing = {t: where for t, where in wanted.items() if not any(fits(entry, t) for entry in guide)}
    if "--missing" in sys.argv[1:]:
        for t, where in missing.items():
            print("%s:\n**%s**\n" % (where, " ".join(t.split())))
        return
    live.check("the sources have messages", len(wanted) > 60 and len(labels) > 5, len(wanted), labels)
    for t, where in wanted.items():
        live.check("%s: %.60s" % (where, " ".join(t.split())), t not in missing,
                   "docs/troubleshooting.md has no entry for it (tests/consumers/test_messages.py --missing):", t)
    for entry in guide:
        live.check("a message that there is: %.60s" % entry, any(fits(entry, t) for t in [*wanted, *possible]), entry)
    twice = {entry for entry in guide if guide.count(entry) > 1}
    live.check("no entry stands there twice", not twice, twice)
    with open(os.path.join(live.TOP, "docs", "reading-a-flame-graph.md")) as f:
        closing = re.findall(r"^- \*([^*]+)\*", f.read(), re.M)
    for label, where in labels.items():
        live.check("the closing line '%s' is explained" % label, any(label in words for words in closing), where,
                   closing)
    live.finish()


main()
