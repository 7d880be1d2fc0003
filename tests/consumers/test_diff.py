#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`luaspy diff` against figures that are computed here: shares from the folded stacks of each profile,
p values as exact fractions or by erfc(), the correction for many functions step by step.

Needs $LUASPY_BUILD/luaspy, libluaspy.a and a C compiler.
"""
import json
import math
import os
import re
import subprocess
import sys
from fractions import Fraction

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "live"))
import live  # noqa: E402

BUILD = live.BUILD
WORK = os.path.join(BUILD, "diff")


def luaspy(*arguments, status=0, **options):
    result = subprocess.run([live.LUASPY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                            cwd=WORK, **options)
    if result.returncode != status:
        raise AssertionError("status %d of %r: %s" % (result.returncode, arguments, result.stderr.decode()))
    return result.stdout.decode(), result.stderr.decode()


def make_profiles():
    maker = os.path.join(WORK, "make_diff")
    os.makedirs(WORK, exist_ok=True)
    subprocess.run([os.environ.get("CC", "gcc"), "-std=gnu11", "-D_GNU_SOURCE", "-Isrc", "-O1",
                    "tests/consumers/make_diff.c", os.path.join(BUILD, "libluaspy.a"), "-lprotobuf-c", "-lz", "-lm", "-o", maker], check=True)
    for kind in "cpu", "off", "hostile":
        subprocess.run([maker, kind, kind + "-before.pb.gz", kind + "-after.pb.gz"], check=True, cwd=WORK)


def shares(path):
    """{function: [self, total]} and the whole, from folded stacks."""
    functions, whole = {}, 0
    for line in luaspy("report", path, "-f", "folded")[0].splitlines():
        stack, count = line.rsplit(" ", 1)
        frames = [re.sub(r"_\[[jk]\]$", "", name) for name in stack.split(";")][1:]
        whole += int(count)
        for name in set(frames):
            functions.setdefault(name, [0, 0])[1] += int(count)
        functions[frames[-1]][0] += int(count)
    return functions, whole


def p_value(a, a_whole, b, b_whole):
    within, everything = a + b, a_whole + b_whole
    if within in (0, everything):
        return 1.0
    if min(within, everything - within) * min(a_whole, b_whole) / everything >= 10:
        pooled = within / everything
        z = (b / b_whole - a / a_whole) / math.sqrt(pooled * (1 - pooled) * (1 / a_whole + 1 / b_whole))
        return math.erfc(abs(z) / math.sqrt(2))

    def tables(x):
        return math.comb(a_whole, x) * math.comb(b_whole, within - x)

    seen = tables(a)
    all_tables = [tables(x) for x in range(max(0, within - b_whole), min(within, a_whole) + 1)]
    return float(Fraction(sum(count for count in all_tables if count <= seen), sum(all_tables)))


def corrected(p):
    order = sorted(range(len(p)), key=lambda i: p[i])
    q, least = [0.0] * len(p), 1.0
    for rank in range(len(p), 0, -1):
        least = min(least, p[order[rank - 1]] * len(p) / rank)
        q[order[rank - 1]] = least
    return q


def near(a, b, tolerance=1e-5):
    return abs(a - b) <= tolerance * abs(b) + 1e-290


def test_figures():
    before, before_whole = shares("cpu-before.pb.gz")
    after, after_whole = shares("cpu-after.pb.gz")
    # The one function that has moved.
    before["total@/app/orders.lua:46"] = before.pop("total@/app/orders.lua:40")
    diff = json.loads(luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz", "--json")[0])
    functions = {one["name"]: one for one in diff["functions"]}
    live.check("all functions of both are there",
               set(functions) == set(before) | set(after) and diff["moved_functions"] == 1,
               set(functions) ^ (set(before) | set(after)), diff["moved_functions"])
    live.check("the totals are those of the profiles",
               (diff["before"]["samples"], diff["after"]["samples"]) == (before_whole, after_whole),
               diff["before"], diff["after"])
    for part, key in enumerate(("self", "total")):
        wrong, names, p = [], [], []
        for name, one in functions.items():
            a, b = before.get(name, [0, 0])[part], after.get(name, [0, 0])[part]
            got = one[key]
            points = 100 * (b / after_whole - a / before_whole)
            if (got["before"], got["after"]) != (a, b) or abs(got["change_points"] - points) > 1e-4:
                wrong.append((name, got, a, b))
            if a + b:
                names.append(name)
                p.append(p_value(a, before_whole, b, after_whole))
                if not near(got["p"], p[-1]):
                    wrong.append((name, got, p[-1]))
        live.check("%s: counts, changes and p values of %d functions are right" % (key, len(names)), not wrong, *wrong[:5])
        q = corrected(p)
        wrong = [(name, functions[name][key], expected) for name, expected in zip(names, q)
                 if not near(functions[name][key]["q"], expected) or functions[name][key]["noise"] != (expected > 0.05)]
        live.check(key + ": the correction for many functions is right", not wrong, *wrong[:5])
    real = {"recv", "fetch@/app/db.lua:7", "cjson.encode", "render@/app/view.lua:20", "string.format",
            "audit@/app/audit.lua:3", "legacy@/app/legacy.lua:8"}
    found = {one["name"] for one in diff["functions"] if not one["total"]["noise"]}
    # At 5 % of false ones among those found, one or two of 300 may be.
    live.check("what has changed is found, and what has not is noise", real <= found and len(found - real) <= 2, found)


def test_table():
    text = luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz")[0]
    rows = [line.split() for line in text.splitlines() if re.match(r" *\d+\.\d\d ", line)]
    json_rows = json.loads(luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz", "-f", "json")[0])["functions"]
    live.check("the table has the first 30", [row[-1] for row in rows] == [one["name"] for one in json_rows[:30]], text)
    live.check("noise is marked, what is none has its chance",
               all((row[at] == "noise") == (one[key]["noise"] and one[key]["before"] + one[key]["after"] > 0)
                   for row, one in zip(rows, json_rows) for at, key in ((3, "self"), (7, "total"))) and
               rows[0][3] == "<1e-9", text)
    news = [any(not one[key]["noise"] and one[key]["change_points"] for key in ("self", "total")) for one in json_rows]
    live.check("what is beyond noise comes first", news == sorted(news, reverse=True) and sum(news) >= 7 and
               "functions %d changed beyond noise" % sum(news) in text, news[:20], text)
    live.check("it says what it compares",
               "as if both totals were equal: 13124 samples before, 19434 samples after" in text and
               "Benjamini-Hochberg" in text and "1 function was found on another line" in text, text)
    total = luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz", "--total", "--min", "4")[0]
    rows = [line.split() for line in total.splitlines() if re.match(r" *\d+\.\d\d ", line)]
    live.check("--total and --min choose others", rows and all(max(float(row[4]), float(row[5])) >= 4 for row in rows) and
               [row[-1] for row in rows[:4]] == ["recv", "fetch@/app/db.lua:7", "cjson.encode",
                                                 "render@/app/view.lua:20"] and
               [abs(float(row[6])) for row in rows[4:]] == sorted((abs(float(row[6])) for row in rows[4:]), reverse=True),
               total)
    only = luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz", "--only", "audit|legacy", "--no-native")[0]
    live.check("the view's options hold", "37 samples before, 61 samples after" in only and "ngx_" not in only, only)


def test_per_second():
    diff = json.loads(luaspy("diff", "cpu-before.pb.gz", "cpu-after.pb.gz", "--json", "--per-second")[0])
    main = next(one for one in diff["functions"] if one["name"] == "main")["total"]
    # Samples at 99 Hz in 30 and in 60 seconds.
    live.check("per second, it is CPU time", near(main["before_percent"], 100 * 13124 / 99 / 30) and
               near(main["after_percent"], 100 * 19434 / 99 / 60) and diff["basis"] == "per_second", main)
    rare = next(one for one in diff["functions"] if one["name"].startswith("rare@"))["self"]
    # 8 samples, of which a third is expected in the first 30 of 90 seconds.
    chances = [math.comb(8, x) * Fraction(1, 3) ** x * Fraction(2, 3) ** (8 - x) for x in range(9)]
    live.check("small counts have exact p values", rare["before"] == 2 and
               near(rare["p"], float(sum(chance for chance in chances if chance <= chances[2]))), rare)
    legacy = next(one for one in diff["functions"] if one["name"].startswith("legacy@"))["self"]
    z = (37 - 37 / 3) / math.sqrt(37 * 2 / 9)
    live.check("others those of z", near(legacy["p"], math.erfc(z / math.sqrt(2))), legacy)


def test_time():
    diff = json.loads(luaspy("diff", "off-before.pb.gz", "off-after.pb.gz", "--json")[0])
    one = next(one for one in diff["functions"] if one["name"] == "io_schedule")["self"]
    live.check("of time nothing is said of noise",
               one["noise"] is None and one["p"] is None and diff["unit"] == "microseconds" and
               one["before"] == 40 * 10101 and near(one["before_percent"], 80, 1e-3), one)


def test_mistakes():
    def message(*arguments, status=1, **options):
        out, err = luaspy("diff", *arguments, status=status, **options)
        return err.strip() if not out else "stdout: " + out

    got = message("cpu-before.pb.gz", "off-after.pb.gz")
    live.check("different kinds are refused", "of different kinds" in got and got.count("\n") == 0, got)
    got = message("cpu-before.pb.gz", "there-is-none.pb.gz")
    live.check("a missing file is named", "there-is-none.pb.gz cannot be opened: No such file" in got, got)
    got = message("cpu-before.pb.gz", "/dev/null")
    live.check("a file that is no profile is named", "/dev/null is not a profile" in got, got)
    for arguments in (["cpu-before.pb.gz"], ["-", "-"], ["a", "b", "c"], ["a", "b", "-o", "x.pdf"],
                      ["a", "b", "-f", "xml"], ["a", "b", "--width", "both"]):
        got = message(*arguments, status=2)
        live.check("a mistake has its message: " + " ".join(arguments), got.startswith("luaspy diff: "), got)
    got = message("cpu-before.pb.gz", "cpu-after.pb.gz", "--by", "nonsense")
    live.check("an unknown label is named", "has a label 'nonsense'" in got, got)
    with open(os.path.join(WORK, "cpu-after.pb.gz"), "rb") as after:
        out = luaspy("diff", "cpu-before.pb.gz", "-", stdin=after)[0]
    live.check("one of them may be stdin", "13124 samples before, 19434 samples after" in out, out)
    same = luaspy("diff", "cpu-before.pb.gz", "cpu-before.pb.gz")[0]
    live.check("a profile is the same as itself",
               "0 changed beyond noise" in same and not re.search(r"[+-]\d+\.\d\d", same), same)


def test_hostile():
    for arguments in ([], ["--json"]):
        out = luaspy("diff", "hostile-before.pb.gz", "hostile-after.pb.gz", *arguments)[0]
        live.check("names cannot control a terminal%s" % (" in JSON" if arguments else ""),
                   not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out), repr(out))
    json.loads(out)


def main():
    for path in live.LUASPY, os.path.join(BUILD, "libluaspy.a"):
        if not os.path.exists(path):
            print("ok - luaspy diff # SKIP no " + path)
            return
    make_profiles()
    for test in test_figures, test_table, test_per_second, test_time, test_mistakes, test_hostile:
        try:
            test()
        except Exception as error:  # one of them is not the end of the others
            live.check(test.__name__, False, repr(error))


main()
live.finish()
