"""Stubs other than gdbserver, and --until and --after on all of them."""

import os
import signal
import subprocess
import time

import pytest

from exactness import check_promises, judge, promises
from lib import *
from stubs import *


def judged(prof, p):
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    judge(prof, heap, check_promises(promises(p.lines), prof.stacks), 0.01)
    return prof


@pytest.mark.timeout(180)
@pytest.mark.needs("lldb-server")
def test_lldb_server(zoo):
    s = LldbServer("--attach", str(zoo.pid))
    judged(profile(s.target, zoo.exe), zoo)
    assert_alive(zoo)


@pytest.mark.timeout(180)
@pytest.mark.needs("lldb-server")
def test_lldb_server_until(ticking):
    """Its breakpoints are written into the text, and that is said."""
    s = LldbServer("--attach", str(ticking.pid))
    prof = judged(profile(s.target, ticking.exe, "--until", "main.ticked:2"), ticking)
    check("written into the program's text" in prof.text, prof.text)
    assert_alive(ticking)


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
def test_simplest_stub(zoo):
    with attach(zoo.pid) as g:
        r = Simplest(g.port)
        judged(profile(r.target, zoo.exe, timeout=280), zoo)
        check(any(a.startswith(b"qSupported") for a in r.asked) and any(a.startswith(b"qfThreadInfo") for a in r.asked),
              "nothing was refused:", r.asked[:20])
    assert_alive(zoo)


class Started(Prog):
    """A program that gdbserver starts and holds before its first instruction; its lines are among gdbserver's."""

    def __init__(self, exe, *args):
        need("gdbserver")
        self.port = free_port()
        self.target = f"localhost:{self.port}"
        super().__init__(["gdbserver", "--once", self.target, exe, *args], ready="Listening on port")
        self.exe = exe


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_not_started_yet():
    exe = build("zoo")
    for e in (exe, build("zoo", flags=["-buildmode=pie"], tag="-pie"),
              build("zoo", flags=["-ldflags=-s -w"], tag="-stripped")):
        p = Started(e, "-tick")
        run = grf("-o", f"{tmpdir()}/p.folded", p.target, e, rc=1)
        check("not started its Go runtime yet" in run.err and "--until" in run.err and "--after" in run.err, run)
        runs_on(p)
        p.stop()


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_gdbserver_until():
    p = Started(build("zoo"), "-tick")
    prof = judged(profile(p.target, p.exe, "-v", "--until", "main.ticked:3"), p)
    check("written into the program's text" not in prof.text, prof.text)
    runs_on(p)
    n = [l for l in p.lines if l and l.startswith("tick")]
    check(n[0].startswith("tick 1 "), n[:3])


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_gdbserver_until_stripped():
    p = Started(build("zoo", flags=["-ldflags=-s -w"], tag="-stripped"), "-tick")
    prof = profile(p.target, p.exe, "--until", "main.ticked")
    judge(prof, int(p.wait_line(r"^heapalloc ").split()[1]))
    runs_on(p)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_gdbserver_until_again(ticking, stub):
    """Attached, where the program is in full swing: signals come meanwhile, and get there."""
    for _ in range(3):
        judged(profile(stub.target, ticking.exe, "-p", ticking.pid, "--until", "main.ticked"), ticking)
        assert_alive(ticking)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_gdbserver_after():
    p = Started(build("zoo"), "-tick")
    start = time.monotonic()
    judged(profile(p.target, p.exe, "--after", "5"), p)
    check(time.monotonic() - start > 5, "not 5 s")
    runs_on(p)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_until_unknown():
    p = Started(build("zoo"), "-tick")
    run = grf("--until", "main.nosuch", "-o", f"{tmpdir()}/p.folded", p.target, p.exe, rc=1)
    check("has no function main.nosuch" in run.err, run)
    runs_on(p)
    for bad in "main.x:0", "main.x:", ":3":
        grf("--until", bad, p.target, p.exe, rc=2)
    grf("--until", "main.x", "--after", "1", p.target, p.exe, rc=2)


def interrupted(p, sig):
    d = tmpdir()
    g = subprocess.Popen([GRF, "--until", "main.ticked:40", "-o", f"{d}/p.folded", p.target, p.exe], cwd=d,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    p.wait_line(r"^tick 3 ", 60)
    g.send_signal(sig)
    out, err = g.communicate(timeout=20)
    check(g.returncode != 0 and not os.listdir(d), g.returncode, out, err, os.listdir(d))
    # Past the place where the breakpoint was: it is gone, or its trap would end the program.
    line = p.wait_line(r"^tick (4[3-9]|5\d) ", 60)
    assert "ok" in line
    return err


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_until_interrupted():
    for sig in signal.SIGINT, signal.SIGKILL:
        p = Started(build("zoo"), "-tick")
        interrupted(p, sig)
        p.stop()


@pytest.mark.timeout(180)
def test_qemu_until_interrupted():
    """It cannot be stopped: a process of ours waits, and takes the breakpoint away."""
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    for sig in signal.SIGINT, signal.SIGKILL:
        p = QemuUser("arm64", exe, "-tick")
        err = interrupted(p, sig)
        check(sig == signal.SIGKILL or "takes it away" in err, err)
        p.stop()


@pytest.mark.timeout(120)
def test_qemu_unix_socket():
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    p = QemuUser("arm64", exe, "-tick", unix=os.path.join(tmpdir(), "s"))
    judged(profile(p.target, exe, "--until", "main.ticked"), p)
    runs_on(p)


@pytest.mark.timeout(120)
def test_qemu_not_started_yet():
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    for args, word in ([], "not started its Go runtime yet"), (["--after", "1"], "cannot stop a program that runs"):
        p = QemuUser("arm64", exe, "-tick")
        run = grf(*args, "-o", f"{tmpdir()}/p.folded", p.target, exe, rc=1)
        check(word in run.err and "--until" in run.err, run)
        runs_on(p)
        p.stop()


@pytest.mark.timeout(120)
def test_qemu_moving():
    """Another thread allocates while the one that is held is read: that is noticed, and said."""
    exe = build("moving", tag="-arm64", GOARCH="arm64")
    for procs, said in ("2", True), ("1", False):
        p = QemuUser("arm64", exe, env=dict(STEADY, GOMAXPROCS=procs))
        prof = profile(p.target, exe, "--until", "main.ticked:5")
        check(("the heap moved while it was read" in prof.text) == said, f"GOMAXPROCS={procs}", prof.text)
        p.stop()
