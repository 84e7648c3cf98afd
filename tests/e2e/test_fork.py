"""--fork: the program never notices, whatever happens to us; where it cannot be safe it is refused."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from exactness import check_promises, check_sums, promises
from lib import *

FORKS = int(os.environ.get("GRF_FORKS", "30"))
KILLS = int(os.environ.get("GRF_KILLS", "50"))
# Where no cgroups are to be seen nobody knows what memory is left, and --fork is refused.
FORK = "--fork" if os.path.isdir("/sys/fs/cgroup") and os.listdir("/sys/fs/cgroup") else "--fork=force"
UNSHARE = ["unshare", "-fp", "--kill-child", "--mount-proc"]


def numbers(line):
    return {k: int(v) for k, v in re.findall(r"(\w+)=(-?\d+)", line)}


def children(pid):
    """(pid, state) of every child, the dead ones, too."""
    out = []
    for p in os.listdir("/proc"):
        if p.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{p}/stat") as f:
                    w = f.read().rpartition(")")[2].split()
                if int(w[1]) == pid:
                    out.append((int(p), w[0]))
    return out


def copies(exe):
    """Every process that runs exe."""
    out = set()
    for p in os.listdir("/proc"):
        if p.isdigit():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{p}/exe") == exe:
                    out.add(int(p))
    return out


class Server:
    """The server under load, and what it was like before."""

    def __init__(self, *args, wrapper=(), forks=True):
        """wrapper: a command that runs it; forks: as its child.  The executable is its own: copies of it are counted."""
        self.exe = os.path.realpath(shutil.copy(build("server"), tmpdir()))
        self.prog = Prog([*wrapper, self.exe, *args], ready="^READY ")
        addr = next(l for l in self.prog.lines if l.startswith("READY ")).split()[1]
        self.load = Prog([self.exe, "-load", addr])
        self.pid = self.prog.pid
        if wrapper and forks:
            self.pid = children(self.prog.pid)[0][0]
        time.sleep(1)
        self.before = self.state()
        self.copies = copies(self.exe)

    def state(self):
        start = len(self.prog.lines)
        os.kill(self.pid, signal.SIGUSR1)
        return numbers(self.prog.wait_line("^state|^BAD", 10, start))

    def settled(self):
        """No zombie and no child but its own short ones, no copy of it anywhere."""
        for _ in range(300):
            left = copies(self.exe) - self.copies
            mine = [c for c in children(self.pid) if c[1] == "Z"]
            if not left and not mine:
                return
            time.sleep(0.02)
        raise Failure(f"left: copies {left}, zombies {mine}")

    def check(self):
        bad = [l for l in self.prog.lines if l and l.startswith("BAD")]
        assert not bad
        check(self.prog.proc.poll() is None, "it ended:", self.prog.lines[-5:])
        self.settled()
        # A round is 20 ms of arithmetic, if nobody else wants the processors.
        for _ in range(30):
            now = self.state()
            if now["rounds"] > self.before["rounds"]:
                break
            time.sleep(0.1)
        check(now["rounds"] > self.before["rounds"], "it does not go on:", now)
        check(now["sigchlds"] in (now["children"], now["children"] - 1), "signals:", now)
        line = self.load.ask(signal.SIGUSR1, "^load")
        got = numbers(line)
        check(got["failed"] == 0 and got["ok"] > 0, line, [l for l in self.load.lines if "FAILED" in (l or "")][:3])
        return now, got


@pytest.mark.timeout(120 + FORKS * 10)
@pytest.mark.needs("gdbserver")
def test_server(stub):
    """Under load: no request fails, nothing is left, the profile is exact each time."""
    s = Server()
    slowest = asked = 0
    for i in range(FORKS):
        try:
            prof = profile(stub.target, s.exe, "-p", s.pid, FORK)
            check_sums(prof.totals)
            _, got = s.check()
        except AssertionError as e:
            raise Failure(f"fork {i + 1} of {FORKS}: {e}\n{s.prog.lines[-8:]}")
        slowest, asked = max(slowest, got["slowest"]), got["ok"]
    now = s.state()
    # Threads come and go with what the program does; descriptors with its connections.
    check(abs(now["fds"] - s.before["fds"]) <= 12, "descriptors:", s.before, now)
    check(now["threads"] <= s.before["threads"] + 6, "threads:", s.before, now)
    assert asked > FORKS


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_attached_before():
    s = Server()
    for exe in (s.exe, None):
        with attach(s.pid, once=False) as g:
            prof = profile(g.target, exe, FORK)
            check_sums(prof.totals)
            g.proc.wait(5)
        s.check()


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_holds_nothing(stub):
    """The copy keeps no connection open, and is the first to be killed when memory is short."""
    s = Server("-heap", "96")
    q = subprocess.Popen([GRF, "-p", str(s.pid), FORK, "-o", tmpdir() + "/x", stub.target, s.exe],
                         stdout=subprocess.DEVNULL)
    seen = []
    while q.poll() is None:
        for pid in copies(s.exe) - s.copies:
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/oom_score_adj") as f:
                    adj = f.read().strip()
                seen.append((adj, len(os.listdir(f"/proc/{pid}/fd"))))
        time.sleep(0.02)
    check(q.returncode == 0, "exit", q.returncode)
    check(("1000", 0) in seen and seen.index(("1000", 0)) < len(seen) / 2, "the copy was:", seen[:10], len(seen))
    s.check()


def regs(pid):
    """What the kernel says of every thread that waits: the call, its arguments, sp and pc."""
    out = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{tid}/syscall") as f:
                w = f.read().split()
            if w[0] == "281":  # epoll_pwait: the rest of its time
                w[4] = "-"
            out[tid] = w
    return out


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_quiet(stub):
    """A process that waits is as it was, to the register, and its profile is the one that streaming gives."""
    def paths(prof):
        """Which thread had which P last is the scheduler's own, and being stopped changes it."""
        mine = sorted((s, n) for s, n in prof.stacks if not s.startswith("runtime.all"))
        return mine, prof.total

    p = start_zoo()
    time.sleep(0.5)
    # Some times: a timer of the runtime may have come and gone.
    for _ in range(5):
        stream = profile(stub.target, p.exe, "-p", p.pid)
        time.sleep(0.2)
        before = regs(p.pid)
        fork = profile(stub.target, p.exe, "-p", p.pid, FORK)
        same = paths(fork) == paths(stream)
        time.sleep(0.2)
        after = regs(p.pid)
        if same and before == after:
            break
    check(same, "not the same:", set(fork.stacks) ^ set(stream.stacks))
    check(before == after, "registers:", before, after)
    check(check_promises(promises(p.lines), fork.stacks) == [], "promises")
    assert_alive(p)
    check(children(p.pid) == [], "children:", children(p.pid))


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_init_of_a_namespace(stub):
    """What nobody else would reap."""
    try:
        subprocess.run([*UNSHARE, "true"], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no pid namespaces here")
    # Without --kill-child it would outlive unshare.
    s = Server(wrapper=UNSHARE)
    with open(f"/proc/{s.pid}/status") as f:
        check(re.search(r"NSpid:\s+\d+\s+1\n", f.read()), "it is not init")
    for i in range(10):
        prof = profile(stub.target, s.exe, "-p", s.pid, FORK)
        check_sums(prof.totals)
        try:
            s.check()
        except AssertionError as e:
            raise Failure(f"fork {i + 1}: {e}")


SUBREAPER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_child_subreaper(stub):
    """The snapshot is left to it, and must be ended unseen: a second, short stop."""
    s = Server(wrapper=(sys.executable, "-c", SUBREAPER), forks=False)
    for i in range(5):
        check_sums(profile(stub.target, s.exe, "-p", s.pid, FORK).totals)
        s.check()


def kill_9_of(s, n, seed):
    rnd = random.Random(seed)
    with multi() as g:
        d = tmpdir()
        argv = [GRF, "-p", str(s.pid), FORK, "-o", f"{d}/p.folded", g.target, s.exe]
        start = time.monotonic()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        whole = time.monotonic() - start
        for i in range(n):
            q = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # The steps are few milliseconds near the start: half of the time aim there.
            time.sleep(rnd.random() * (whole if i % 2 else min(whole, 0.08)))
            q.kill()
            q.wait()
            try:
                wait_until_let_go(s.pid)
                s.check()
            except AssertionError as e:
                raise Failure(f"kill {i + 1} of {n}: {e}\n{g.log[-5:]}")


def wait_until_let_go(pid):
    deadline = time.monotonic() + 10
    while True:
        with open(f"/proc/{pid}/status") as f:
            if re.search(r"TracerPid:\s+0\n", f.read()):
                return
        check(time.monotonic() < deadline, "still held")
        time.sleep(0.005)


@pytest.mark.timeout(120 + KILLS * 15)
@pytest.mark.needs("gdbserver")
def test_kill_9():
    kill_9_of(Server(), KILLS, 11)


@pytest.mark.timeout(120 + KILLS * 15)
@pytest.mark.needs("gdbserver", "unshare")
def test_kill_9_init():
    if subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no pid namespaces here")
    kill_9_of(Server(wrapper=UNSHARE), max(KILLS // 2, 1), 12)


class Breaker(Relay):
    """A relay that kills grf-rsp when the Nth packet that matters passes, before or after the stub has it."""

    def __init__(self, port, at, answer):
        super().__init__(port, self.see)
        self.at, self.answer, self.n, self.victim, self.done, self.log = at, answer, 0, None, False, []

    def see(self, data, up):
        if up != self.answer and re.search(rb"\$(vCont;|vKill;|G|D;|vAttach;|M|vFile:open)", data) if up else self.answer:
            self.n += 1
            self.log.append(data[:60])
            if self.n == self.at and self.victim:
                self.victim.kill()
                self.done = True
        return data


@pytest.mark.timeout(600)
@pytest.mark.needs("gdbserver")
def test_kill_9_each_step(stub):
    """One after the other: we die as each of the packets of a fork goes out, and as its answer comes."""
    s = Server()
    steps = 0
    for answer in (False, True):
        # Answers: not the handshake's, and of the list of threads every other will do.
        for at in range(60, 200, 3) if answer else range(1, 200):
            r = Breaker(stub.port, at, answer)
            d = tmpdir()
            q = subprocess.Popen([GRF, "-p", str(s.pid), FORK, "-o", f"{d}/p.folded", r.target, s.exe],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            r.victim = q
            q.wait(30)
            wait_until_let_go(s.pid)
            try:
                s.check()
            except AssertionError as e:
                raise Failure(f"{'answer' if answer else 'packet'} {at}: {e}\n{s.prog.lines[-4:]}")
            r.close()
            if not r.done:
                break
            steps += 1
            if answer and at > 130:
                break
    assert steps > 20


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver", "gcc")
def test_refused():
    d = tmpdir()
    with open(f"{d}/filter.c", "w") as f:
        f.write(r"""
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	struct sock_filter f[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog p = { 1, f };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p))
		return 9;
	execv(argv[1], argv + 1);
	return 8;
}
""")
    subprocess.run(["gcc", "-o", f"{d}/filter", f"{d}/filter.c"], check=True)
    p = Prog([f"{d}/filter", build("zoo"), "-tick"])
    exe = build("zoo")
    with multi() as g:
        run = grf("-p", p.pid, "--fork", "-o", f"{d}/x", g.target, exe, rc=1)
        check("seccomp" in run.err and not os.path.exists(f"{d}/x"), run)
        p.wait_running(1)
        auto = profile(g.target, exe, "-p", p.pid, "--fork=auto")
        check_sums(auto.totals)
        check("seccomp" in auto.run.out and "stopped" in auto.run.out, auto.run)
    # A stub that reports no forks.
    q = start_zoo("-tick")
    with multi() as g:
        r = Relay(g.port, lambda data, up: data if up else data.replace(b"vfork-events+", b"vfork-eventz+"))
        # The checksum is wrong then; without acknowledgements nobody looks but us.
        run = grf("-p", q.pid, "--fork", "-o", f"{d}/x", r.target, q.exe, rc=1)
        check(not os.path.exists(f"{d}/x"), run)
    assert_alive(q)


CGROUP = "/sys/fs/cgroup/memory"


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_cgroup():
    """Near its limit: refused; with room enough: done."""
    name = f"{CGROUP}/grf-rsp-test-{os.getpid()}"
    try:
        os.mkdir(name)
    except OSError as e:
        pytest.skip(f"no memory cgroup can be made here ({e.strerror})")
    p = None
    try:
        p = start_zoo("-tick")
        with open(f"{name}/cgroup.procs", "w") as f:
            f.write(str(p.pid))
        with multi() as g:
            with open(f"{name}/memory.limit_in_bytes", "w") as f:
                f.write(str(16 << 20))
            run = grf("-p", p.pid, "--fork", "-o", tmpdir() + "/x", g.target, p.exe, rc=1)
            check("cgroup" in run.err and "--fork=force" in run.err, run)
            assert_alive(p)
            with open(f"{name}/memory.limit_in_bytes", "w") as f:
                f.write(str(1 << 30))
            check_sums(profile(g.target, p.exe, "-p", p.pid, "--fork").totals)
            assert_alive(p)
    finally:
        if p:
            p.stop()
        for _ in range(100):
            with contextlib.suppress(OSError):
                os.rmdir(name)
                break
            time.sleep(0.05)


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


@pytest.mark.timeout(90)
@pytest.mark.needs("gdbserver", "unshare")
def test_cgroup_v2():
    """The files of cgroup v2 over those of this machine, in gdbserver's own mount namespace."""
    d = tmpdir()
    cg = f"{d}/cg"
    os.makedirs(f"{cg}/x/y")
    p = Prog([shutil.copy(build("zoo"), d), "-tick"])  # its own: copies of it are counted
    write(f"{d}/cgroup", "0::/x/y\n")
    for path in "x", "x/y":
        write(f"{cg}/{path}/memory.max", "max\n")
        write(f"{cg}/{path}/memory.current", "0\n")
        write(f"{cg}/{path}/memory.stat", "anon 1\ninactive_file 0\n")
    write(f"{cg}/cgroup.controllers", "memory\n")
    mounts = f'mount --bind {d}/cgroup /proc/{p.pid}/cgroup && mount --bind {cg} /sys/fs/cgroup && exec "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mounts, "sh", "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("nothing can be mounted here")
    with Gdbserver("--multi", wrapper=("unshare", "-m", "sh", "-c", mounts, "sh")) as g:
        def run(target, *more, rc=0):
            return grf("-p", p.pid, "-o", f"{d}/x.folded", *more, target, p.exe, rc=rc)
        # The limit is the parent's; unused pages of files are no use.
        write(f"{cg}/x/memory.max", f"{64 << 20}\n")
        write(f"{cg}/x/memory.current", f"{60 << 20}\n")
        assert "cgroup has 4 MB" in run(g.target, "--fork", rc=1).err
        write(f"{cg}/x/memory.stat", f"anon 1\ninactive_file {59 << 20}\n")
        write(f"{cg}/x/memory.max", f"{1 << 30}\n")
        run(g.target, "--fork")
        os.unlink(f"{d}/x.folded")
        # It shrinks when the process runs again.
        def shrink(data, up):
            if up and b"$D;" in data:
                write(f"{cg}/x/memory.current", f"{(1 << 30) + (59 << 20)}\n")
            return data
        r = Relay(g.port, shrink)
        lost = run(r.target, "--fork", rc=1)
        check("given up" in lost.err and not os.path.exists(f"{d}/x.folded"), lost)
        assert_alive(p)
        write(f"{cg}/x/memory.current", "0\n")
        auto = run(r.target, "--fork=auto")
        check("given up" in auto.out and "stop 2 was the one" in auto.out, auto)
        assert_alive(p)
        assert not children(p.pid)
    assert len(copies(p.exe)) == 1
