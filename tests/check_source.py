#!/usr/bin/env python3
"""Holds the C sources to the structure that docs/ARCHITECTURE.md describes.

    check_source.py OBJDIR

Layers: an include goes to the same room or one below it; only heap/acquire/ knows rsp/.
Headers: each compiles alone.
Cycles: no two files need each other's functions, by the symbols of their objects; heap/types/ has two readers
    of one model, which may.
Files: each .c begins with a comment that says what it is for; no line is wider than 100 columns; no function is
    longer than 60 lines, but those that read options or a format field by field.
"""

import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# From below; a room may include itself and what comes before it.
ROOMS = ["base", "rsp", "target", "heap/layout", "heap/types", "heap/profile", "heap/runtime", "heap/capture",
         "heap/mark", "heap/graph", "heap/report", "heap", "heap/acquire", "output", "."]
MAY_KNOW_RSP = {"base", "rsp", "target", "heap/acquire", "."}
# What output/ needs of the analysis is its data.
OUTPUT_MAY = {"base", "heap/profile", "output"}
MAY_CYCLE = {"heap/types"}
WIDTH, LENGTH = 100, 60
# Long by nature: a case per option, per packet, per field.
LONG = {"parse_option"}


def sources():
    out = []
    for room in ROOMS:
        for pattern in ("*.c", "*.h"):
            out += sorted(os.path.normpath(p) for p in glob.glob(os.path.join(room, pattern)))
    return out


def room_of(path):
    return os.path.dirname(path) or "."


def check_includes(path, text):
    room = room_of(path)
    for inc in re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.M):
        to = room_of(inc) if "/" in inc else room
        if to not in ROOMS:
            continue  # made by the build
        if ROOMS.index(to) > ROOMS.index(room):
            yield f"{path} includes {inc}: {to}/ is above {room}/"
        elif to == "rsp" and room not in MAY_KNOW_RSP:
            yield f"{path} includes {inc}: only heap/acquire/ knows the protocol"
        elif room == "output" and to not in OUTPUT_MAY:
            yield f"{path} includes {inc}: outputs take heap/profile/'s data"


def columns(line):
    return len(line.expandtabs(8))


def functions(lines):
    """(name, first line, lines) of each function: as clang-format lays them out, braces are in column 0."""
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            head = start - 1
            while head > 0 and not re.match(r"^[A-Za-z_].*\(", lines[head]):
                head -= 1
            name = re.search(r"(\w+)\(", lines[head])
            yield name.group(1) if name else "?", head + 1, i - head + 1
            start = None


def check_text(path, text):
    lines = text.split("\n")
    if path.endswith(".c") and not text.startswith("/*"):
        yield f"{path}: it does not begin by saying what it is for"
    for i, line in enumerate(lines, 1):
        if columns(line) > WIDTH:
            yield f"{path}:{i}: {columns(line)} columns"
    for name, line, n in functions(lines):
        if n > LENGTH and name not in LONG:
            yield f"{path}:{line}: {name}() has {n} lines"


def check_alone(objdir):
    cc = os.environ.get("CC", "cc")
    for path in sources():
        if not path.endswith(".h"):
            continue
        p = subprocess.run([cc, "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-I.", f"-I{objdir}", "-fsyntax-only",
                            "-x", "c", "-"], input=f'#include "{path}"\n', text=True, stderr=subprocess.PIPE)
        if p.returncode:
            yield f"{path} does not compile alone:\n{p.stderr}"


# A build has one of each.
ONE_OF = [("output/sqlite.c", "output/sqlite_none.c"), ("base/sandbox_calls.c", "base/sandbox_calls_none.c")]


def needs(objdir):
    """Each source's object -> those that define what it uses."""
    defined, used = {}, {}
    for path in sources():
        if not path.endswith(".c"):
            continue
        obj = os.path.join(objdir, path[:-2] + ".o")
        if any(path in pair for pair in ONE_OF) and not os.path.exists(obj):
            continue
        if not os.path.exists(obj):
            raise SystemExit(f"{obj} is not built: make all first")
        out = subprocess.run(["nm", "-P", obj], stdout=subprocess.PIPE, text=True, check=True).stdout
        for line in out.splitlines():
            name, kind = line.split()[:2]
            if kind == "U":
                used.setdefault(path, set()).add(name)
            elif kind in "TDBRCVW":
                defined[name] = path
    return {path: {defined[n] for n in names if n in defined} - {path} for path, names in used.items()}


def check_cycles(objdir):
    graph = needs(objdir)
    number, low, stack, done = {}, {}, [], set()
    for root in graph:
        work = [(root, iter(sorted(graph.get(root, ()))))] if root not in number else []
        if work:
            number[root] = low[root] = len(number)
            stack.append(root)
        while work:
            at, rest = work[-1]
            for to in rest:
                if to not in number:
                    number[to] = low[to] = len(number)
                    stack.append(to)
                    work.append((to, iter(sorted(graph.get(to, ())))))
                    break
                if to not in done:
                    low[at] = min(low[at], number[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[at])
                if low[at] == number[at]:
                    circle = []
                    while not circle or circle[-1] != at:
                        circle.append(stack.pop())
                        done.add(circle[-1])
                    if len(circle) > 1 and {room_of(p) for p in circle} - MAY_CYCLE:
                        yield "a circle: " + ", ".join(sorted(circle)) + " need each other"


def main():
    objdir = sys.argv[1] if len(sys.argv) > 1 else "build"
    os.chdir(TOP)
    bad = []
    for path in sources():
        with open(path, encoding="utf-8") as f:
            text = f.read()
        bad += check_includes(path, text)
        bad += check_text(path, text)
    bad += check_alone(objdir)
    bad += check_cycles(objdir)
    for line in bad:
        print(line, file=sys.stderr)
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
