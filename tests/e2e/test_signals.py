"""Interrupted or killed at any moment: the target runs on."""

import os
import random
import signal
import subprocess
import time

import pytest

from lib import *

KILLS = int(os.environ.get("GRF_KILLS", "50"))


def start(p, target, d, *args):
    return subprocess.Popen([GRF, "-o", f"{d}/p.folded", *map(str, args), target, p.exe], cwd=d,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def duration(p):
    with multi() as g:
        return grf("-p", p.pid, "-o", tmpdir() + "/x", g.target, p.exe).secs


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
def test_int_term_hup(stub):
    rnd = random.Random(5)
    p = start_zoo("-tick")
    whole = duration(p)
    hit = {}
    for i in range(30):
        sig, want = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)][i % 3]
        d = tmpdir()
        q = start(p, stub.target, d, "-p", p.pid)
        time.sleep(rnd.random() * whole)
        q.send_signal(sig)
        try:
            _, err = q.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            q.kill()
            raise Failure(f"hangs after {sig!r}")
        # Before it catches signals they kill it; after it is done it is done.
        check(q.returncode in (want, 0, -sig), f"exit {q.returncode} after {sig!r}: {err}")
        if q.returncode == want:
            hit[sig] = hit.get(sig, 0) + 1
            check(os.listdir(d) == [], "files left:", os.listdir(d))
        assert_alive(p)
    check(len(hit) == 3, "not every signal came in time:", hit)


def kill_one(p, target, delay, *args, wait_stop=False):
    d = tmpdir()
    q = start(p, target, d, *args)
    time.sleep(delay)
    q.kill()
    q.communicate()
    took = p.wait_running(1)
    left = os.listdir(d)
    check(left in ([], ["p.folded"]), "files left:", left)
    return took


@pytest.mark.timeout(60 + KILLS * 10)
@pytest.mark.needs("gdbserver")
def test_kill_9(stub):
    """At random moments against gdbserver --multi: running again within a second each time."""
    rnd = random.Random(6)
    p = start_zoo("-tick")
    whole = duration(p)
    slowest = 0
    for i in range(KILLS):
        try:
            slowest = max(slowest, kill_one(p, stub.target, rnd.random() * whole, "-p", p.pid))
            assert_alive(p)
        except AssertionError as e:
            raise Failure(f"kill {i + 1} of {KILLS}: {e}")


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
def test_kill_9_attached_before():
    """The same when gdbserver --attach had stopped it already."""
    rnd = random.Random(7)
    p = start_zoo("-tick")
    whole = duration(p)
    for i in range(10):
        with attach(p.pid, once=False) as g:
            p.wait_stopped()
            # From the moment it has connected; before that nobody could know.
            kill_one(p, g.target, 0.1 + rnd.random() * whole)
            assert_alive(p)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_out_of_memory(ticking):
    """We are killed first; not what holds the process, nor who would let it go."""
    q = start(ticking, f"| exec gdbserver --once - --attach {ticking.pid}", tmpdir(), "-v")
    ticking.wait_stopped()
    time.sleep(0.05)
    own = subprocess.run(["cat", "/proc/self/oom_score_adj"], stdout=subprocess.PIPE, text=True).stdout
    seen = {}
    for pid in subprocess.run(["pgrep", "-P", str(q.pid)], stdout=subprocess.PIPE, text=True).stdout.split() + [str(q.pid)]:
        with open(f"/proc/{pid}/comm") as c, open(f"/proc/{pid}/oom_score_adj") as f:
            seen[c.read().strip()] = f.read()
    out, err = q.communicate(timeout=30)
    check(seen == {os.path.basename(GRF)[:15]: "1000\n", "grf-rsp-guard": own, "gdbserver": own}, seen, err)
    check(b"oom_score_adj" in out, out)
    assert_alive(ticking)
