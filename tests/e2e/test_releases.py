"""Exactness on other Go releases and builds: one cell each, and each leaves a row of releases.tsv.

`make check-releases` runs all of them, `make check` a sample.  GRF_RELEASES ("1.17.13 1.27.3") names other releases.
"""

import pytest

from exactness import *
from lib import *
from matrix import cell, releases

# `make check` has these releases, and of the other builds those.
SAMPLE = ["1.22.12", "1.24.10"]
FEW = {("1.26", "arenas"), ("1.26", "noopt")}

CGO = {"CGO_ENABLED": "1"}

# What is built on which releases: the newest that has it, and older ones where the mechanism is another.
BUILDS = [
    ("pie", "1.17 1.27", ["-buildmode=pie"], {}),
    ("cgo", "1.17 1.20 1.21 1.22 1.27", ["-ldflags=-linkmode=external"], CGO),
    # The linker does not take foreign C: runtime/cgo alone.
    ("cgo-internal", "1.17 1.27", ["-ldflags=-linkmode=internal", "-tags=noc"], CGO),
    ("cgo-pie", "1.17 1.27", ["-buildmode=pie"], CGO),
    ("race", "1.17 1.21 1.24 1.27", ["-race"], CGO),
    ("noopt", "1.17 1.22 1.24 1.27", ["-gcflags=all=-N -l"], {}),
    ("GOAMD64=v3", "1.18 1.27", [], {"GOAMD64": "v3"}),
]
# internal/goexperiment: all that change the heap, maps, stacks, locks, what traces or the debug information.
EXPERIMENTS = {
    "arenas": "1.20 1.21 1.22 1.24 1.26 1.27",
    "noallocheaders": "1.22",
    "noexectracer2": "1.22",
    "noallocheaders,noexectracer2": "1.22",
    "noallocheaders,arenas": "1.22",
    "noswissmap": "1.24 1.25",
    "nospinbitmutex": "1.24",
    "nospinbitmutex,noswissmap": "1.24",
    "nosynchashtriemap": "1.24 1.25",
    "synctest": "1.24 1.25",
    "greenteagc": "1.25",
    "greenteagc,noswissmap": "1.25",
    "nogreenteagc": "1.26 1.27",
    "nogreenteagc,arenas": "1.27",
    "norandomizedheapbase64": "1.26 1.27",
    "runtimefreegc": "1.26 1.27",
    "sizespecializedmalloc": "1.26",
    "nosizespecializedmalloc": "1.27",
    "goroutineleakprofile": "1.26",
    "runtimesecret": "1.26 1.27",
    "simd": "1.26 1.27",
    "mapsplitgroup": "1.27",
    "nodwarf5": "1.25 1.27",
    "newinliner": "1.22 1.27",
    "heapminimum512kib": "1.27",
    "preemptibleloops": "1.27",
    "cgocheck2": "1.21 1.27",
    "nounified": "1.20",
    "boringcrypto": "1.27",
}
for exps, minors in EXPERIMENTS.items():
    BUILDS.append((exps, minors, [], {"GOEXPERIMENT": exps, **(CGO if "boring" in exps else {})}))


def cells():
    """(version, name of the build, flags, environment) of each cell."""
    for v in sorted({*RELEASES, *SAMPLE}, key=lambda v: [int(n) for n in v.split(".")]):
        yield cell(v, "default", [], {}, id=f"go{v}", mark="releases", every=v in RELEASES, sample=v in SAMPLE)
    for name, minors, flags, env in BUILDS:
        for v in dict.fromkeys([*RELEASES, GO_VERSION]):
            yield cell(v, name, flags, env, id=f"go{v}-{name}", mark="releases",
                       every=v in RELEASES and minor(v) in minors.split(),
                       sample=v == GO_VERSION and (minor(v), name) in FEW,
                       more=[pytest.mark.needs("gcc")] if "CGO_ENABLED" in env else [])


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version, name, flags, env", filter(None, cells()))
def test_build(version, name, flags, env, release_row):
    if "GOAMD64" in env:
        with open("/proc/cpuinfo") as f:
            if not {"avx2", "bmi2", "fma", "movbe"} <= set(f.read().split()):
                pytest.skip("this CPU has no x86-64-v3")
    # Other tests have a -cgo of their own, which the linker makes as it likes.
    tag = {"default": "", "cgo": "-cgo-external"}.get(name, "-" + name)
    exact(version=version, tag=tag, flags=flags, say=lambda **t: release_row(version, name, **t), **env)


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("tag, flags", [("-stripped", []), ("-stripped-pie", ["-buildmode=pie"])], ids=["exe", "pie"])
@pytest.mark.parametrize("version", releases([GO_VERSION]))
def test_stripped(version, tag, flags, say, leave):
    """Without symbols and DWARF: the same total; variables have no names."""
    p = start_zoo(version=version, tag=tag, flags=["-ldflags=-s -w", *flags])
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    with multi() as g:
        prof = profile(g.target, p.exe, "-p", p.pid)
    t = prof.totals
    judge(prof, heap)
    # Function names come from pclntab.
    check(any(s.startswith("main.gorDeep") for s, _ in prof.stacks), "no goroutine has a name")
    say(f"go{version}{tag}: live {t['live_bytes']} of {t['allocated_bytes']}")
    assert_alive(p)
    leave("releases.tsv", version, tag[1:], t["live_bytes"], t["allocated_bytes"], heap, "-", "-", "-")


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver", "gcc")
@pytest.mark.parametrize("tag, flags", [("-cgo", []), ("-race", ["-race"])], ids=["cgo", "race"])
@pytest.mark.parametrize("version", releases([], only="1.17 1.19 1.21 1.24 1.27"))
def test_spin(version, tag, flags, say):
    taken = spin(version=version, tag=tag, flags=flags, **CGO)
    say(f"go{version}{tag}: {len(taken)} stops of spin, exact after {sum(taken)}")
