"""--fork under seccomp filters: the default profiles on real containers, and filters that do everything to every call."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from containers import *
from exactness import check_sums
from lib import *
from test_fork import children, numbers

FORKS = int(os.environ.get("GRF_FORKS", "30"))


class Service:
    """The server, first process of a container, under load, as test_fork.Server has it."""

    def __init__(self, podman, *options):
        image = podman.program("server", build("server"))
        self.c = podman.run(image, *options)
        self.pid = self.c.pid
        addr = self.c.wait_line("^READY ").split()[1]
        self.exe = build("server")
        # In its network namespace, and so beside it.
        self.asks = Prog(["nsenter", "-n", "-t", str(self.pid), self.exe, "-load", addr])
        time.sleep(1)
        self.before = self.state()

    def others(self):
        """The processes that were started in its namespace from outside. Those that one of it has started, short children that
        have not called exec yet among them, are not."""
        def ns(pid):
            return os.readlink(f"/proc/{pid}/ns/pid")
        out = []
        for p in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if int(p) != self.pid and ns(p) == ns(self.pid) != ns(stat_of(p, "PPid")) and os.readlink(f"/proc/{p}/exe") == "/app":
                    out.append(int(p))
        return out

    def state(self):
        start = len(self.c.log().split("\n"))
        os.kill(self.pid, signal.SIGUSR1)
        return numbers(self.c.wait_line("^state|^BAD", 30, start))

    def check(self):
        check("BAD" not in self.c.log(), self.c.log()[-300:])
        now = self.state()
        check(now["rounds"] > self.before["rounds"], "it does not go on:", now)
        check(now["sigchlds"] in (now["children"], now["children"] - 1), "signals:", now)
        # It has short children of its own.
        dead = {p for p, state in children(self.pid) if state == "Z"}
        for _ in range(150):
            if not (dead := dead & {p for p, state in children(self.pid) if state == "Z"}):
                break
            time.sleep(0.02)
        check(not dead, "zombies:", dead)
        return now

    def end(self):
        """What it is like after all, and what its clients saw."""
        now = self.check()
        return now, numbers(self.asks.ask(signal.SIGUSR1, "^load"))


def default(name, top):
    """A default profile's file. podman's is installed with it. Docker's (moby, profiles/seccomp/default.json, from 20.10 on) and
    containerd's (contrib/seccomp/seccomp_default.go, 2.x) allow what it allows, as far as these tests go, but refuse with EPERM, let
    clone make no namespaces, and answer clone3 with ENOSYS; containerd's did not know close_range before 1.6."""
    if name == "podman":
        return DEFAULT_PROFILE
    with open(DEFAULT_PROFILE) as f:
        p = json.load(f)
    p["defaultErrno"], p["defaultErrnoRet"] = "EPERM", 1
    drop = {"clone", "clone3"} | ({"close_range"} if name == "containerd-1.5" else set())
    for rule in p["syscalls"]:
        rule["names"] = [n for n in rule["names"] if n not in drop]
    p["syscalls"] = [r for r in p["syscalls"] if r["names"]]
    # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
    p["syscalls"].append({"names": ["clone"], "action": "SCMP_ACT_ALLOW",
                          "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]})
    p["syscalls"].append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    path = f"{top}/{name}.json"
    with open(path, "w") as f:
        json.dump(p, f)
    return path


DEFAULTS = ["podman", "docker", "containerd", "containerd-1.5"]


def fork(s, target, *how, say=None):
    p = profile(target, s.exe, "-p", s.pid, *(how or ["--fork"]))
    check_sums(p.totals)
    ms = int(p.totals["stopped_ns"]) / 1e6
    s.check()
    return p, ms


@pytest.mark.timeout(240 + FORKS * 2)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("name", DEFAULTS)
def test_default_profiles(podman, stub, name, say):
    """Its own profile is read from the runtime's files, and allows it: under load no request fails, nothing is left."""
    s = Service(podman, "--security-opt", f"seccomp={default(name, podman.top)}")
    check(stat_of(s.pid, "Seccomp") == "2", "no filter")
    took = []
    for _ in range(FORKS // 3):
        p, ms = fork(s, stub.target)
        check(f"/run/runc/{s.c.id}/state.json" in p.run.out, p.run)
        took.append(ms)
    now, got = s.end()
    check(got["failed"] == 0 and got["ok"] > FORKS, got)
    check(abs(now["fds"] - s.before["fds"]) <= 12 and now["threads"] <= s.before["threads"] + 6, s.before, now)
    say(f"{name}'s default profile: {len(took)} forks, stopped {min(took):.0f} to {max(took):.0f} ms, "
        f"{got['ok']} requests, none failed")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_not_first_process(podman, stub):
    """A process under an init that reaps nothing: the snapshot is made and ended without a word to that."""
    s = Service(podman)
    podman("exec", "-d", s.c.name, "/app")
    time.sleep(0.5)
    pid, = s.others()
    check_sums(profile(stub.target, s.exe, "-p", pid, "--fork").totals)
    time.sleep(0.3)
    s.check()


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_evidence(podman, stub):
    """What is of another container, or cannot be read, is none: refused with the reason, and done by consent."""
    s = Service(podman, "--security-opt", f"seccomp={default('docker', podman.top)}")
    path = f"/run/runc/{s.c.id}/state.json"
    with open(path) as f:
        true = f.read()
    lies = json.loads(true)
    try:
        for change in ({"init_process_start": lies["init_process_start"] + 1}, {"init_process_pid": os.getpid()}, {"config": {}},
                       None, "{", "[" * 100000):
            with open(path, "w") as f:
                f.write(change if isinstance(change, str) else "" if change is None else json.dumps({**lies, **change}))
            run = grf("-p", s.pid, "--fork", "-o", "x", stub.target, s.exe, rc=1)
            check("seccomp" in run.err and "--fork=seccomp" in run.err and len(run.err.splitlines()) == 1, change, run)
            s.check()
            p, _ = fork(s, stub.target, "--fork=seccomp")
            check("seccomp" in p.run.out, p.run)
            auto = profile(stub.target, s.exe, "-p", s.pid, "--fork=auto")
            check("seccomp" in auto.run.out and "not from a fork" in auto.run.out, auto.run)
    finally:
        with open(path, "w") as f:
            f.write(true)


# Filters that do each thing to each call, made by libseccomp; the program is whole afterwards.

FILTER = r"""
#include <fcntl.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* filter CALL VALUE ACTION PROGRAM...: VALUE is the first argument of the calls that it is about; "any": of all */
int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	const char *a = argv[3];
	uint32_t action = !strcmp(a, "trap") ? SCMP_ACT_TRAP : !strcmp(a, "trace") ? SCMP_ACT_TRACE(1) :
			  !strcmp(a, "kill-process") ? SCMP_ACT_KILL_PROCESS : !strcmp(a, "kill-thread") ? SCMP_ACT_KILL_THREAD :
			  !strcmp(a, "log") ? SCMP_ACT_LOG : !strcmp(a, "notify") ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO(atoi(a));
	int nr = seccomp_syscall_resolve_name(argv[1]), rc;

	if (strcmp(argv[2], "any"))
		rc = seccomp_rule_add(ctx, action, nr, 1, SCMP_A0(SCMP_CMP_EQ, strtoull(argv[2], NULL, 0)));
	else
		rc = seccomp_rule_add(ctx, action, nr, 0);
	if (rc || seccomp_load(ctx))
		return 9;
	/* Nobody answers, but the one who could is there. */
	if (!strcmp(a, "notify"))
		fcntl(seccomp_notify_fd(ctx), F_SETFD, 0);
	execv(argv[4], argv + 4);
	return 8;
}
"""

CALLS = {"middle": ("clone", "0x4500"), "clone": ("clone", "0x411"), "wait4": ("wait4", "any"), "waitid": ("waitid", "any"),
         "exit": ("exit", "111"), "close_range": ("close_range", "any"), "alarm": ("alarm", "any")}
ACTIONS = {"EPERM": "1", "ENOSYS": "38", "trace": "trace", "trap": "trap", "kill-process": "kill-process",
           "kill-thread": "kill-thread", "notify": "notify", "log": "log"}
# The process's own first call, before anything can be tried; and the alarm that ends all other waits for a supervisor.
LEAPS = {("middle", "kill-process"), ("middle", "kill-thread"), ("middle", "notify"), ("alarm", "notify")}
NEW = ["unshare", "-fp", "--kill-child", "--mount-proc"]
IDLE = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(1e6)"
MODES = {"reaped": [*NEW, "sh", "-c", '"$@" & wait', "sh"], "own child": [*NEW, sys.executable, "-c", IDLE], "init": NEW}


def build_filter():
    def make():
        out = os.path.join(OBJDIR, "progs", "filter")
        r = subprocess.run(["gcc", "-x", "c", "-o", out, "-", "-lseccomp"], input=FILTER, text=True, stderr=subprocess.PIPE)
        return out if r.returncode == 0 else "no libseccomp: " + r.stderr.strip()
    os.makedirs(os.path.join(OBJDIR, "progs"), exist_ok=True)
    out = once("seccomp filter", make)
    if out.startswith("no "):
        raise Skip(out.splitlines()[0])
    return out


def runs(exe):
    """Processes that run exe."""
    out = []
    for p in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{p}/exe") == exe:
                out.append(int(p))
    return out


def one(target, mode, call, action):
    """Forks a filtered program by consent, and says what is wrong afterwards."""
    exe = shutil.copy(build("zoo"), tmpdir())
    p = Prog([*MODES[mode], build_filter(), *CALLS[call], ACTIONS[action], exe, "-tick"])
    try:
        pid, = runs(exe)
        p.pid = pid
        run = grf("-p", pid, "--fork=seccomp", "--timeout", 10, "-o", "x", target, exe, rc=None, timeout=60)
        harmless = action == "log" or (call in ("alarm", "close_range") and action in ("EPERM", "ENOSYS", "trace")) or (
            call == "close_range" and action == "notify")
        check(run.rc == (0 if harmless else 1), run)
        check(harmless or re.search("seccomp|refuses", run.err), run)
        wait_free(pid, 3)
        start = len(p.lines)
        check("ok" in p.wait_line(r"^tick|^BAD", 5, start), p.lines[-3:])
        zombies = [c for c in children(pid) if c[1] == "Z"]
        # Who may not wait, as far as could be tried, has a zombie, without a signal.
        check(len(zombies) == (call in ("wait4", "alarm") and action.startswith("kill")), "zombies:", zombies, run)
        check(runs(exe) == [pid], "left:", runs(exe), run)
    finally:
        p.proc.kill()
        p.proc.wait()


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver", "gcc", "unshare")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("mode", MODES)
def test_matrix(stub, mode, action):
    if subprocess.run([*NEW, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no pid namespaces here")
    bad = []
    for call in CALLS:
        if (call, action) in LEAPS:
            continue
        try:
            one(stub.target, mode, call, action)
        except AssertionError as e:
            bad.append(f"{call}: {e}")
    check(not bad, "\n".join(bad))


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
def test_kill_9(podman, stub):
    """We are killed at any moment of a fork under a filter: nothing is left, no request fails."""
    s = Service(podman)
    rnd = random.Random(21)
    argv = [GRF, "-p", str(s.pid), "--fork", "-o", tmpdir() + "/p.folded", stub.target, s.exe]
    for i in range(int(os.environ.get("GRF_KILLS", "50")) // 2):
        q = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rnd.random() * (0.4 if i % 3 == 2 else 0.08))
        q.kill()
        q.wait()
        try:
            wait_free(s.pid, 10)
            s.check()
        except AssertionError as e:
            raise Failure(f"kill {i + 1}: {e}\n{stub.log[-5:]}")
    check(s.end()[1]["failed"] == 0, "requests failed")
