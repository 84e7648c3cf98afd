"""Interrupted or killed at any moment: the target runs on."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from lib import *

SCALE = float(os.environ.get("GRF_TIMEOUT_SCALE", "1"))
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


MUCH = """package main

import (
	"fmt"
	"time"
)

type node struct {
	next *node
	name []byte
}

var nodes = map[int]*node{}

func deep(n int, wait chan int, keep *node) int {
	defer func() { keep.next = nil }()
	if n == 0 {
		fmt.Println("READY")
		for {
			time.Sleep(time.Second)
		}
	}
	return deep(n-1, wait, &node{keep, nil}) + 1
}

func main() {
	wait := make(chan int)
	for i := 0; i < 3000; i++ {
		go func() { n := &node{}; <-wait; nodes[-1] = n }()
	}
	for i := 0; i < 100000; i++ {
		nodes[i] = &node{nodes[i/2], make([]byte, 10)}
	}
	fmt.Println(deep(20000, wait, nil))
}
"""


def soon(argv, d, after, signals):
    """TERM after so many seconds: how long the program goes on, and whether it was still at work."""
    q = subprocess.Popen(argv, cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(after)
    q.send_signal(signals)
    start = time.monotonic()
    try:
        _, err = q.communicate(timeout=10 * SCALE)
    except subprocess.TimeoutExpired:
        q.kill()
        raise Failure(f"ignores {signals!r} {after:.2f} s after it began")
    check(q.returncode in (143, 0, -signals), q.returncode, err)
    if q.returncode == 143:
        check(os.listdir(d) == [], "files left:", os.listdir(d))
    return time.monotonic() - start, q.returncode == 143


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_term_soon(stub, say):
    """Within two seconds, wherever it is with a deep stack, many goroutines, defers and objects: a process, and its core."""
    p = Prog([go_source(MUCH)])
    core = f"{tmpdir()}/x.core"
    grf("-q", "--save-only", "-p", p.pid, "-o", core, stub.target, p.exe)
    d = tmpdir()
    whole = grf("-o", f"{tmpdir()}/x.json", core, p.exe).secs
    runs = [(core, []), (stub.target, ["-p", str(p.pid)])]
    slowest = hit = 0
    for i in range(1, 9):
        target, options = runs[i % 4 == 0]
        took, late = soon([GRF, "-q", "-o", "x.json", "-o", "x.folded", *options, target, p.exe], d, whole * i / 9, signal.SIGTERM)
        slowest = max(slowest, took)
        hit += late
        p.wait_running(1)
        for name in os.listdir(d):
            os.unlink(f"{d}/{name}")
    say(f"TERM: the end {slowest * 1000:.0f} ms later at most, {hit} of 8 before the run's own ({whole:.1f} s)")
    check(hit >= 4, hit)
    check(slowest < 2 * SCALE, slowest)
    p.stop()


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_exe_is_cut(ticking, stub):
    """EXE is made empty while the process stands still: an error that says so, nothing left, and the process runs on."""
    exe = shutil.copy(ticking.exe, f"{tmpdir()}/exe")
    d = tmpdir()
    q = subprocess.Popen([GRF, "-o", "p.folded", "-p", str(ticking.pid), stub.target, exe], cwd=d,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ticking.wait_stopped()
    os.truncate(exe, 0)
    _, err = q.communicate(timeout=30)
    check(q.returncode == 1 and f"{exe} was cut" in err, q.returncode, err)
    check(os.listdir(d) == [], os.listdir(d))
    assert_alive(ticking)


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
