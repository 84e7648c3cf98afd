"""Goroutines: groups, what each alone keeps, labels, paths."""

import re
import subprocess
import time

import pytest

from exactness import within
from lib import *
from matrix import cell, releases


def run_leaks(version, mode, *args):
    p = Prog([build("leaks", version), mode])
    time.sleep(0.5)
    d = tmpdir()
    with multi() as g:
        grf("-p", p.pid, *args, "-o", f"{d}/p.pprof", "-o", f"{d}/p.folded", "-o", f"{d}/p.txt", g.target, p.exe)
    with open(f"{d}/p.txt") as f:
        return f"{d}/p.pprof", read_folded(f"{d}/p.folded"), f.read()


def bytes_of(text):
    n, unit = text.split()
    return float(n) * {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit]


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.17.13 1.19.13 1.23.12 1.26.8"))
def test_groups(version):
    pprof, stacks, text = run_leaks(version, "goroutines", "--goroutines")
    head = re.search(r"^([\d,]+) goroutines \(the first is \d+\) chan send, leaked(?:, at least ([\d.]+ m?s) to [\d.]+ m?s)?; "
                     r"alone keep ([\d.]+ \w+) in ([\d,]+) objects; stacks ([\d.]+ \w+)\n((?:        .*\n)+)"
                     r"    created by (.*)$", text, re.M)
    check(head, text[-3000:])
    count = int(head.group(1).replace(",", ""))
    check(1990 <= count <= 2000, head.group(0))
    check(head.group(2), "since when?", head.group(0))
    check(within(bytes_of(head.group(3)), count * 8448, 0.08), head.group(0))
    check("main.fetch" in head.group(6) and re.fullmatch(r"main\.request  /\S*/leaks/main\.go:61", head.group(7)), head.group(0))
    check(bytes_of(head.group(5)) >= count * 2000, head.group(0))
    # Labels: one in four is of the south.
    tags = subprocess.run([go(), "tool", "pprof", "-tags", pprof], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env=go_env()).stdout
    check(re.search(r"shop: Total", tags) and re.search(r"handler: Total", tags) and "/list" in tags, tags)
    south, north = (float(re.search(rf"([\d.]+)MB \([\d.]+%\): {s}\b", tags).group(1)) for s in ("south", "north"))
    check(within(north, 3 * south, 0.02), tags)
    check(re.search(r"root: Total", tags) and "goroutines" in tags and "package variables" in tags, tags)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_alone(stub):
    """What a package variable keeps, too, no goroutine keeps alone."""
    exe = go_source(r"""package main

import ("os"; "runtime"; "time")

type T struct { next *T; data []byte }

var global = &T{data: make([]byte, 1<<20)}
var sink int

//go:noinline
func wait(ts ...*T) { time.Sleep(time.Hour); runtime.KeepAlive(ts) }

//go:noinline
func first(shared *T) { own := &T{next: global, data: make([]byte, 2<<20)}; wait(own, shared) }

//go:noinline
func second(shared *T) { own := &T{next: shared, data: make([]byte, 4<<20)}; wait(own) }

func start() {
	shared := &T{data: make([]byte, 8<<20)}
	go first(shared)
	go second(shared)
}

func main() {
	start()
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	os.Stdout.WriteString("READY\n")
	time.Sleep(time.Hour)
}
""")
    p = Prog([exe])
    d = tmpdir()
    grf("-p", p.pid, "--goroutines", "-o", f"{d}/p.txt", stub.target, p.exe)
    with open(f"{d}/p.txt") as f:
        text = f.read()
    alone = {}
    for m in re.finditer(r"alone keeps? ([\d.]+ \w+) in .*\n((?:        .*\n)+)", text):
        for name in "main.first", "main.second", "main.main":
            if re.search(rf"^        {name}  /\S+/main\.go:\d+$", m.group(2), re.M):
                alone[name] = bytes_of(m.group(1))
    for name, mb in ("main.first", 2), ("main.second", 4), ("main.main", 0):
        assert abs(alone[name] - (mb << 20)) < 4096 + (mb << 20) * 0.05


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_paths():
    """--stack-roots=path: a local's path begins with the calls that led there; bytes are the same."""
    _, var, _ = run_leaks(GO_VERSION, "goroutines")
    _, path, _ = run_leaks(GO_VERSION, "goroutines", "--stack-roots=path")
    own = lambda stacks: sum(n for s, n in stacks)
    assert within(own(var), own(path), 0.01) and own(var) > 2000 * 8192
    check(any(s.startswith("main.request.gowrap1;main.fetch;") for s, _ in path), [s for s, _ in path][:9])
    check(not any(s.startswith("main.request.gowrap1;main.fetch;") and ".out" in s for s, _ in var), var[:9])
    grf("--stack-roots=x", "localhost:1", rc=2)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_labels_core():
    """Labels and groups from a saved core are those of the live run; a scrubbed core has none of the labels' text."""
    p = Prog([build("leaks"), "goroutines"])
    d = tmpdir()
    with multi() as g:
        grf("-p", p.pid, "--goroutines", "-o", f"{d}/a.core", "-o", f"{d}/a.pprof", "-o", f"{d}/a.txt", g.target, p.exe)
    grf("--goroutines", "-o", f"{d}/b.pprof", "-o", f"{d}/b.txt", f"{d}/a.core", p.exe)
    with open(f"{d}/a.pprof", "rb") as f, open(f"{d}/b.pprof", "rb") as g:
        check(f.read() == g.read(), "profiles differ")
    part = lambda name: open(f"{d}/{name}.txt").read().partition("\ngoroutines  ")[2].partition("\ndetail")[0]
    cut = lambda text: text[:text.rindex("    created by")]
    check(cut(part("a")) == cut(part("b")) and "main.fetch" in part("a"), part("a")[:500], part("b")[:500])
    grf("--save-only", "--scrub", "-o", f"{d}/s.core", f"{d}/a.core", p.exe)
    grf("-o", f"{d}/s.pprof", f"{d}/s.core", p.exe)


