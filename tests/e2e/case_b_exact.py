"""Exactness, on the zoo: every payload under its own root, and nothing else."""

import os
import re
import signal
import subprocess

from lib import *


def judge(prof, heap, broken=None, named=0):
    """An exact profile of a heap of so many bytes; broken: what check_promises() said."""
    t = prof.totals
    check_sums(t)
    check(prof.total == t["live_bytes"], "the folded file's sum is not live_bytes:", prof.total, t)
    check(within(prof.total, heap, 0.001), f"live {prof.total}, HeapAlloc {heap}")
    check(not broken, f"{len(broken or [])} promises broken:\n" + "\n".join(broken or []))
    if named:
        check(t["unnamed_bytes"] < heap * named, "unnamed:", t["unnamed_bytes"], "of", heap)


def exact(version=GO_VERSION, named=0.01, say=None, **kw):
    """Holds zoo's promises against its profile; what was measured goes to say()."""
    # Not -tick: caught while it adds up a payload, main() is a root of that one, too.
    p = zoo(version=version, **kw)
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    p.ask(signal.SIGUSR1, "^checksums ok$")  # what the first signal allocates is there before we look
    with multi() as g:
        before = profile(g.target, p.exe, "-p", p.pid)
        p.ask(signal.SIGUSR2, "^garbage 16777216$")
        after = profile(g.target, p.exe, "-p", p.pid)
    assert_alive(p)
    proms = promises(p.lines)
    broken = [check_promises(proms, prof.stacks) for prof in (before, after)]
    if say:
        say(heap=heap, held=len(proms) - max(map(len, broken)), promised=len(proms), **before.totals)
    for prof, bad in zip((before, after), broken):
        judge(prof, heap, bad, named)
    check(after.totals["unreachable_bytes"] - before.totals["unreachable_bytes"] == 16777216,
          "garbage:", before.totals["unreachable_bytes"], "->", after.totals["unreachable_bytes"])
    # A few hundred bytes come and go with timers and signals; the smallest piece of garbage is one of 65536.
    check(abs(after.totals["live_bytes"] - before.totals["live_bytes"]) < PAGE, "garbage is in the profile:",
          before.totals["live_bytes"], "->", after.totals["live_bytes"])
    check(within(after.totals["unreachable_bytes"], 16777216, 0.01),
          "unreachable before the garbage:", before.totals["unreachable_bytes"])
    return after


@case(timeout=180, needs=["gdbserver"])
def zoo_pure_go():
    exact()


@case(timeout=180, needs=["gdbserver", "gcc"])
def zoo_cgo():
    exact(CGO_ENABLED="1", tag="-cgo")


@case(timeout=180, needs=["gdbserver"])
def zoo_pie():
    exact(flags=["-buildmode=pie"], tag="-pie")


@case(timeout=180, needs=["gdbserver"])
def same_image_same_bytes():
    """Two runs on a process that does nothing give the same file, byte for byte."""
    p = zoo()
    d = tmpdir()
    last = None
    with multi() as g:
        for i in range(8):
            grf("-p", p.pid, "-o", f"{d}/{i}.folded", g.target, p.exe)
            with open(f"{d}/{i}.folded", "rb") as f:
                now = f.read()
            check(len(now) > 1000, len(now))
            if now == last:
                return
            # The runtime moves now and then (an m leaves its p); not between all runs.
            last, before = now, last
    x, y = before.decode().splitlines(), last.decode().splitlines()
    diff = [f"- {l}" for l in x if l not in y] + [f"+ {l}" for l in y if l not in x]
    raise Failure("no two of 8 runs are equal:\n" + "\n".join(diff[:20] or ["only in order"]))


@case(timeout=180, needs=["gdbserver"])
def max_depth():
    """The list is 100,000 nodes long: cut at the given depth, with all its bytes."""
    p = zoo()
    with multi() as g:
        for depth in 256, 10, 1:
            extra = [] if depth == 256 else ["--max-depth", depth]
            prof = profile(g.target, p.exe, "-p", p.pid, *extra)
            deepest = max(len(s.split(";")) for s, _ in prof.stacks)
            check(deepest == depth + 1, f"--max-depth {depth}: deepest path has {deepest} frames")
            check(all(s.endswith(";[deeper]") for s, _ in prof.stacks if s.count(";") == depth),
                  "a path is longer than --max-depth and does not end in [deeper]")
            check(prof.total == prof.totals["live_bytes"], "bytes lost by --max-depth", depth)
            n = sum(b for s, b in prof.stacks if re.match(r"main\.zooList(;|$)", s))
            want = next(b for v, name, b, _ in promises(p.lines) if name == "zooList")
            check(n == want, f"zooList: {n}, not {want}")
