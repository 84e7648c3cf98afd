"""Small programs, each an instance of a kind that once went wrong."""

import gzip
import os
import shutil

import pytest

from lib import *

CAPTURE = """package main

import (
	"fmt"
	"time"
)

type WL struct {
	pad [3]int
	dir string
	buf []byte
}

func (w *WL) Dir() string { return w.dir }

//go:noinline
func dirSize(s string) (int64, error) { return int64(len(s)), nil }

func (w *WL) Size() (int64, error) { return dirSize(w.Dir()) }

var report func() float64

//go:noinline
func newMetrics(w *WL) {
	report = func() float64 {
		val, err := w.Size()
		if err != nil {
			fmt.Println("failed", err.Error(), w.dir)
		}
		return float64(val)
	}
}

func main() {
	newMetrics(&WL{dir: "x", buf: make([]byte, 1<<20)})
	fmt.Println("READY", report())
	time.Sleep(100 * time.Second)
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.21.13 1.22.12 1.26.8"))
def test_result_of_an_inlined_call_is_no_capture(version):
    """Until Go 1.22 captures are told by their line, on which an inlined call leaves its result, ~r0."""
    exe = go_source(CAPTURE, version)
    with Prog([exe]) as p, multi() as g:
        prof = profile(g.target, exe, "-p", p.pid)
    biggest = max(prof.stacks, key=lambda s: s[1])
    check(biggest[0] == "main.report;main.newMetrics.func1;w. (*main.WL);buf. ([]uint8)", biggest)

PLAIN_ARRAYS = """package main

import (
	"fmt"
	"os"
	"time"
)

var zeros [32 << 20]byte
var table = [4 << 20]uint8{1, 2, 3}
var kept = make([]*[]byte, 0, 16)

func main() {
	zeros[len(os.Args)], table[len(os.Args)] = 1, 1
	for i := 0; i < 16; i++ {
		b := make([]byte, 10000)
		kept = append(kept, &b)
	}
	fmt.Println("READY")
	time.Sleep(100 * time.Second)
}
"""


def go_program(text, out, *flags, version=GO_VERSION, **env):
    """Builds a program of one file under a name of its own."""
    src = tmpdir()
    for name, body in ("go.mod", f"module {out}\n\ngo {minor(version)}\n"), ("main.go", text):
        with open(f"{src}/{name}", "w") as f:
            f.write(body)
    return go_build(src, f"{src}/{out}", *flags, version=version, **env)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "gcc")
@pytest.mark.parametrize("flags", [[], ["-ldflags=-s -w"], ["-buildmode=pie"], ["-ldflags=-linkmode=external"]],
                         ids=["exe", "stripped", "pie", "external"])
@pytest.mark.parametrize("version", versions("1.17.13 1.22.12 1.26.8"))
def test_arrays_without_pointers_are_not_read(version, flags):
    """32 MB of zeros in .noptrbss and 4 MB in .noptrdata hold no roots; what the runtime has there is read."""
    cgo = "1" if "-ldflags=-linkmode=external" in flags else "0"
    exe = go_program(PLAIN_ARRAYS, "arrays", *flags, version=version, CGO_ENABLED=cgo)
    with Prog([exe]) as p, multi() as g:
        prof = profile(g.target, exe, "-p", p.pid)
    t = prof.totals
    check(t["captured_bytes"] < 2 << 20, t)
    check(t["failed_reads"] == 0 and t["live_bytes"] + t["unreachable_bytes"] == t["allocated_bytes"], t)
    kept = sum(n for s, n in prof.stacks if s.startswith(("main.kept;", ".bss+", ".data+")))
    check(16 * 10240 <= kept < 16 * 10240 + 8 * PAGE, kept, prof.stacks)

KEEPS = """package main

import (
	"fmt"
	"time"
)

type Thing struct {
	Name string
	Data []byte
}

%svar kept = map[int]*Thing{}

func main() {
	for i := 0; i < 1000; i++ {
		kept[i] = &Thing{fmt.Sprint(i), make([]byte, 200)}
	}
	fmt.Println("READY")
	time.Sleep(100 * time.Second)
}
"""
OTHER = KEEPS % "var pad [1000]int64\n\nfunc init() { fmt.Println(pad[3]) }\n\n"


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.22.12 1.26.8"))
def test_an_id_of_many_builds_identifies_none(version):
    """-ldflags=-buildid=redacted: neither the cache of EXEs nor --debug takes one program for the other."""
    flags = ["-ldflags=-buildid=redacted"], ["-ldflags=-buildid=redacted -s -w"]
    a = go_program(KEEPS % "", "a", *flags[0], version=version, CGO_ENABLED="0")
    b, bare = (go_program(OTHER, "b", "-trimpath", *f, version=version, CGO_ENABLED="0") for f in flags)
    with Prog([a]) as p, Prog([b]) as q, Prog([bare]) as r, multi() as g:
        def paths(exe, pid):  # but the scheduler's: threads come and go between two stops
            own = ("[goroutines]", "runtime.")
            return [(s, n) for s, n in profile(g.target, exe, "-p", pid).stacks if not s.startswith(own)]

        given = [paths(x.exe, x.pid) for x in (p, q)]
        fetched = [paths(None, x.pid) for x in (p, q)]
        check(all(any(s.startswith("main.kept") for s, _ in stacks) for stacks in given), given)
        check(fetched == given, "another program's file was taken")
        refused = " ".join(grf("--debug", a, "-p", r.pid, g.target, bare).out.split())
        check("is not of the same build" in refused and "differs" in refused and "no names from --debug" in refused, refused)
        named = profile(g.target, bare, "-p", r.pid, "--debug", b)
    check(any(s.startswith("main.kept;") for s, _ in named.stacks), named.stacks[:9])


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("deleted", [False, True], ids=["", "deleted"])
def test_a_fetched_exe_has_its_own_name(deleted):
    """`go run .`: EXE is not given, and the stub reads it as /proc/PID/exe."""
    d = tmpdir()
    exe = shutil.copy(go_program(KEEPS % "", "shopserver", CGO_ENABLED="0"), d)
    with Prog([exe]) as p, multi() as g:
        if deleted:
            os.unlink(exe)
        for given in [], [f"/proc/{p.pid}/exe"]:
            out = f"{tmpdir()}/a.out"
            r = grf("-p", p.pid, "-o", out, "-o", f"{d}/a.core", g.target, *given)
            check("shopserver" in r.out.splitlines()[0] and "/proc" not in r.out.splitlines()[0], r.out)
            with gzip.open(out) as f:
                check(exe.encode() in (data := f.read()) and b"/proc/" not in data, "the profile has another name")
            with open(f"{d}/a.core", "rb") as f:
                check(exe.encode() + b"\0" in f.read(), "the core has another name")
