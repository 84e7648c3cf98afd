"""The fault matrix: a fault at any packet of any session ends in the right answer or in a clear error, in time, without a partial
file, and the process runs afterwards.

A fault is a session, a direction, the number of a packet, and what becomes of it. `make check` tries a few packets of each
session, always the same ones; `make check-faults` every one (GRF_FAULTS_EVERY=10: every tenth).
"""

import concurrent.futures
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib import *
from stubs import QemuUser

TIMEOUT = 1  # --timeout
LATE = 5     # so much later a run must have ended
UNDO = 20    # and with a fork under way: its guardian waits for a big process's page tables (rsp/guardian.c)
LANES = int(os.environ.get("GRF_FAULTS_LANES", "6"))  # processes that are looked at, at a time: a run waits most of the time
EVERY = int(os.environ.get("GRF_FAULTS_EVERY", "1"))
FAULTS = "dropped", "cut", "doubled", "delayed", "checksum", "content", "closed", "killed"
NODES = 100 * 32


def frame(payload):
    return b"$" + payload + b"#%02x" % (sum(payload) & 255)


def spoiled(packet, n):
    """Another payload with a checksum that is right, by the packet's number."""
    payload, rnd = packet[1:-3], random.Random(n)
    other = bytearray(payload)
    if other:
        other[rnd.randrange(len(other))] = rnd.choice(b"0123456789abcdef;,:lmTEF-")
    return frame([b"", b"E01", bytes(other), payload[:len(payload) // 2], payload + b"00", b"OK", b"T05thread:p1.1;"][n % 7])


class PacketRelay(Relay):
    """Counts the packets of each direction, and does one thing to one of them."""

    def __init__(self, port, up=None, n=0, fault=None, kill=None):
        self.up, self.n, self.fault, self.kill = up, n, fault, kill
        self.count, self.hit, self.lock = [0, 0], False, threading.Lock()
        super().__init__(port)

    def _pump(self, src, dst, up):
        left = b""
        with contextlib.suppress(OSError):
            while data := src.recv(65536):
                left += data
                out = b""
                while m := re.match(rb"[$%][^#]*#..|[^$%]+", left, re.S):
                    left = left[m.end():]
                    piece = self.one(m.group(0), up, lambda: dst.sendall(out)) if m.group(0)[:1] == b"$" else m.group(0)
                    if piece is None:
                        raise ConnectionError
                    out += piece
                dst.sendall(out)
        for s in (src, dst):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def one(self, packet, up, flush):
        with self.lock:
            n = self.count[up]
            self.count[up] += 1
            if self.hit or up != self.up or n != self.n:
                return packet
            self.hit = True
        fault = self.fault
        if fault == "delayed":
            time.sleep(TIMEOUT * 0.5)
        elif fault == "killed":
            self.kill()
        return {"dropped": b"", "cut": packet[:len(packet) // 2], "doubled": packet + packet, "delayed": packet,
                "checksum": packet[:-2] + (b"00" if packet[-2:] != b"00" else b"01"), "content": spoiled(packet, n),
                "closed": None, "killed": None}[fault]


class Lane:
    """A process that runs are made on, one after the other."""

    def __init__(self, exe):
        # A file of its own: who else runs it is a snapshot that was left behind.
        self.exe = os.path.join(tmpdir(), "ticks")
        shutil.copy(exe, self.exe)
        self.prog = None

    def process(self):
        if not self.prog or self.prog.proc.poll() is not None:
            self.prog = Prog([self.exe, "-tick"], env=dict(os.environ, GOMAXPROCS="2"))
        return self.prog

    def others(self):
        """Processes that run our file, beside the one."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe") == self.exe and int(pid) != self.prog.pid:
                    with open(f"/proc/{pid}/stat") as f:
                        if f.read().rpartition(")")[2].split()[0] not in "ZX":
                            found.append(pid)
        return found


class Plain:
    """gdbserver --attach, EXE given."""
    args, exe = [], True

    def stub(self, p):
        return attach(p.pid)

    def options(self, p):
        return []


class ByPid(Plain):
    """gdbserver --multi and -p."""

    def stub(self, p):
        return multi()

    def options(self, p):
        return ["-p", p.pid]


class Fork(ByPid):
    def options(self, p):
        return ["--fork", "-p", p.pid]


class Fetched(ByPid):
    """The executable comes through the stub."""
    exe = False


class Core(ByPid):
    """A core is written, all memory of it."""

    def options(self, p):
        return ["-p", p.pid, "--full", "-o", "p.core"]


SESSIONS = {"plain": Plain(), "pid": ByPid(), "fork": Fork(), "fetched": Fetched(), "core": Core()}


def one_run(session, lane, timeout=TIMEOUT, **fault):
    """(the run, its relay, its files, whether the profile is right)."""
    s, d, p = SESSIONS[session], tmpdir(), lane.process()
    with s.stub(p) as g:
        relay = PacketRelay(g.port, kill=g.proc.kill, **fault)
        try:
            r = grf("--timeout", timeout, *s.options(p), "-o", "p.folded", relay.target, *([p.exe] if s.exe else []), rc=None,
                    cwd=d, timeout=TIMEOUT + 60, env=dict(os.environ, XDG_CACHE_HOME=d + ".cache"))
        finally:
            relay.close()
    files = os.listdir(d)
    right = "p.folded" in files and ("main.list", NODES) in merged(read_folded(f"{d}/p.folded"))
    shutil.rmtree(d)
    shutil.rmtree(d + ".cache", ignore_errors=True)
    return r, relay, files, right


def merged(stacks):
    total = {}
    for stack, n in stacks:
        root = stack.partition(";")[0]
        total[root] = total.get(root, 0) + n
    return list(total.items())


def judge(r, lane, files, right, session, fault):
    """True; False where the process has come to harm, as docs/FORK.md says: what the stub was told, or said, was lost or another
    while a thread had our registers."""
    scale = float(os.environ.get("GRF_TIMEOUT_SCALE", "1"))
    check(r.secs < (TIMEOUT + LATE + (UNDO if session == "fork" else 0)) * scale, "too late:", r)
    check(r.rc in (0, 1), "a strange end:", r)
    if r.rc:
        check(len(r.err.strip().splitlines()) == 1 and r.err.startswith("grf-rsp: "), "no clear error:", r)
        check(not files, "files left:", files, r)
    else:
        check("p.folded" in files and not [f for f in files if f not in ("p.folded", "p.core")], "files:", files, r)
        # Another answer with a right checksum is believed.
        check(right or fault == "content", "a wrong answer:", r)
    p = lane.prog
    harm = session == "fork" and fault in ("killed", "cut", "doubled", "content") and r.rc
    if harm:
        with contextlib.suppress(subprocess.TimeoutExpired):
            p.proc.wait(0.3)
            # Go says "SIGTRAP: trace trap", or of another signal, and exits with 2.
            check(p.proc.returncode, "how did it end?", r)
            return False
    try:
        p.wait_running(LATE)
    except Failure:
        # Its stub was killed in the middle of a step, and left a SIGSTOP behind that only somebody else can undo.
        check("kill -CONT" in r.err, "held, and nobody says so:", p.states(), r)
        with contextlib.suppress(ProcessLookupError):
            p.kill(signal.SIGCONT)
        p.wait_running(LATE)
    check(p.proc.poll() is None, "the process is gone:", r)
    try:
        check("ok" in p.wait_line(r"^tick \d+", 5, len(p.lines)), r)
    except Failure:
        if harm:
            p.stop()
            return False
        raise
    deadline = time.monotonic() + LATE
    while lane.others() and time.monotonic() < deadline:
        time.sleep(0.05)
    check(not lane.others(), "a snapshot is left:", lane.others(), r)
    return True


def matrix(session, cells):
    """Makes the runs, some at a time: what came of them, as a line; fails for all that is bad."""
    exe, free, bad, profiles, errors, lock = build("ticks"), [], [], [0, 0], [0], threading.Lock()
    slowest, ended = [0], [0]

    def cell(c):
        up, n, fault = c
        with lock:
            lane = free.pop() if free else Lane(exe)
        try:
            r, relay, files, right = one_run(session, lane, up=up, n=n, fault=fault)
            lives = judge(r, lane, files, right, session, fault)
            with lock:
                ended[0] += not lives
                profiles[0] += r.rc == 0
                profiles[1] += r.rc == 0 and not relay.hit
                slowest[0] = max(slowest[0], r.secs)
                errors[0] += r.rc != 0
        except (Failure, AssertionError) as e:
            bad.append(f"{session}: {fault}, packet {n} {'to' if up else 'from'} the stub: {e}")
            if lane.prog:
                lane.prog.stop()
        with lock:
            free.append(lane)

    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        list(pool.map(cell, cells))
    for lane in free:
        if lane.prog:
            lane.prog.stop()
    check(not bad, f"{len(bad)} of {len(cells)}:\n" + "\n".join(bad[:20]))
    return f"{session}: {len(cells)} faults: {profiles[0]} right profiles ({profiles[1]} before the fault), " \
           f"{errors[0]} clear errors; the slowest {slowest[0]:.1f} s" + \
           (f"; {ended[0]} times the process came to harm" if ended[0] else "")


def count(session):
    """How many packets go each way, where nothing happens."""
    lane = Lane(build("ticks"))
    r, relay, files, right = one_run(session, lane)
    judge(r, lane, files, right, session, None)
    check(r.rc == 0, r)
    lane.prog.stop()
    return relay.count


@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("session", SESSIONS)
def test_few_packets(session, say):
    total = count(session)
    cells = []
    for i, fault in enumerate(FAULTS):
        # Where it begins, where it ends, and somewhere in between; each fault elsewhere.
        for part in (0.02 * i, 0.2 + 0.09 * i):
            cells.append((False, int(total[0] * part), fault))
        cells.append((True, total[1] - 1 - i, fault))
    say(matrix(session, cells))


VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--exit-on-first-error=yes", "--child-silent-after-fork=yes",
            "--undef-value-errors=yes", "--leak-check=full", "--errors-for-leak-kinds=definite"]


@pytest.mark.needs("gdbserver", "valgrind")
@pytest.mark.timeout(120)
def test_valgrind(monkeypatch):
    """No byte is read that was not written, nothing is lost, on the ways out either: a few of the cells."""
    script = os.path.join(tmpdir(), "grf-rsp")
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\nexec {' '.join(VALGRIND)} {GRF} \"$@\"\n")
    os.chmod(script, 0o755)
    lane = Lane(build("ticks"))
    monkeypatch.setattr("lib.GRF", script)
    for fault, up, n in ("content", False, 40), ("closed", False, 120), ("cut", True, 150):
        r, _, files, _ = one_run("plain", lane, timeout=4, up=up, n=n, fault=fault)
        check(r.argv[0] == script and r.rc in (0, 1) and "==" not in r.err, r)
        check(r.rc == 0 or not files, files)
        lane.prog.wait_running(LATE)


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_packet(session, fault, say):
    total = count(session)
    say(f"{fault}, " + matrix(session, [(up, n, fault) for up in (False, True) for n in range(0, total[up], EVERY)]))
