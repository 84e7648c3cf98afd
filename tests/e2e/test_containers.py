"""Services in containers, as podman and runc make them: nothing that happens there leaves one stopped."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from apart import living_in
from containers import *
from exactness import check_sums
from lib import *
from test_fork import Server, children, copies


@pytest.fixture
def service(podman):
    """A ticking zoo, the first process of its container."""
    c = podman.run(podman.program("zoo", build("zoo"), "-tick"))
    c.wait_line("^READY")
    return c


def debug_image(podman):
    return podman.image("debug", {**gdbserver_files(), "/app": build("zoo")}, ["/app"])


@pytest.fixture
def debug(podman, service):
    """A container that shares only the service's pid namespace, as an ephemeral debug container does."""
    return podman.run(debug_image(podman), "--pid", f"container:{service.name}", "--cap-add", "SYS_PTRACE")


def ticks(service):
    """It runs, and its memory is whole."""
    wait_free(service.pid)
    start = len(service.log().split("\n"))
    line = service.wait_line(r"^tick|BAD", 5, start)
    check("ok" in line and "BAD" not in service.log(), line)


def gdbservers(container):
    """Those that run in a container: all but its first process."""
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                comm = f.read().strip()
            with open(f"/proc/{pid}/cgroup") as f:
                if comm == "gdbserver" and container.id in f.read():
                    out.append(int(pid))
        except OSError:
            pass
    return out


def ended(container):
    """No gdbserver is left there, and no guardian here."""
    def left():
        return gdbservers(container) + [p for p, command in living_in(os.environ["TMPDIR"]) if command.startswith(GRF)]
    deadline = time.monotonic() + 15
    while left():
        check(time.monotonic() < deadline, "left behind:", left())
        time.sleep(0.1)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_from_the_node(service):
    """gdbserver beside the container; EXE comes out of it."""
    with multi() as g:
        check_sums(profile(g.target, None, "-p", service.pid).totals)
    ticks(service)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("once", [True, False])
def test_debug_container(service, debug, once):
    """On a pipe into it, also without --once: no gdbserver stays behind."""
    target = debug.exec("gdbserver", *(["--once"] if once else []), "--multi", "-")
    check_sums(profile(target, build("zoo"), "-p", 1).totals)
    ticks(service)
    ended(debug)


