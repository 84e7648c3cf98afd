"""Stubs other than gdbserver, and --until and --after on all of them."""

import os
import signal
import subprocess
import time

from lib import *
from stubs import *
from case_b_exact import judge


def judged(prof, p):
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    judge(prof, heap, check_promises(promises(p.lines), prof.stacks), 0.01)
    return prof


@case(timeout=180, needs=["lldb-server"])
def lldb_server():
    p = zoo()
    s = LldbServer("--attach", str(p.pid))
    judged(profile(s.target, p.exe), p)
    assert_alive(p)


@case(timeout=180, needs=["lldb-server"])
def lldb_server_until():
    """Its breakpoints are written into the text, and that is said."""
    p = zoo("-tick")
    s = LldbServer("--attach", str(p.pid))
    prof = judged(profile(s.target, p.exe, "--until", "main.ticked:2"), p)
    check("written into the program's text" in prof.text, prof.text)
    assert_alive(p)


@case(timeout=300, needs=["gdbserver"])
def simplest_stub():
    p = zoo()
    with attach(p.pid) as g:
        r = Simplest(g.port)
        judged(profile(r.target, p.exe, timeout=280), p)
        check(any(a.startswith(b"qSupported") for a in r.asked) and any(a.startswith(b"qfThreadInfo") for a in r.asked),
              "nothing was refused:", r.asked[:20])
    assert_alive(p)


class Started(Prog):
    """A program that gdbserver starts and holds before its first instruction; its lines are among gdbserver's."""

    def __init__(self, exe, *args):
        need("gdbserver")
        self.port = free_port()
        self.target = f"localhost:{self.port}"
        super().__init__(["gdbserver", "--once", self.target, exe, *args], ready="Listening on port")
        self.exe = exe


@case(timeout=120, needs=["gdbserver"])
def not_started_yet():
    exe = build("zoo")
    for e in (exe, build("zoo", flags=["-buildmode=pie"], tag="-pie"),
              build("zoo", flags=["-ldflags=-s -w"], tag="-stripped")):
        p = Started(e, "-tick")
        run = grf("-o", f"{tmpdir()}/p.folded", p.target, e, rc=1)
        check("not started its Go runtime yet" in run.err and "--until" in run.err and "--after" in run.err, run)
        runs_on(p)
        p.stop()


@case(timeout=180, needs=["gdbserver"])
def gdbserver_until():
    p = Started(build("zoo"), "-tick")
    prof = judged(profile(p.target, p.exe, "-v", "--until", "main.ticked:3"), p)
    check("written into the program's text" not in prof.text, prof.text)
    runs_on(p)
    n = [l for l in p.lines if l and l.startswith("tick")]
    check(n[0].startswith("tick 1 "), n[:3])


@case(timeout=180, needs=["gdbserver"])
def gdbserver_until_stripped():
    p = Started(build("zoo", flags=["-ldflags=-s -w"], tag="-stripped"), "-tick")
    prof = profile(p.target, p.exe, "--until", "main.ticked")
    judge(prof, int(p.wait_line(r"^heapalloc ").split()[1]))
    runs_on(p)


@case(timeout=180, needs=["gdbserver"])
def gdbserver_until_again():
    """Attached, where the program is in full swing: signals come meanwhile, and get there."""
    p = zoo("-tick")
    with multi() as g:
        for _ in range(3):
            judged(profile(g.target, p.exe, "-p", p.pid, "--until", "main.ticked"), p)
            assert_alive(p)


@case(timeout=180, needs=["gdbserver"])
def gdbserver_after():
    p = Started(build("zoo"), "-tick")
    start = time.monotonic()
    judged(profile(p.target, p.exe, "--after", "5"), p)
    check(time.monotonic() - start > 5, "not 5 s")
    runs_on(p)


@case(timeout=120, needs=["gdbserver"])
def until_unknown():
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
    check("ok" in line, line)
    return err


@case(timeout=180, needs=["gdbserver"])
def until_interrupted():
    for sig in signal.SIGINT, signal.SIGKILL:
        p = Started(build("zoo"), "-tick")
        interrupted(p, sig)
        p.stop()


@case(timeout=180)
def qemu_until_interrupted():
    """It cannot be stopped: a process of ours waits, and takes the breakpoint away."""
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    for sig in signal.SIGINT, signal.SIGKILL:
        p = QemuUser("arm64", exe, "-tick")
        err = interrupted(p, sig)
        check(sig == signal.SIGKILL or "takes it away" in err, err)
        p.stop()


@case(timeout=120)
def qemu_unix_socket():
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    p = QemuUser("arm64", exe, "-tick", unix=os.path.join(tmpdir(), "s"))
    judged(profile(p.target, exe, "--until", "main.ticked"), p)
    runs_on(p)


@case(timeout=120)
def qemu_not_started_yet():
    exe = build("zoo", tag="-arm64", GOARCH="arm64")
    for args, word in ([], "not started its Go runtime yet"), (["--after", "1"], "cannot stop a program that runs"):
        p = QemuUser("arm64", exe, "-tick")
        run = grf(*args, "-o", f"{tmpdir()}/p.folded", p.target, exe, rc=1)
        check(word in run.err and "--until" in run.err, run)
        runs_on(p)
        p.stop()


@case(timeout=120)
def qemu_moving():
    """Another thread allocates while the one that is held is read: that is noticed, and said."""
    exe = build("moving", tag="-arm64", GOARCH="arm64")
    for procs, said in ("2", True), ("1", False):
        p = QemuUser("arm64", exe, env=dict(STEADY, GOMAXPROCS=procs))
        prof = profile(p.target, exe, "--until", "main.ticked:5")
        check(("the heap moved while it was read" in prof.text) == said, f"GOMAXPROCS={procs}", prof.text)
        p.stop()
