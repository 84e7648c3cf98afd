"""Stopped at any moment: a program that never sits still, stopped over and over."""

import os
import random
import signal
import time

import pytest

from exactness import *
from lib import *

STOPS = int(os.environ.get("GRF_STOPS", "90"))


@pytest.mark.timeout(120 + STOPS * 15)
@pytest.mark.needs("gdbserver")
def test_busy(stub):
    """Every stop exact, and the program's own checksums right afterwards."""
    rnd = random.Random(20240607)
    p = Prog([build("busy"), "-live", "4", "-noscan", "24"])
    taken = 0
    for i in range(STOPS):
        time.sleep(rnd.random() * 0.05)
        try:
            prof = profile(stub.target, p.exe, "--graph=no", "-p", p.pid)
            check_sums(prof.totals)
            check(prof.total == prof.totals["live_bytes"], "folded:", prof.total, prof.totals)
            p.wait_running(1)
            line = p.ask(signal.SIGUSR2, "checksums|BAD", 120)
            assert line.startswith("checksums ok")
        except AssertionError as e:
            raise Failure(f"stop {i + 1} of {STOPS}: {e}\n{p.lines[-3:]}")
        taken += prof.totals["stops"]
    assert taken >= STOPS


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "gcc")
def test_spin_cgo():
    spin(CGO_ENABLED="1", tag="-cgo")


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver", "gcc")
def test_spin_race():
    # Stops in the race detector's code are good: most are there.
    taken = spin(CGO_ENABLED="1", tag="-race", flags=["-race"])
    check(sum(taken) < 2 * SPIN_STOPS, "stops until one was good:", taken)