def start(*args):
    return subprocess.Popen([GRF, *map(str, args)], cwd=tmpdir(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_held(pid, timeout=20):
    deadline = time.monotonic() + timeout
    while free(pid):
        check(time.monotonic() < deadline, "never stopped")
        time.sleep(0.001)


def children_of(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, text=True).stdout
    return [int(p) for p in out.split()]


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("also_us", [False, True])
def test_exec_client_dies(service, debug, once, also_us):
    """The client of `podman exec` dies while we read, or with us: gdbserver there is talked to by another one."""
    target = debug.exec("gdbserver", *(["--once"] if once else []), "--multi", "-")
    q = start("-p", 1, "-o", "p.folded", target, build("zoo"))
    wait_held(service.pid)
    for pid in children_of(q.pid):
        with open(f"/proc/{pid}/comm") as f:
            if f.read().strip() == "podman":
                os.kill(pid, signal.SIGKILL)
    if also_us:
        q.kill()
    out, err = q.communicate(timeout=60)
    check(q.returncode not in (0, None), q.returncode, out, err)
    wait_free(service.pid, 12)
    ticks(service)
    ended(debug)


class Proxy(Relay):
    """A relay that dies with all its connections when it is told to, and may come back on the same port."""

    def __init__(self, port):
        self.pairs = []
        super().__init__(port)

    def _pump(self, src, dst, up):
        self.pairs.append((src, dst))
        super()._pump(src, dst, up)

    def die(self, back=False):
        if not back:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for pair in self.pairs:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("fork", [False, True])
@pytest.mark.parametrize("also_us", [False, True])
def test_proxy_dies(stub, fork, also_us):
    """A port-forward dies while we read, and is there again: what was held is let go, the snapshot ends."""
    s = Server("-heap", "64")
    proxy = Proxy(stub.port)
    q = start("-p", s.pid, *(["--fork=force"] if fork else []), "-o", "p.folded", proxy.target, s.exe)
    if fork:
        while not copies(s.exe) - s.copies:
            check(q.poll() is None, "it ended")
            time.sleep(0.001)
        time.sleep(0.05)  # settled
    else:
        wait_held(s.pid)
    proxy.die(back=True)
    if also_us:
        q.kill()
    out, err = q.communicate(timeout=60)
    check(q.returncode not in (0, None), q.returncode, out, err)
    wait_free(s.pid, 10)
    s.check()


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_proxy_dies_for_good(stub, ticking):
    """Nobody can be reached any more: the error says what may be held, and how to free it; a second run does."""
    proxy = Proxy(stub.port)
    q = start("-p", ticking.pid, "-o", "p.folded", proxy.target, ticking.exe)
    wait_held(ticking.pid)
    proxy.die()
    out, err = q.communicate(timeout=60)
    check(q.returncode == 1 and "may still be held" in err and f"/proc/{ticking.pid}/status" in err, q.returncode, out, err)
    check(not free(ticking.pid), "it was let go")
    check_sums(profile(stub.target, ticking.exe, "-p", ticking.pid).totals)
    assert_alive(ticking)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("also_us", [False, True])
def test_terminal(service, debug, also_us):
    """exec -t: a terminal keeps what it gets and shows it to us."""
    q = start("-o", "p.folded", debug.exec("gdbserver", "--attach", "-", "1", tty=True), build("zoo"))
    if also_us:
        wait_held(service.pid)
        time.sleep(0.3)
        q.kill()
    begun = time.monotonic()
    out, err = q.communicate(timeout=60)
    if not also_us:
        check(q.returncode == 1 and "leave out -t" in err and time.monotonic() - begun < 10, q.returncode, out, err)
    wait_free(service.pid, 5)
    ticks(service)
    ended(debug)


# What is missing is said before anything is touched.

@pytest.fixture
def other_user(podman):
    """A service of user 1000."""
    c = podman.run(podman.program("zoo", build("zoo"), "-tick"), "--user", "1000")
    c.wait_line("^READY")
    return c


ALONE = ["--cap-drop", "all"]
WITH = {"kill": (["SYS_PTRACE", "DAC_OVERRIDE"], "CAP_KILL"), "dac": (["SYS_PTRACE", "KILL"], "CAP_DAC_OVERRIDE"),
        "ptrace": (["KILL", "DAC_OVERRIDE"], "CAP_SYS_PTRACE"), "nothing": ([], "CAP_KILL"),
        "all": (["SYS_PTRACE", "KILL", "DAC_OVERRIDE"], None)}


def untouched(service, run):
    """It did not so much as stop."""
    check(free(service.pid) and "sigchld" not in service.log(), run)
    check([] == [p for p, state in children(service.pid) if state == "Z"], "zombies:", children(service.pid), run)
    ticks(service)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("what", WITH)
def test_capabilities(podman, other_user, what):
    caps, missing = WITH[what]
    d = podman.run(debug_image(podman), "--pid", f"container:{other_user.name}", *ALONE, *(w for c in caps for w in ("--cap-add", c)))
    begun = time.monotonic()
    run = grf("-p", 1, "-o", "x", d.exec("gdbserver", "--once", "--multi", "-"), build("zoo"), rc=1 if missing else 0)
    check(time.monotonic() - begun < 10, "slow:", run)
    check(not missing or missing in run.err, run)
    untouched(other_user, run)
    ended(d)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_same_user_without_capabilities(podman, other_user):
    d = podman.run(debug_image(podman), "--pid", f"container:{other_user.name}", *ALONE, "--user", "1000")
    check_sums(profile(d.exec("gdbserver", "--once", "--multi", "-"), build("zoo"), "-p", 1).totals)
    untouched(other_user, "")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("where", ["node", "debug"])
def test_paused(podman, service, debug, stub, where):
    """Frozen: refused before anything is touched."""
    # On a busy machine runc gives up ("unable to freeze").
    for _ in range(10):
        podman("pause", service.name, rc=None)
        if podman("inspect", "-f", "{{.State.Status}}", service.name) == "paused":
            break
    else:
        pytest.skip("runc cannot freeze a container here just now")
    begun = time.monotonic()
    target, pid = (stub.target, service.pid) if where == "node" else (debug.exec("gdbserver", "--once", "--multi", "-"), 1)
    run = grf("-p", pid, "-o", "x", target, build("zoo"), rc=1)
    check("frozen" in run.err and "unpause" in run.err and time.monotonic() - begun < 10, run)
    podman("unpause", service.name)
    untouched(service, run)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_profile_without_ptrace(podman, service):
    """gdbserver does not even start to talk there; the process is never touched."""
    with open(DEFAULT_PROFILE) as f:
        p = json.load(f)
    for rule in p["syscalls"]:
        rule["names"] = [n for n in rule["names"] if n != "ptrace"]
    path = f"{podman.top}/noptrace.json"
    with open(path, "w") as f:
        json.dump(p, f)
    d = podman.run(debug_image(podman), "--pid", f"container:{service.name}", "--cap-add", "SYS_PTRACE", "--security-opt", f"seccomp={path}")
    run = grf("-p", 1, "--timeout", 3, "-o", "x", d.exec("gdbserver", "--once", "--multi", "-"), build("zoo"), rc=1)
    check("PTRACE_TRACEME" in run.err and "seccomp profile" in run.err, run)
    check(free(service.pid), run)
    ticks(service)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_fork_from_debug_container(service, debug):
    """The profile cannot be seen from there: by consent; what memory is left is seen in the service's own mounts."""
    target = debug.exec("gdbserver", "--once", "--multi", "-")
    run = grf("-p", 1, "--fork", "-o", "x", target, build("zoo"), rc=1)
    check("--fork=seccomp" in run.err, run)
    p = profile(target, build("zoo"), "-p", 1, "--fork=seccomp")
    check_sums(p.totals)
    check("by --fork=seccomp" in p.run.out, p.run)
    untouched(service, p.run)
    ended(debug)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_traced_already(stub, ticking):
    with attach(ticking.pid) as g:
        ticking.wait_stopped()
        run = grf("-p", ticking.pid, "-o", "x", stub.target, ticking.exe, rc=1)
        check(f"process {g.proc.pid}" in run.err and "gdbserver" in run.err, run)
    assert_alive(ticking)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_stopped_by_a_signal(stub, ticking):
    """It does not run again, and we do not say so."""
    ticking.kill(signal.SIGSTOP)
    ticking.wait_stopped()
    run = grf("-p", ticking.pid, "-o", "x", stub.target, ticking.exe)
    check("it runs again" not in run.out and f"kill -CONT {ticking.pid}" in run.out, run)
    ticking.kill(signal.SIGCONT)
    assert_alive(ticking)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("after", [b"vAttach;", b"$Hg", b"qfThreadInfo"])
def test_stub_falls_silent(stub, ticking, after):
    """No answer while it is stopped: --timeout and the time that the way out takes, never longer."""
    state = {"silent": False}

    class Swallow(Relay):
        def _pump(self, src, dst, up):
            with contextlib.suppress(OSError):
                while data := src.recv(65536):
                    state["silent"] |= up and after in data and self.first
                    if up or not (state["silent"] and self.first):
                        dst.sendall(data)
            self.first = False  # the next connection is a good one
            for s in (src, dst):
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
    relay = Swallow.__new__(Swallow)
    relay.first = True
    Relay.__init__(relay, stub.port)
    begun = time.monotonic()
    run = grf("-p", ticking.pid, "--timeout", 2, "-o", "x", relay.target, ticking.exe, rc=1)
    check(state["silent"] and "did not answer" in run.err, run)
    check(time.monotonic() - begun < 7, run)
    assert_alive(ticking, 0.5)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_zombie(stub):
    p = subprocess.Popen([sys.executable, "-c", "pass"])
    time.sleep(0.5)
    run = grf("-p", p.pid, "-o", "x", stub.target, build("zoo"), rc=1)
    check("has ended" in run.err, run)
    p.wait()
