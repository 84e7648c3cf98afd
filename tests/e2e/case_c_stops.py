"""Stopped at any moment: a program that never sits still, stopped over and over."""

import os
import random
import signal
import time

from lib import *

STOPS = int(os.environ.get("GRF_STOPS", "200"))


@case(timeout=120 + STOPS * 15, needs=["gdbserver"])
def busy():
    """Every stop exact, and the program's own checksums right afterwards."""
    rnd = random.Random(20240607)
    p = Prog([build("busy"), "-live", "4", "-noscan", "24"])
    taken = 0
    with multi() as g:
        for i in range(STOPS):
            time.sleep(rnd.random() * 0.05)
            try:
                prof = profile(g.target, p.exe, "-p", p.pid)
                check_sums(prof.totals)
                check(prof.total == prof.totals["live_bytes"], "folded:", prof.total, prof.totals)
                p.wait_running(1)
                line = p.ask(signal.SIGUSR2, "checksums|BAD", 120)
                check(line.startswith("checksums ok"), line)
            except Failure as e:
                raise Failure(f"stop {i + 1} of {STOPS}: {e}\n{p.lines[-3:]}")
            taken += prof.totals["stops"]
    check(taken >= STOPS, taken)
