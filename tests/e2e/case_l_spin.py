"""Goroutines that run, stopped wherever they are: in Go, in C, in Go called from C, in the race detector's code."""

import os
import random
import re
import time

from lib import *

STOPS = int(os.environ.get("GRF_SPIN_STOPS", "15"))


def spin(version=GO_VERSION, stops=STOPS, **kw):
    """Every stop exact, every payload in its frame."""
    rnd = random.Random(26)
    p = Prog([build("spin", version, **kw)])
    proms = promises(p.lines)
    check(len(proms) >= 3, p.lines)
    taken = []
    with multi() as g:
        for i in range(stops):
            time.sleep(rnd.random() * 0.02)
            prof = profile(g.target, p.exe, "-p", p.pid, "-v")
            taken.append(prof.totals["stops"])
            try:
                check_sums(prof.totals)
                check(prof.total == prof.totals["live_bytes"], "folded:", prof.total, prof.totals)
                # Payloads that the same function's argument holds share its path.
                want = sum(n for _, _, n, _ in proms)
                check(want <= prof.total < want + 40 * PAGE, f"{prof.total} bytes live, of {want}")
                held = [n for s, n in prof.stacks if re.match(r"main\.(spin\w*|dig|touch)\b", s)]
                check(want <= sum(held), f"{sum(held)} bytes are under their functions, not {want}")
            except Failure as e:
                raise Failure(f"stop {i + 1} of {stops}: {e}\n{prof.run}")
            p.wait_running(1)
    return taken


@case(timeout=180, needs=["gdbserver", "gcc"])
def cgo():
    spin(CGO_ENABLED="1", tag="-cgo")


@case(timeout=300, needs=["gdbserver", "gcc"])
def race():
    # Without a look at the stack of the race detector's code a stop in three is good, of few threads.
    taken = spin(CGO_ENABLED="1", tag="-race", flags=["-race"])
    check(sum(taken) < 5 * STOPS, "stops until one was good:", taken)
