"""When things go wrong: one line, exit status 1, no output file, the target runs on."""

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from exactness import check_promises, check_sums, promises
from lib import *

STUB = os.path.join(TOP, "tests/stub/stub.py")


def fails(target, exe, *args, word="", timeout=30, **kw):
    """grf-rsp fails as it should; returns its message."""
    d = tmpdir()
    before = os.listdir(d)
    r = grf("-o", f"{d}/out", "-o", f"{d}/out.folded", *args, target, *([exe] if exe else []),
            rc=1, timeout=timeout, cwd=d, **kw)
    lines = r.err.strip().splitlines()
    if target.startswith("|"):  # the command may have its own say
        lines = [l for l in lines if l.startswith("grf-rsp: ")]
    check(len(lines) == 1, "not one line on standard error:", r)
    check(lines[0].startswith("grf-rsp: "), "who says so?", r)
    check(word.lower() in lines[0].lower(), f"nothing about {word!r}:", r)
    check(os.listdir(d) == before, "files left:", os.listdir(d))
    return lines[0]


def test_nothing_listens():
    fails(f"localhost:{free_port()}", build("zoo"), word="refused")
    fails("unix:/no/such/socket", build("zoo"), word="/no/such/socket")
    fails("| false", build("zoo"))
    fails("| no-such-command", build("zoo"))
    fails("no-such-host.invalid:1", build("zoo"), word="no-such-host.invalid")
    port = free_port()
    fails(f"localhost:{port}", build("zoo"), word=f"gdbserver --attach :{port} PID")


def test_no_stub():
    def ssh(conn):
        conn.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
        conn.recv(100)
        time.sleep(60)

    def http(conn):
        conn.recv(100)
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nBad Request")

    for serve in ssh, http:
        fails(Listener(serve).target, build("zoo"), "--timeout", 2)


def test_silent():
    def serve(conn):
        while conn.recv(4096):
            pass

    start = time.monotonic()
    fails(Listener(serve).target, build("zoo"), "--timeout", 1)
    check(time.monotonic() - start < 10, "took", time.monotonic() - start)


def test_endless_reply():
    def serve(conn):
        conn.recv(4096)
        conn.sendall(b"+$")
        while True:
            conn.sendall(b"a" * 65536)

    fails(Listener(serve).target, build("zoo"), "--timeout", 10)


def checksum(body):
    return b"$" + body + b"#%02x" % (sum(body) & 255)


def test_rejects_everything():
    def serve(conn):
        while conn.recv(4096):
            conn.sendall(b"+" + checksum(b"E01"))

    fails(Listener(serve).target, build("zoo"), "--timeout", 3)


def test_knows_nothing():
    def serve(conn):
        while conn.recv(4096):
            conn.sendall(b"+" + checksum(b""))

    fails(Listener(serve).target, build("zoo"), "--timeout", 3)


@pytest.mark.needs("gdbserver")
def test_stop_as_a_whole(ticking, stub):
    """Every reply comes in time, and yet the process would stand for long: it is let go, and that is no signal's exit status."""
    def hook(data, up):
        if up and b"vAttach" in data:
            time.sleep(3)
        return data

    relay = Relay(stub.port, hook)
    fails(relay.target, ticking.exe, "-p", ticking.pid, "--max-stop", "0.5", "--fork=no", word="--max-stop S gives it longer")
    relay.close()
    ticking.wait_running()


# What tests/stub/stub.py can do wrong, and whether it can still be told to let its process go.  (Not "slow":
# a byte every 10 ms is no silence, and --timeout counts silence.)
FAULTS = {"none": True, "silent": False, "close": False, "not-rsp": False, "reject": None,
          "corrupt": None, "corrupt-all": False, "cut": False, "long": False, "lying": None, "short": True,
          "split": True, "garbage": None, "no-features": True, "exited": False, "nothing": False}


