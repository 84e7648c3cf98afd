"""Names beyond goref's: generic instances, inlined functions' locals, spilled slots, closures."""

import os

from lib import *
from case_m_binaries import exact

RELEASES = os.environ.get("GRF_RELEASES", f"1.21.13 {GO_VERSION}").split()


def names(version):
    def run():
        try:
            go(version)
        except Skip as e:
            raise Skip(f"no Go {version}: {e}")
        p = Prog([build("names", version)])
        exact(p, p.exe)
    run.__name__ = f"releases_names_go{version}"
    case(timeout=120, needs=["gdbserver"])(run)


for v in RELEASES:
    if not v.startswith("1.17."):
        names(v)
