"""Stopped at any moment: a program that never sits still, stopped over and over."""

import os
import random
import re
import signal
import time

from lib import *

STOPS = int(os.environ.get("GRF_STOPS", "200"))
SPIN_STOPS = int(os.environ.get("GRF_SPIN_STOPS", "20"))


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


def judge_spin(prof, proms):
    """Of goroutines that never wait: every payload is in its frame."""
    check_sums(prof.totals)
    check(prof.total == prof.totals["live_bytes"], "folded:", prof.total, prof.totals)
    # Payloads that the same function's argument holds share its path.
    want = sum(n for _, _, n, _ in proms)
    check(want and want <= prof.total < want + 40 * PAGE, f"{prof.total} bytes live, of {want}:\n{prof.text}")
    held = sum(n for s, n in prof.stacks if re.search(r"(^|;)main\.(spin\w*|dig|touch)\b", s))
    check(want <= held, f"{held} bytes are under their functions, not {want}:\n{prof.text}")


def spin(version=GO_VERSION, stops=SPIN_STOPS, **kw):
    """Goroutines that run, stopped wherever they are: in Go, in C, in Go called from C, in the race detector's code.  Every
    stop exact, every payload in its frame."""
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
                judge_spin(prof, proms)
            except Failure as e:
                raise Failure(f"stop {i + 1} of {stops}: {e}\n{prof.run}")
            p.wait_running(1)
    return taken


@case(timeout=180, needs=["gdbserver", "gcc"])
def spin_cgo():
    spin(CGO_ENABLED="1", tag="-cgo")


@case(timeout=300, needs=["gdbserver", "gcc"])
def spin_race():
    # Stops in the race detector's code are good: most are there.
    taken = spin(CGO_ENABLED="1", tag="-race", flags=["-race"])
    check(sum(taken) < 2 * SPIN_STOPS, "stops until one was good:", taken)