@pytest.mark.timeout(400)
def test_scripted_stub():
    """Its process is no Go program, so every run fails; how, and what becomes of the process, is the point."""
    if not os.path.exists(STUB):
        pytest.skip("no tests/stub/stub.py")
    exe = build("zoo")
    bad = []
    for fault, lets_go in FAULTS.items():
        for at in (1, 3, 6, 10) if fault not in ("none", "not-rsp", "reject", "split", "short") else (1,):
            log = open(os.path.join(tmpdir(), "log"), "w+")
            stub = subprocess.Popen([sys.executable, STUB, "--fault", fault, "--at", str(at), "--once"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
            try:
                port = re.search(r"\d+", stub.stdout.readline()).group()
                fails(f"localhost:{port}", exe, "--timeout", 1)
                if lets_go:
                    stub.wait(5)
                    log.seek(0)
                    said = log.read().split()
                    check("detached" in said, "not let go:", said)
            except AssertionError as e:
                bad.append(f"--fault {fault} --at {at}: {e}")
            finally:
                stub.kill()
                stub.wait()
    check(not bad, "\n".join(bad))


class Nth:
    """A relay hook that acts on the N-th piece from the stub; it counts them."""
    size = staticmethod(lambda data: 1)

    def __init__(self, n=float("inf"), act=None):
        self.n, self.act, self.lock, self.hit, self.count = n, act, threading.Lock(), False, 0

    def __call__(self, data, up):
        if up:
            return data
        with self.lock:
            self.count += self.size(data)
            if self.hit or self.count < self.n:
                return data
            self.hit = True
        return self.act(data)


class After(Nth):
    """The same when so many bytes have come: how many pieces they come in depends on the machine."""
    size = staticmethod(len)


def faulty(p, hook, *args, once=True, timeout=30):
    """Runs grf-rsp through a relay with a fault; any way out is fine but a hang, a crash, many
    lines, or a file of a failed run."""
    d = tmpdir()
    with attach(p.pid, once=once) as g:
        relay = Relay(g.port, hook)
        r = grf("--timeout", 2, "-o", f"{d}/p.folded", *args, relay.target, p.exe, rc=None, timeout=timeout)
        relay.close()
        check(r.rc in (0, 1), r)
        if r.rc == 1:
            check(len(r.err.strip().splitlines()) == 1, "not one line:", r)
            check(os.listdir(d) == [], "files left:", os.listdir(d))
        else:
            assert os.listdir(d) == ["p.folded"]
    assert_alive(p, 5)
    return r


def pieces(p):
    """How many pieces come from the stub in a run, roughly."""
    counter = Nth()
    faulty(p, counter)
    return counter.count


@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
def test_closed_at_any_packet(ticking):
    total = pieces(ticking)
    rnd = random.Random(1)
    for n in [*range(1, 10), *sorted(rnd.sample(range(10, max(total, 40)), 4))]:  # test_faults has more
        hook = Nth(n, lambda data: None)
        r = faulty(ticking, hook)
        check(r.rc == 1 or not hook.hit or n > total * 0.8, f"closed at {n} of {total}:", r)


@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
def test_silent_at_any_packet(ticking):
    total = pieces(ticking)
    rnd = random.Random(2)
    for n in [1, 2, 5, *sorted(rnd.sample(range(9, max(total, 30)), 3))]:  # test_faults has more
        def stall(data):
            time.sleep(20)
            return None
        hook = Nth(n, stall)
        start = time.monotonic()
        r = faulty(ticking, hook)
        check(time.monotonic() - start < 25, f"silent at {n} of {total}: took too long:", r)
        check(r.rc == 1 or not hook.hit or n > total * 0.8, f"silent at {n} of {total}:", r)


def flip(data):
    i = len(data) // 2
    return data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]


@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
def test_corrupt_at_any_packet(zoo):
    """A flipped bit is found by the checksum: asked for again, or the end.  Never a wrong profile."""
    # Not -tick: see exactness.exact().
    total = pieces(zoo)
    rnd = random.Random(3)
    for n in [*range(1, 12), *sorted(rnd.sample(range(12, max(total, 40)), 10))]:
        d = tmpdir()
        hook = Nth(n, flip)
        with attach(zoo.pid) as g:
            relay = Relay(g.port, hook)
            r = grf("--timeout", 2, "-o", f"{d}/p.folded", "-o", f"{d}/p.txt", relay.target, zoo.exe,
                    rc=None, timeout=60)
            relay.close()
        check(r.rc in (0, 1), r)
        if r.rc == 0:
            prof = Profile(d, r)
            check_sums(prof.totals)
            bad = check_promises(promises(zoo.lines), prof.stacks)
            check(not bad, f"corrupt at {n} of {total}: a wrong profile:\n" + "\n".join(bad))
        else:
            check(os.listdir(d) == [] and len(r.err.strip().splitlines()) == 1, r, os.listdir(d))
        assert_alive(zoo, 5)


@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
def test_process_ends_while_read():
    rnd = random.Random(4)
    p = start_zoo()
    counter = After()
    faulty(p, counter)
    p.stop()
    total = counter.count
    whole = missed = 0
    for n in [100, 2000, 20000, *sorted(rnd.sample(range(50000, int(0.97 * total)), 5))]:
        p = start_zoo()
        d = tmpdir()

        def end(data):
            os.kill(p.pid, signal.SIGKILL)
            time.sleep(0.05)
            return data

        hook = After(n, end)
        with attach(p.pid) as g:
            relay = Relay(g.port, hook)
            r = grf("--timeout", 3, "-o", f"{d}/p.folded", relay.target, p.exe, rc=None, timeout=60)
            relay.close()
        if not hook.hit:
            missed += 1  # there was less to read this time
            p.stop()
            continue
        if r.rc != 1:
            # A late piece may come when all is read already: then the profile is whole.
            check(r.rc == 0 and "reads failed 0" in r.out, f"killed at {n} of {total}:", r)
            whole += 1
            continue
        check(len(r.err.strip().splitlines()) == 1 and os.listdir(d) == [], r, os.listdir(d))
        p.stop()
    check(whole <= 3, whole, "of 8 killed processes gave a profile")
    check(missed <= 2, missed, "of 8 were never killed")


@pytest.mark.timeout(200)
@pytest.mark.needs("gdbserver")
def test_unreadable_memory_is_counted(ticking):
    """Reads that the stub refuses: the profile is made, and says so."""
    total = pieces(ticking)
    seen = 0
    for part in 0.3, 0.5, 0.6, 0.7, 0.8, 0.9:
        state = {"n": 0}
        lock = threading.Lock()

        def hook(data, up):
            if not up:
                return data
            with lock:
                state["n"] += 1
                if not data.startswith((b"$m", b"$x")) or state["n"] < total * part or "done" in state:
                    return data
                end = data.find(b"#")
                body = data[1:end]
                cmd, _, length = body.partition(b",")
                if int(length, 16) < 256:
                    return data
                state["done"] = True
                return checksum(cmd[:1] + b"8," + length) + data[end + 3:]

        d = tmpdir()
        with attach(ticking.pid) as g:
            relay = Relay(g.port, hook)
            r = grf("--timeout", 3, "-o", f"{d}/p.txt", "-o", f"{d}/p.folded", relay.target, ticking.exe, rc=None, timeout=60)
            relay.close()
        assert_alive(ticking, 5)
        if r.rc or "done" not in state:
            continue
        prof = Profile(d, r)
        if prof.totals["failed_reads"]:
            check("reads failed 0" not in r.out + r.err, r)
            seen += 1
        else:
            # It was a guess, made ahead, and what was needed of it was asked for again: nothing is missing.
            check_sums(prof.totals)
            bad = check_promises(promises(ticking.lines), prof.stacks)
            check(not bad, "a read failed and nothing says so:\n" + "\n".join(bad))
    check(seen > 0, "no run went on after a failed read")


# EXE

@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_wrong_exe(ticking, stub):
    d = tmpdir()
    text = d + "/text"
    with open(text, "w") as f:
        f.write("no program\n" * 100)
    cut = d + "/cut"
    with open(ticking.exe, "rb") as a, open(cut, "wb") as b:
        b.write(a.read(3000))
    arm = build("busy", tag="-arm64", GOARCH="arm64")
    other = build("busy")
    for exe, word in ((d + "/missing", "no such file"), (text, "elf"), ("/bin/true", "go"),
                      (d, "directory"), (cut, ""), (arm, "arm64"), (other, "--force")):
        fails(stub.target, exe, "-p", ticking.pid, word=word)
        assert_alive(ticking)
    # Same source, built otherwise: another program all the same.
    fails(stub.target, build("zoo", flags=["-gcflags=-N -l"], tag="-noopt-main"), "-p", ticking.pid, word="--force")
    assert_alive(ticking)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_force(ticking, stub):
    """--force goes on with a program whose build id differs (here: the same one, with another id)."""
    r = subprocess.run([go(), "tool", "buildid", ticking.exe], stdout=subprocess.PIPE, env=go_env(), check=True)
    build_id = r.stdout.strip()
    other = tmpdir() + "/zoo"
    with open(ticking.exe, "rb") as a, open(other, "wb") as b:
        data = a.read()
        assert len(build_id) > 40 and build_id in data
        b.write(data.replace(build_id, build_id[::-1]))
    fails(stub.target, other, "-p", ticking.pid, word="--force")
    assert_alive(ticking)
    prof = profile(stub.target, other, "--force", "-p", ticking.pid)
    check(any(s.startswith("main.zooSlice") for s, _ in prof.stacks), prof.stacks[:5])
    assert_alive(ticking)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_no_such_process(zoo):
    zoo.stop()
    for _ in range(10):  # gdbserver may send SIGINT to us all: docs/PROTOCOL.md
        with multi() as g:
            fails(g.target, zoo.exe, "-p", zoo.pid)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver", "sleep")
def test_not_go(stub):
    q = Prog(["sleep", "1000"], ready=None)
    fails(stub.target, None, "-p", q.pid, word="go")
    q.wait_running()
