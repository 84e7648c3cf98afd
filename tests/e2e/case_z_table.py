"""Says where `make check-releases` left its rows."""

import os

from lib import *
from case_k_releases import ALL, TABLE

if ALL:
    @case()
    def releases():
        with open(TABLE) as f:
            n = len(f.readlines())
        print(f"      {n} rows in {os.path.relpath(TABLE)}; python3 tests/tools/support.py makes docs/SUPPORT.md's table of it",
              flush=True)
