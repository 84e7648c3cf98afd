"""Exactness on other Go releases.

GRF_RELEASES names them ("1.17.13 1.27.3"); `make check-releases` sets all of them.  One line
each: release, build, total/live, unnamed share.
"""

import os

from lib import *
from case_b_exact import exact

RELEASES = os.environ.get("GRF_RELEASES", "1.22.12 1.24.10").split()


def add(version, tag="", unnamed=0.01, **kw):
    def run():
        try:
            go(version)
        except Failure as e:
            raise Skip(f"no Go {version}: {e}")
        t = exact(version=version, tag=tag, named=unnamed, **kw).totals
        print(f"      go{version}{tag}: live {t['live_bytes']} of {t['allocated_bytes']}, "
              f"unnamed {100 * t['unnamed_bytes'] / t['live_bytes']:.3f} %", flush=True)
    run.__name__ = f"go{version}{tag}"
    case(timeout=300, needs=["gdbserver"])(run)


for v in RELEASES:
    add(v)


def stripped(version, tag, flags):
    """Without symbols and DWARF: the same total; variables have no names."""
    def run():
        p = zoo(version=version, tag=tag, flags=["-ldflags=-s -w", *flags])
        heap = int(p.wait_line(r"^heapalloc ").split()[1])
        with multi() as g:
            prof = profile(g.target, p.exe, "-p", p.pid)
        t = prof.totals
        check_sums(t)
        # 1.23 and 1.24 drop what the unique package's map alone holds some time after the collection.
        check(within(prof.total, heap, 0.002 if version.startswith(("1.23.", "1.24.")) else 0.001),
              f"live {prof.total}, HeapAlloc {heap}")
        # Function names come from pclntab.
        check(any(s.startswith("main.gorDeep") for s, _ in prof.stacks), "no goroutine has a name")
        print(f"      go{version}{tag}: live {t['live_bytes']} of {t['allocated_bytes']}", flush=True)
        assert_alive(p)
    run.__name__ = f"go{version}{tag}"
    case(timeout=300, needs=["gdbserver"])(run)


for v in RELEASES if "GRF_RELEASES" in os.environ else [GO_VERSION]:
    stripped(v, "-stripped", [])
    stripped(v, "-stripped-pie", ["-buildmode=pie"])
