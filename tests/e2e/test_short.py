"""How long the process is stopped, known beforehand and limited: the forecast, --fork by default, --max-stop."""

import contextlib
import ctypes
import os
import re
import shutil
import socket
import struct
import threading
import time

import pytest

from lib import *

# A server with 300 MB of objects with pointers, which answers every line it gets.
SERVER = """
package main

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
)

type node struct {
	next *node
	pad  [6]*int
}

var all *node

func main() {
	for i := 0; i < 300<<20/64; i++ {
		all = &node{next: all}
		if i%64 == 0 {
			all.pad[0] = new(int)
		}
	}
	runtime.GC()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("READY", l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				if _, err := r.ReadString('\\n'); err != nil {
					return
				}
				c.Write([]byte("ok\\n"))
			}
		}()
	}
}
"""


def server(**kw):
    p = Prog([once("short server", lambda: keep(go_source(SERVER)))], **kw)
    p.port = int(p.wait_line("READY").split()[1])
    return p


def keep(exe):
    """A file outlives its test in OBJDIR."""
    path = os.path.join(OBJDIR, "progs/short-server")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(exe, path + ".tmp")
    os.replace(path + ".tmp", path)
    return path


class Prober(threading.Thread):
    """As a liveness probe: asks every second, waits for a second, and kills the server when three answers in a row are missing."""

    def __init__(self, p):
        super().__init__(daemon=True)
        self.p, self.missed, self.worst, self.killed, self.over = p, 0, 0, False, threading.Event()
        self.start()

    def ask(self):
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.p.port), 1) as c:
                c.settimeout(1)
                c.sendall(b"?\n")
                return c.recv(16) == b"ok\n"
        return False

    def run(self):
        while not self.over.wait(1):
            self.missed = 0 if self.ask() else self.missed + 1
            self.worst = max(self.worst, self.missed)
            if self.missed == 3:
                self.p.proc.kill()
                self.killed = True
                return

    def end(self):
        self.over.set()
        self.join()


def slow(port, rate):
    """A way to the stub on which memory comes at so many bytes a second."""
    def hook(data, up):
        if not up:
            time.sleep(len(data) / rate)
        return data
    return Relay(port, hook)


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("limited", [False, True])
def test_max_stop_under_a_probe(limited):
    """A stop that turns out longer than --max-stop is let go; without it the probe kills the server."""
    d = tmpdir()
    with server() as p, multi() as g:
        prober, relay = Prober(p), slow(g.port, 10e6)
        args = ["--fork=no", *(["--max-stop", "2"] if limited else []), "-o", f"{d}/out", "-o", f"{d}/a.core"]
        r = grf("-p", p.pid, *args, relay.target, p.exe, rc=1, timeout=200)
        prober.end()
        relay.close()
        check(os.listdir(d) == [], os.listdir(d))
        check(prober.killed != limited, prober.worst, r)
        if limited:
            check("MB are still to be read" in r.err and prober.worst < 3, prober.worst, r)
            p.wait_running()
            check(prober.ask(), "it does not answer")
            # Fast enough, it is done, and the files are there.
            grf("-p", p.pid, *args[:1], "--max-stop", "30", *args[-4:], g.target, p.exe, timeout=200)
            check(sorted(os.listdir(d)) == ["a.core", "out"], os.listdir(d))


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_max_stop_refused_beforehand(stub):
    with server() as p:
        r = grf("-p", p.pid, "--fork=no", "--max-stop", "0.2", stub.target, p.exe, rc=1)
        check("would stop the process for" in r.err and "leave --fork=no out" in r.err, r)
        check(not any("Attached" in l for l in stub.log), stub.log)
        # A fork is shorter.
        r = grf("-p", p.pid, "--max-stop", "0.2", stub.target, p.exe)
        check("read from a fork" in r.out, r)
    for s in "0", "-1", "x", "1x", "", "nan", "inf":
        check("not a number of seconds" in grf("--max-stop", s, stub.target, rc=2).err)


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("how", ["-p", "number", "attach"])
def test_fork_by_default(stub, how, zoo):
    """Where the stop could take over 2 s it is a fork, and the summary says why; --fork=no keeps it from that."""
    def run(p, *args):
        if how == "number":
            return profile(str(p.pid), None, *args, "-v")
        if how == "-p":
            return profile(stub.target, p.exe, "-p", p.pid, *args, "-v")
        with attach(p.pid) as g:
            return profile(g.target, p.exe, *args, "-v")

    def forecast(prof):
        return [float(x) for x in re.search(r"detail +forecast: ([\d.]+) s, at most ([\d.]+) s", prof.text).groups()]

    with server() as p:
        prof = run(p)
        likely, most = forecast(prof)
        check(2 < most < 10 and abs(likely - most / 2) < 0.1, likely, most)
        check("read from a fork, since reading it while it was stopped could have taken" in prof.text, prof.text)
        check("--fork=no" in prof.text and prof.totals["stopped_ns"] < 1e9, prof.text)
        prof = run(p, "--fork=no")
        check("from a fork" not in prof.text and forecast(prof)[1] > 2, prof.text)
        p.wait_running()
    prof = run(zoo)
    check("from a fork" not in prof.text and forecast(prof)[1] < 2, prof.text)


