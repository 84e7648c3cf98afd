"""Exactness on other Go releases and builds: one cell each.

GRF_RELEASES names the releases ("1.17.13 1.27.3"); `make check-releases` sets all of them, and then each cell
leaves a row in $OBJDIR/releases.tsv (tests/tools/support.py makes docs/SUPPORT.md's table of it).
"""

import os
import sys

from lib import *
from case_b_exact import exact, judge
from case_c_stops import spin

ALL = "GRF_RELEASES" in os.environ
RELEASES = os.environ.get("GRF_RELEASES", "1.22.12 1.24.10").split()
TABLE = os.path.join(OBJDIR, "releases.tsv")

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
# `make check` has these.
FEW = {("1.26", "arenas"), ("1.26", "noopt")}


def leave(version, build, heap, t, *more):
    if ALL:
        with open(TABLE, "a") as f:
            print(version, build, t["live_bytes"], t["allocated_bytes"], heap, *more, sep="\t", file=f)


def row(version, build, heap, held, promised, **t):
    unnamed = 100 * t["unnamed_bytes"] / t["live_bytes"]
    print(f"      go{version} {build}: live {t['live_bytes']} of {t['allocated_bytes']} bytes (HeapAlloc {heap}), "
          f"{held}/{promised} payloads, unnamed {unnamed:.3f} %", flush=True)
    leave(version, build, heap, t, held, promised, f"{unnamed:.3f}")


def add(version, name="default", flags=(), env={}):
    def run():
        try:
            go(version)
        except Failure as e:
            raise Skip(f"no Go {version}: {e}")
        if "GOAMD64" in env:
            with open("/proc/cpuinfo") as f:
                if not {"avx2", "bmi2", "fma", "movbe"} <= set(f.read().split()):
                    raise Skip("this CPU has no x86-64-v3")
        tag = "" if name == "default" else "-" + name
        exact(version=version, tag=tag, flags=flags, say=lambda **t: row(version, name, **t), **env)
    run.__name__ = f"go{version}" + ("" if name == "default" else "-" + name)
    case(timeout=300, needs=["gdbserver", *(["gcc"] if "CGO_ENABLED" in env else [])])(run)


def stripped(version, tag, flags):
    """Without symbols and DWARF: the same total; variables have no names."""
    def run():
        p = zoo(version=version, tag=tag, flags=["-ldflags=-s -w", *flags])
        heap = int(p.wait_line(r"^heapalloc ").split()[1])
        with multi() as g:
            prof = profile(g.target, p.exe, "-p", p.pid)
        t = prof.totals
        judge(prof, heap)
        # Function names come from pclntab.
        check(any(s.startswith("main.gorDeep") for s, _ in prof.stacks), "no goroutine has a name")
        print(f"      go{version}{tag}: live {t['live_bytes']} of {t['allocated_bytes']}", flush=True)
        assert_alive(p)
        leave(version, tag[1:], heap, t, "-", "-", "-")
    run.__name__ = f"go{version}{tag}"
    case(timeout=300, needs=["gdbserver"])(run)


def spinning(version, tag, flags):
    def run():
        taken = spin(version=version, tag=tag, flags=flags, **CGO)
        print(f"      go{version}{tag}: {len(taken)} stops of spin, exact after {sum(taken)}", flush=True)
    run.__name__ = f"go{version}{tag}-spin"
    case(timeout=300, needs=["gdbserver", "gcc"])(run)


def minor(version):
    return ".".join(version.split(".")[:2])


if ALL and "--list" not in sys.argv and os.path.exists(TABLE):
    os.remove(TABLE)
for v in RELEASES:
    add(v)
for name, minors, flags, env in BUILDS:
    for v in RELEASES if ALL else [GO_VERSION]:
        if (minor(v) in minors.split() if ALL else (minor(v), name) in FEW):
            add(v, name, flags, env)
for v in RELEASES if ALL else [GO_VERSION]:
    stripped(v, "-stripped", [])
    stripped(v, "-stripped-pie", ["-buildmode=pie"])
for v in RELEASES if ALL else []:
    if minor(v) in "1.17 1.19 1.21 1.24 1.27".split():
        spinning(v, "-cgo", [])
        spinning(v, "-race", ["-race"])
