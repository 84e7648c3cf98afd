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