def filtered():
    """Two seccomp filters, which forbid nothing: what they would do is not looked into, so there is no fork."""
    libc = ctypes.CDLL(None)
    allow = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(struct.pack("=H6xQ", 1, ctypes.addressof(allow)))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    for _ in range(2):
        libc.prctl(22, 2, program)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_fork_by_default_not_safe(stub):
    """Where it is not safe the stopped process is read, and a note says why; --max-stop may be against that."""
    with server(preexec_fn=filtered) as p:
        text = profile(stub.target, p.exe, "-p", p.pid).text
        check("read while the process was stopped, not from a fork: " in text and "seccomp" in text, text)
        check("seccomp" in grf("--fork", "-p", p.pid, stub.target, p.exe, rc=1).err)
        r = grf("--max-stop", "0.2", "-p", p.pid, stub.target, p.exe, rc=1)
        check("would stop the process for" in r.err and "--fork says why" in r.err, r)


@pytest.mark.needs("gdbserver")
def test_stopped_since_attached(zoo, stub):
    """gdbserver --attach stops the process before we come, and the summary says for how long."""
    with attach(zoo.pid) as g:
        start = time.monotonic()
        time.sleep(2)
        text = profile(g.target, zoo.exe).text
        most = time.monotonic() - start + 1
    m = re.search(r"^stopped +since gdbserver attached, ([\d.]+) s; ([\d.]+) (ms|s) of that by grf-rsp, ", text, re.M)
    check(m and 2 <= float(m.group(1)) <= most, most, text)
    check("since gdbserver" not in profile(stub.target, zoo.exe, "-p", zoo.pid).text)


# What is read is what is looked at

FRAGMENTS = """
package main

import (
	"fmt"
	"runtime"
	"time"
)

type node struct {
	next *node
	pad  [6]*int
}

var keep []*node

func main() {
	all := make([]*node, 0, 2<<20)
	for i := 0; i < cap(all); i++ {
		all = append(all, &node{})
	}
	for i := 0; i < len(all); i += 100 {
		keep = append(keep, all[i])
	}
	all = nil
	runtime.GC()
	runtime.GC()
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
"""


def plan(text):
    """MB that were asked for, and that were looked at."""
    looked, asked = re.search(r"looked at: ([\d.]+) MB of the ([\d.]+) MB", text).groups()
    return float(asked), float(looked)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_dead_slots_are_not_read(stub):
    """Of a heap of 160 MB whose spans are nearly empty little is read; a core has all, and says the same."""
    d = tmpdir()
    with Prog([go_source(FRAGMENTS)]) as p:
        prof = profile(stub.target, p.exe, "-p", p.pid, "-v", "--fork=no")
        asked, looked = plan(prof.text)
        check(asked < 15 and asked < 1.6 * looked, prof.text)
        whole = profile(stub.target, p.exe, "-p", p.pid, "-v", "--fork=no", "-o", f"{d}/a.core")
        check(plan(whole.text)[0] > 100, whole.text)
        check(whole.stacks == prof.stacks == profile(f"{d}/a.core", p.exe).stacks, whole.text, prof.text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_what_is_read_is_looked_at(zoo, stub, say):
    prof = profile(stub.target, zoo.exe, "-p", zoo.pid, "-v")
    asked, looked = plan(prof.text)
    say(f"zoo: {asked} MB asked for, {looked} MB looked at")
    check(looked <= asked <= 1.1 * looked, prof.text)
