"""What the graph of objects says: retained sizes, the tree of dominators, suspects, types, waste, why; and JSON."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from lib import *

RETAIN = [f"main.{n}" for n in "left right chain middle ringA ringB ringC gate table slice iface inner big part bufs fn "
          "holder.payload".split()]


def analyse(p, *args, outputs=("json", "folded")):
    """Each output of one capture, read back; `core` names the capture, for more runs."""
    d = tmpdir()
    with multi() as g:
        grf("-q", "-p", p.pid, *args, *(w for o in (*outputs, "core") for w in ("-o", f"{d}/p.{o}")), g.target, p.exe)
    return read_outputs(d, outputs) | {"core": f"{d}/p.core", "exe": p.exe}


def again(a, *args, outputs=("json", "folded")):
    """The same of a capture."""
    d = tmpdir()
    grf("-q", *args, *(w for o in outputs for w in ("-o", f"{d}/p.{o}")), a["core"], a["exe"])
    return read_outputs(d, outputs)


def read_outputs(d, outputs):
    out = {}
    for o in outputs:
        if o == "json":
            with open(f"{d}/p.json", encoding="utf-8") as f:
                out[o] = json.load(f)
        elif o == "folded":
            out[o] = dict(read_folded(f"{d}/p.folded"))
        else:
            with open(f"{d}/p.{o}") as f:
                out[o] = f.read()
    return out


def by_name(rows, key="name"):
    check(len({r[key] for r in rows}) == len(rows), f"a {key} twice")
    return {r[key]: r for r in rows}


def freed(exe, root):
    """What Go's own collector frees when the program lets go of that root.  The runtime itself may allocate meanwhile."""
    return int(subprocess.run([exe, root], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.split()[-1])


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.20.14 1.26.8"))
def test_retained_is_what_is_freed(version):
    """Of each root, to the byte: shared by two, a second way into a chain, rings, one gate in front of much."""
    p = Prog([build("retain", version)])
    roots = by_name(analyse(p)["json"]["roots"])
    for name in RETAIN:
        retained = roots[name]["retained_bytes"] if name in roots else 0
        seen = []
        for _ in range(12):
            seen.append(freed(p.exe, name))
            if seen[-1] == retained:
                break
        check(seen[-1] == retained, f"{name} retains {retained} bytes, the collector frees {seen}")


def cumulative(stacks, path):
    return sum(n for stack, n in stacks.items() if stack == path or stack.startswith(path + ";"))


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_tree_of_dominators():
    """A frame's cumulative value is its retained size, and nothing is lost or counted twice."""
    a = analyse(Prog([build("retain")]))
    tree = again(a, "--tree=dominators")
    live = a["json"]["coverage"]["live_bytes"]
    check(sum(tree["folded"].values()) == live == sum(a["folded"].values()))
    for root in a["json"]["roots"]:
        if root["kind"] == "package variables":
            check(cumulative(tree["folded"], root["name"]) == root["retained_bytes"], root)
    # in JSON, too: each node has what it and all below it hold
    nodes = tree["json"]["tree"]
    total = [n["bytes"] for n in nodes]
    for i in range(len(nodes) - 1, -1, -1):
        check(nodes[i]["parent"] < i)
        if nodes[i]["parent"] >= 0:
            total[nodes[i]["parent"]] += total[i]
    check([n["retained_bytes"] for n in nodes] == total)
    check("[several roots];main.left;shared. ([]uint8)" in tree["folded"], *tree["folded"])
    check(tree["folded"]["main.gate;next. (*main.node)"] == 46784, "the mesh is one node behind its gate")
    # the same capture, the same bytes
    check(again(a, "--tree=dominators", outputs=["folded"])["folded"] == tree["folded"])


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_without_the_graph():
    """--graph=no: no suspects, and the summary has its table of roots; what needs the graph says so."""
    a = analyse(Prog([build("retain")]))
    out = grf("--graph=no", a["core"], a["exe"]).out
    check("suspects" not in out and "who keeps it" in out and "main.big" in out, out)
    json_ = again(a, "--graph=no", outputs=["json"])["json"]
    check(json_["suspects"] == [] and json_["types"] == [] and "retained_bytes" not in json_["roots"][0], json_["roots"][0])
    for option in ["--tree=dominators"], ["--why", "main.pair"]:
        check("needs the graph" in grf("--graph=no", *option, a["core"], a["exe"], rc=2).err)
    check(grf("--tree=nosuch", a["core"], a["exe"], rc=2).err)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_types():
    """Counts, bytes and what their topmost objects keep."""
    a = analyse(Prog([build("retain")]))["json"]
    types = by_name(a["types"], "type")
    check(sum(t["bytes"] for t in types.values()) == a["coverage"]["live_bytes"])
    check(sum(t["objects"] for t in types.values()) == a["coverage"]["live_objects"])
    ring = types["main.ring"]
    check((ring["objects"], ring["bytes"]) == (150, 150 * 48), ring)
    # all of it, with the payloads: of the ring with two ways in, each keeps its payload alone, too
    check(ring["retained_bytes"] == 150 * (48 + 512), ring)
    check(types["main.hub"]["objects"] == 1, types["main.hub"])
    check(types["main.hub"]["retained_bytes"] == by_name(a["roots"])["main.iface"]["retained_bytes"], types["main.hub"])
    check(types["map[int]*main.pair"]["retained_bytes"] > 36000, types["map[int]*main.pair"])
    check(types["[]uint8"]["bytes"] >= (1 << 20) + 1000 * 256, types["[]uint8"])


# What the first suspect of each mode of `leaks` has to be.
LEAKS = {
    "cache": dict(kind="variable", what="main.sessions", path=["main.sessions", "byID. (map[string]*main.session)"],
                  at=("*main.session", 20000)),
    "goroutines": dict(kind="goroutines", what="main.fetch", path=["[goroutines]", "main.fetch"], at=("goroutine", 1990)),
    "finalizer": dict(kind="finalizers", what="runtime.SetFinalizer.queued", at=("", 2900)),
    "garbage": dict(kind="garbage"),
    "holes": dict(kind="holes"),
}


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("stripped", [False, True], ids=["symbols", "stripped"])
@pytest.mark.parametrize("mode", LEAKS)
def test_first_suspect_is_the_leak(mode, stripped):
    flags = dict(flags=["-ldflags=-s -w"], tag="-stripped") if stripped else {}
    p = Prog([build("leaks", **flags), mode])
    time.sleep(1)
    a = analyse(p, outputs=["json"])
    first, want = a["json"]["suspects"][0], LEAKS[mode]
    check(len(a["json"]["suspects"]) <= 5)
    check(first["kind"] == want["kind"], first)
    if "at" in want:
        kind, least = want["at"]
        check(least <= first["at"]["count"] <= 20000, first)
        if not stripped:
            check(first["what"] == want["what"] and first["at"]["type"].startswith(kind), first)
            check(first["path"] == want.get("path", first["path"]), first)
    if mode in ("cache", "goroutines", "finalizer"):
        check(first["share"] > 0.95 and first["alone_bytes"] > 0.95 * first["retained_bytes"], first)
    if mode == "goroutines":
        check(first["what"] == "main.fetch" and first["stack_bytes"] >= 2000 * first["at"]["count"], first)
        check(first["leaked"] >= 1990, first)
        check(first["source"]["file"].endswith("/leaks/main.go") and first["source"]["line"] == 55, first)
        check((first["created_by"]["function"], first["created_by"]["line"]) == ("main.request", 61), first)
        rows = [t for t in a["json"]["tree"] if t["frame"] == "main.fetch"]
        check(rows and all(t["file"].endswith("/leaks/main.go") and t["line"] == 55 for t in rows), rows)
    if mode == "cache" and stripped:
        check("(main." in first["what"] and first["at"]["type"] == "*main.session", first)
    text = grf(a["core"], a["exe"]).out
    lines = text.splitlines()
    check(len(lines) <= 40 and max(map(len, lines)) <= 80, text)
    top = lines[lines.index("suspects") + 1:][:3]
    if mode == "goroutines":
        check("leaked, nothing can wake them: chan send in main.fetch (leaks/main.go:55)" in " ".join(text.split()), text)
    words = {"cache": "20,000 × *main.session", "goroutines": "goroutines in main.fetch keep",
             "finalizer": "goroutine", "garbage": "are garbage", "holes": "are holes"}
    check(words[mode] in " ".join(top), text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_leaked_is_a_suspect():
    """Goroutines that nothing can wake are told of though they keep next to nothing, with the line where most are."""
    p = Prog([build("waits"), "5"])
    a = analyse(p)
    leaked = [x for x in a["json"]["suspects"] if x["kind"] == "leaked"]
    want = sum(int(line.split()[3]) for line in p.lines if line and line.startswith("waits ") and " leaked " in line)
    check(len(leaked) == 1 and leaked[0]["leaked"] == want, a["json"]["suspects"])
    with open(f"{TOP}/tests/progs/waits/main.go") as f:
        around = [line for line in f.read().split("\n")[:leaked[0]["source"]["line"]] if line.startswith("func ")][-1]
    check(around.startswith(leaked[0]["source"]["function"].replace("main.", "func ") + "("), leaked, around)
    text = grf(a["core"], a["exe"]).out
    check(re.search(rf"{want} goroutines are leaked.* in main\.lost\w+ \(waits/main.go:\d+\),\s+made\s+by\s+main.startLost", text, re.S), text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("mode", ["goroutines", "cache", "finalizer"])
def test_json_keeps_its_schema(mode):
    jsonschema = pytest.importorskip("jsonschema", reason="no python3-jsonschema")
    a = analyse(Prog([build("leaks"), mode]), "--goroutines")["json"]
    with open(f"{TOP}/docs/grf-rsp.schema.json") as f:
        schema = json.load(f)
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(a, schema)
    c = a["coverage"]
    check(c["live_bytes"] + c["unreachable_bytes"] == c["allocated_bytes"])
    check(sum(n["bytes"] for n in a["tree"]) == c["live_bytes"])
    check(sum(r["live_bytes"] for r in a["roots"]) == c["live_bytes"])
    check(sum(a["memory"]["live"].values()) == c["live_bytes"])
    check(sum(g["count"] for g in a["goroutines"]) == a["process"]["goroutines"])
    # The schema says something: it refuses what has another shape.
    for spoil in (lambda b: b.pop("coverage"), lambda b: b["roots"][0].update(live_bytes="1"),
                  lambda b: b["tree"][0].pop("frame"), lambda b: b.update(schema="grf-rsp/0")):
        b = json.loads(json.dumps(a))
        spoil(b)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(b, schema)


def by_path(rows):
    return {";".join(f.split(". (")[0] for f in r["path"]): r for r in rows}


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.20.14 1.26.8"))
def test_waste(version):
    """Each kind where it is, and nothing of what is used."""
    p = Prog([build("waste", version)])
    a = analyse(p, outputs=["json"])
    w = a["json"]["waste"]
    pinned, slack, maps = by_path(w["pinned"]), by_path(w["slack"]), by_path(w["maps"])
    m = 100 * (256 << 10)
    want = {"main.heads;[];head": (100, m - 100 * 16), "main.records;byID;$mapval;head": (100, m - 100 * 64),
            "main.pointers;[]": (100, m - 100 * 80), "main.names;[];name": (200, 200 * ((128 << 10) - 70))}
    check({k: (r["count"], r["wasted_bytes"]) for k, r in pinned.items()} == want, pinned)
    check([r["wasted_bytes"] for r in w["pinned"]] == sorted((b for _, b in want.values()), reverse=True), "most first")
    check(w["pinned_bytes"] == sum(b for _, b in want.values()), w["pinned_bytes"])
    check(slack["main.grown;[]"]["wasted_bytes"] == 100 * (156 << 10), slack)
    check(slack["main.buffers;[];buf"]["wasted_bytes"] == m, slack)
    check(set(slack) <= {"main.grown;[]", "main.buffers;[];buf", "main.lines"}, slack)
    check([k for k, r in maps.items() if r["wasted_bytes"] > 1e5] == ["main.sparse"] and maps["main.sparse"]["entries"] == 100, maps)
    check(maps["main.sparse"]["wasted_bytes"] > 0.99 * maps["main.sparse"]["bytes"] > 20e6, maps)
    check(w["measured_bytes"] > 0.8 * w["large_bytes"], w["measured_bytes"])
    text = grf(a["core"], a["exe"]).out
    check("100.0 MiB pinned" in text and "main.heads > elements > head: 100 buffers" in text, text)


def ways(why):
    return {";".join(f.split(". (")[0] for f in w["path"]): w["objects"] for w in why["ways"]}


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_why():
    """All roots that lead to the objects, each with its ways; whatever names them."""
    a = analyse(Prog([build("retain")]))

    def why(pattern):
        return again(a, "--why", pattern, outputs=["json"])["json"]["why"]

    w = why("main.pair")
    check((w["objects"], w["types"], w["roots"]) == (1002, 1, 4), w)
    check(ways(w) == {"main.left": 1, "main.right": 1, "main.table;$mapval": 1000, "main.slice;[]": 500}, ways(w))
    check(ways(why("*main.pair")) == ways(w))
    check(ways(why("^main[.]pa.r$")) == ways(w))
    # an address, in decimal too, of any byte of the object
    at = int(next(x["example"] for x in w["ways"] if x["path"] == ["main.left"]), 16)
    for address in f"0x{at:x}", str(at + 5):
        one = why(address)
        check(one["objects"] == 1 and ways(one) == {"main.left": 1}, one)
    # a root: who else leads to what it leads to
    check(ways(why("main.ringB")) == {"main.ringB": 1, "main.ringC;prev": 1})
    check(ways(why("main.big")) == {"main.big": 1, "main.part": 1})
    # a closure by its function
    check(ways(why("build.func1")) == {"main.fn;main.build.func1": 1})
    # a goroutine's local; 50 are shared by two goroutines
    check(ways(why("main.node"))["main.holder.payload;[]"] == 150)
    # nothing is an answer, too
    for pattern in "main.nosuch", "[(", "0x1", "0":
        check(why(pattern)["objects"] == 0 and why(pattern)["nothing"], pattern)
    text = grf("--why", "main.pair", a["core"], a["exe"]).out
    check("1,002 objects of type main.pair" in text and "$mapval. (*main.pair)" in text, text)
    check("for example 0x" not in text and "for example 0x" in grf("-v", "--why", "main.pair", a["core"], a["exe"]).out)
    check(len(text.splitlines()) <= 40 and max(map(len, text.splitlines())) <= 80, text)
    many = grf("--why", ".", a["core"], a["exe"]).out
    check(len(many.splitlines()) <= 45, many)


@pytest.mark.timeout(200)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.25.5 1.26.8"))
def test_outside(version):
    """C's memory, mappings, what is live and was never written to; the parts are what /proc says."""
    need("gcc")
    with Prog([build("outside", version, tag="-cgo", CGO_ENABLED="1")]) as p:
        with open(f"/proc/{p.pid}/status") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) << 10
        a = analyse(p, outputs=["json"])
        d = tmpdir()
        run("gcore", "-o", f"{d}/whole", str(p.pid)) if shutil.which("gcore") else None
        text = grf("-o", f"{d}/p.out", f"| gdbserver --once --attach - {p.pid}", p.exe).out
        core = f"{d}/whole.{p.pid}"
        whole = grf("-o", f"{d}/w.out", core, p.exe).out if os.path.exists(core) else None
    m = 1 << 20
    o = a["json"]["outside"]
    check(abs(o["rss_bytes"] - rss) < 0.03 * rss, rss, o)
    parts = [v for k, v in o.items() if k.endswith("_bytes") and k not in ("rss_bytes", "huge_pages_bytes", "live_not_resident_bytes")]
    check(sum(parts) == o["rss_bytes"], o)
    check(abs(o["anonymous_bytes"] - 280 * m) < 0.03 * 300 * m, o)
    check(20000 * 1008 <= o["c_heap_bytes"] < 22 * m, o)
    check(50 * m < o["go_heap_bytes"] < 80 * m, o)
    check(abs(o["live_not_resident_bytes"] - 1024 * m) < 40 * m and o["live_not_resident_root"] == "main.ballast", o)
    # since 1.26 heaps lie anywhere, mostly where pagemap's entries are beyond the reach of gdbserver 13's files
    check(o["live_not_resident_exact"] or version >= "1.26", o)
    first = a["json"]["suspects"][0]
    check(first["kind"] == "outside" and first["retained_bytes"] > 290 * m, a["json"]["suspects"])
    check("are not Go's" in text and "anonymous mappings" in text and "not in memory" in text, text)
    # a core has no /proc, but what it holds
    if whole:
        check(re.search(r"outside +[\d.]+ [MG]iB of \d\.\d GiB in the core \(used or not\)", whole), whole)
        check("of what is in memory" not in whole, whole)
    check("outside" not in json.loads(json.dumps(again(a, outputs=["json"])["json"])), "our own cores hold Go's memory alone")
