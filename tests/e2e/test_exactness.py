"""Exactness, on the zoo: every payload under its own root, and nothing else."""

import re

import pytest

from exactness import exact, promises
from lib import *


@pytest.mark.quick
@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_zoo_pure_go():
    exact()


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "gcc")
def test_zoo_cgo():
    exact(CGO_ENABLED="1", tag="-cgo")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_zoo_pie():
    exact(flags=["-buildmode=pie"], tag="-pie")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_same_image_same_bytes(zoo, stub):
    """Two runs on a process that does nothing give the same file, byte for byte."""
    d = tmpdir()
    last = None
    for i in range(8):
        grf("-p", zoo.pid, "-o", f"{d}/{i}.folded", stub.target, zoo.exe)
        with open(f"{d}/{i}.folded", "rb") as f:
            now = f.read()
        assert len(now) > 1000
        if now == last:
            return
        # The runtime moves now and then (an m leaves its p); not between all runs.
        last, before = now, last
    x, y = before.decode().splitlines(), last.decode().splitlines()
    diff = [f"- {l}" for l in x if l not in y] + [f"+ {l}" for l in y if l not in x]
    raise Failure("no two of 8 runs are equal:\n" + "\n".join(diff[:20] or ["only in order"]))


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_max_depth(zoo, stub):
    """The list is 100,000 nodes long: cut at the given depth, with all its bytes."""
    for depth in 256, 10, 1:
        extra = [] if depth == 256 else ["--max-depth", depth]
        prof = profile(stub.target, zoo.exe, "-p", zoo.pid, "--fold=none", *extra)
        deepest = max(len(s.split(";")) for s, _ in prof.stacks)
        check(deepest == depth + 1, f"--max-depth {depth}: deepest path has {deepest} frames")
        check(all(s.endswith(";[deeper]") for s, _ in prof.stacks if s.count(";") == depth),
              "a path is longer than --max-depth and does not end in [deeper]")
        check(prof.total == prof.totals["live_bytes"], "bytes lost by --max-depth", depth)
        n = sum(b for s, b in prof.stacks if re.match(r"main\.zooList(;|$)", s))
        want = next(b for v, name, b, _ in promises(zoo.lines) if name == "zooList")
        check(n == want, f"zooList: {n}, not {want}")