def verdicts(text):
    """The groups of a summary: {innermost function of main: {(verdict, count)}}, and counts of leaked ones together."""
    found = {}
    for head, stack in re.findall(r"^([\d,]+ goroutines? \(.*); alone keep.*\n((?:        .*\n)+)", text, re.M):
        inner = [f for f in stack.split("\n") if f.strip().startswith("main.")]
        if inner:
            count = int(head.split()[0].replace(",", ""))
            verdict = "leaked" if re.search(r"\) .*, leaked\b", head) else "waiting"
            found.setdefault(inner[0].split()[0], {}).setdefault(verdict, 0)
            found[inner[0].split()[0]][verdict] += count
    return found


def check_verdicts(prog, text):
    expected = {}
    for line in prog.lines:
        if line and line.startswith("waits "):
            _, name, verdict, count = line.split()
            expected[name] = {verdict: int(count)}
    assert len(expected) == 33
    found = verdicts(text)
    assert {k: v for k, v in found.items() if k in expected} == expected
    assert sum(v.get("leaked", 0) for v in found.values()) == sum(v.get("leaked", 0) for v in expected.values())


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(["1.17.13", "1.22.12", "1.24.10", "1.26.8", "1.27.3"]))
def test_leaked(stub, version):
    """Who can never be woken is leaked, who can is not."""
    p = Prog([build("waits", version)])
    check_verdicts(p, profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version, env", [("1.26.8", {"GOEXPERIMENT": "goroutineleakprofile"}), ("1.27.3", {})])
def test_leaked_as_go_says(stub, version, env):
    """Go's own profile of leaked goroutines has the same, before and after the marks that it leaves."""
    p = Prog([build("waits", version, tag="-leaks", **env)])
    check_verdicts(p, profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text)
    start = len(p.lines)
    p.ask(signal.SIGUSR1, "^go end")
    own = {line.split()[1]: {"leaked": int(line.split()[2])} for line in p.lines[start:] if line.startswith("go main.")}
    if version.startswith("1.26"):
        assert own.pop("main.main") == {"leaked": 1}  # in `select {}`: 1.27 does not call that a leak, and neither do we
    assert len(own) == 16
    ours = verdicts(profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text)
    assert own == {k: {"leaked": v["leaked"]} for k, v in ours.items() if "leaked" in v}


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.17.13 1.26.8"))
def test_leaked_stripped(stub, version):
    p = Prog([build("waits", version, flags=["-ldflags=-s -w"], tag="-stripped")])
    check_verdicts(p, profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_own_groups(stub):
    """The runtime's idle goroutines are counted on a terminal, and shown by -v and in files."""
    p = Prog([build("waits")])
    d = tmpdir()
    grf("-q", "-p", p.pid, "-o", f"{d}/p.core", stub.target, p.exe)
    short = grf("--goroutines", "-o", f"{d}/p.out", f"{d}/p.core", p.exe).out
    own = re.search(r"^\((\d+) of the runtime's own; -v has them\)$", short, re.M)
    assert own and int(own.group(1)) >= 3 and "force gc" not in short, short
    for text in grf("-v", "--goroutines", "-o", f"{d}/p.out", f"{d}/p.core", p.exe).out, profile(f"{d}/p.core", p.exe, "--goroutines").text:
        assert "force gc (idle)" in text and "runtime's own" not in text, text


@pytest.mark.timeout(240)
@pytest.mark.parametrize("arch", [cell(a, id=a, mark="arch", sample=a in ("arm64", "386", "s390x", "mips", "riscv64"))
                                  for a in ("arm64 386 s390x mips riscv64 arm loong64 ppc64 ppc64le mipsle mips64 mips64le".split())])
def test_leaked_arch(arch):
    from stubs import QemuUser, cpu
    p = QemuUser(arch, build("waits", GOARCH=arch, tag=f"-{arch}"), options=cpu(arch, GO_VERSION))
    check_verdicts(p, profile(p.target, p.exe, "--until", "main.ready", "--goroutines", timeout=180).text)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_many_leaked(stub):
    """100,000 that wait, of each kind, are found in one go: no list is walked again and again."""
    p = Prog([build("waits"), "3000"])
    check_verdicts(p, profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text)


def own_lines(stack):
    """The calls of main in a stack, (function, file:line) each, innermost first, without the wrappers that go statements
    make (until 1.21 main.startLost.func14.1), which the runtime leaves out."""
    return [(f, at) for f, at in stack if f.startswith("main.") and "wrap" not in f and not re.search(r"\.func\d+\.\d+$", f)]


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(["1.17.13", "1.19.13", "1.20.14", "1.26.8", "1.27.3"]))
@pytest.mark.parametrize("flags", [[], ["-ldflags=-s -w"]], ids=["", "stripped"])
def test_lines(stub, version, flags):
    """Functions, files and lines of each group's stack, inlined calls too, and of its go statement are as the runtime
    itself prints them."""
    p = Prog([build("waits", version, flags=flags, tag="-stripped" if flags else "")])
    text = profile(stub.target, p.exe, "--goroutines", "-p", p.pid).text
    p.ask(signal.SIGUSR2, "^stacks end")
    go_says = {}
    for one in "\n".join(l for l in p.lines if l).split("\ngoroutine ")[1:]:
        lines = one.split("\n")
        calls = [(f.rpartition("(")[0] if "(" in f else f, at.strip().split(" ")[0]) for f, at in zip(lines[1::2], lines[2::2])]
        by = [(re.sub("created by | in goroutine.*", "", f), at.split(" ")[0].strip())
              for f, at in zip(lines[1::2], lines[2::2]) if f.startswith("created by ")]
        go_says[int(one.split()[0])] = own_lines(calls), own_lines(by)
    compared = 0
    for goid, stack, by in re.findall(r"^[\d,]+ goroutines? \((?:the first is )?(\d+)\) .*\n((?:        .*\n)+)(?:    created by (.*)\n)?", text,
                                      re.M):
        ours = own_lines([l.split() for l in stack.strip().split("\n")])
        # who prints the stacks is at another line by then
        if int(goid) in go_says and int(goid) != 1 and ours and ours[0][0] != "main.answer":
            assert (ours, own_lines([by.split()])) == go_says[int(goid)], goid
            compared += 1
    assert compared >= 33


DEEP = """package main

import (
	"fmt"
	"io"
	"time"
)

type bottom struct{}

func (bottom) String() string {
	fmt.Println("READY")
	for {
		time.Sleep(time.Second)
	}
}

func main() {
	var x any = bottom{}
	for i := 0; i < 100000; i++ {
		x = []any{x}
	}
	fmt.Fprint(io.Discard, x)
}
"""


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_deep_in_a_library(stub):
    """100,000 calls of fmt's between two of main's: which function of the program each is in is not sought through all."""
    p = Prog([go_source(DEEP)])
    d = tmpdir()
    grf("-p", p.pid, "-o", f"{d}/x.folded", stub.target, p.exe)
    check(dict(read_folded(f"{d}/x.folded")).get("fmt.(*pp).printValue.value", 0) >= 100000 * 16, "the slices in x")
    p.wait_running(1)
    p.stop()
