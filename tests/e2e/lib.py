"""What the end-to-end tests share: Go programs, gdbserver, grf-rsp and its outputs.

Everything that a test starts ends with that test: apart.py gives each test a process group and a
directory of its own, and removes both.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBJDIR = os.path.abspath(os.environ.get("OBJDIR", os.path.join(TOP, "build")))
GRF = os.environ.get("GRF", os.path.join(OBJDIR, "grf-rsp"))
GO_VERSION = os.environ.get("GO_VERSION", "1.26.8")
PAGE = 8192


# The releases of the big matrices; GRF_RELEASES names others.
RELEASES = os.environ.get("GRF_RELEASES", "1.17.13 1.18.10 1.19.13 1.20.14 1.21.13 1.22.12 1.23.12 1.24.10 1.25.5 1.26.8 "
                          "1.27.3").split()


def versions(few):
    """The releases of a test that has no matrix: the given ones, or those that GRF_RELEASES names."""
    return os.environ.get("GRF_RELEASES", few).split()


def minor(version):
    return ".".join(version.split(".")[:2])


class Skip(unittest.SkipTest):
    """This machine cannot run the test; the message says why.  (pytest knows SkipTest.)"""


class Failure(AssertionError):
    """The test failed; the message says how."""


def check(cond, *what):
    __tracebackhide__ = True
    if not cond:
        raise Failure(" ".join(str(w) for w in what))


def once(name, make):
    """The text that make() returns. It is made once a run, however many tests and processes ask for it: the run has a directory
    for such texts (conftest.py), with a lock for each."""
    if "GRF_TESTS_RUN" not in os.environ:
        return make()
    path = os.path.join(os.environ["GRF_TESTS_RUN"], urllib.parse.quote(name, ""))
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            text = make()
            with open(path + ".tmp", "w") as f:
                f.write(text)
            os.replace(path + ".tmp", path)
        with open(path) as f:
            return f.read()


def need(command):
    path = shutil.which(command)
    if not path:
        raise Skip(f"no {command}")
    return path


def tmpdir():
    """A directory that goes away with the test (apart.py sets TMPDIR)."""
    return tempfile.mkdtemp()


def free_port(family=socket.AF_INET):
    with socket.socket(family) as s:
        s.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return s.getsockname()[1]


# Go programs

def go(version=GO_VERSION):
    """The path of a go command of that release, which is fetched if need be."""
    def fetch():
        r = subprocess.run([os.path.join(TOP, "tests/setup/go.sh"), version],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if r.returncode:
            raise Skip(f"no Go {version}: {r.stderr.strip().splitlines()[-1:]}")
        return r.stdout.strip()
    return once(f"go {version}", fetch)


def go_env(**more):
    # GOFLAGS of the environment may hold what another release doesn't know.
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="-mod=mod", GOWORK="off", **more)
    env.setdefault("HOME", "/root")
    # Go 1.19's module index cannot read a toolchain that came as a module ('import "": import of unknown directory').
    env["GODEBUG"] = ",".join(filter(None, [env.get("GODEBUG"), "goindex=0"]))
    return env


def go_build(cwd, out, *flags, version=GO_VERSION, package=".", **env):
    r = subprocess.run([go(version), "build", "-o", out, *flags, package], cwd=cwd, env=go_env(**env),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(r.returncode == 0, f"go build {cwd} ({version}):\n{r.stdout}")
    return out


def go_source(text, version=GO_VERSION, line="1.21"):
    """Builds a program of one file; line: its module's `go` line."""
    src = tmpdir()
    for name, body in ("go.mod", f"module program\n\ngo {line}\n"), ("main.go", text):
        with open(f"{src}/{name}", "w") as f:
            f.write(body)
    return go_build(src, f"{src}/exe", version=version, CGO_ENABLED="0")


def build(name, version=GO_VERSION, flags=(), tag="", **env):
    """Builds tests/progs/NAME, once a run; the module's `go` line is that of the release, as in real life.  The tag stands for
    the flags and the environment."""
    out = os.path.join(OBJDIR, "progs", f"{name}-{version}{tag}")
    env.setdefault("CGO_ENABLED", "0")
    how = " ".join([*(f"{k}={v}" for k, v in sorted(env.items())), *flags])

    def make():
        os.makedirs(os.path.dirname(out), exist_ok=True)
        mod = os.path.join(OBJDIR, "progs", f"{name}-{version}.mod")
        with open(f"{mod}.{os.getpid()}", "w") as f:
            f.write(f"module {name}\n\ngo {minor(version)}\n")
        os.replace(f.name, mod)
        go_build(os.path.join(TOP, "tests/progs", name), out, "-modfile", mod, *flags, version=version, **env)
        return how

    built = once(f"build {os.path.basename(out)}", make)
    check(built == how, f"two builds have the name {os.path.basename(out)}: {built}; {how}")
    return out


class Stopped:
    """What a `with` stops at its end."""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()


class Prog(Stopped):
    """A running program whose output lines are collected."""

    def __init__(self, argv, ready="READY", timeout=60, **kw):
        self.lines = []
        self.cond = threading.Condition()
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, errors="replace", **kw)
        self.pid = self.proc.pid
        self.exe, self.argv = argv[0], argv
        threading.Thread(target=self._read, daemon=True).start()
        if ready:
            self.wait_line(ready, timeout)

    def _read(self):
        for line in self.proc.stdout:
            with self.cond:
                self.lines.append(line.rstrip("\n"))
                self.cond.notify_all()
        with self.cond:
            self.lines.append(None)  # the end
            self.cond.notify_all()

    def wait_line(self, pattern, timeout=30, start=0):
        """The first line from the given index on that matches; its index is in self.at."""
        deadline = time.monotonic() + timeout
        with self.cond:
            i = start
            while True:
                while i < len(self.lines):
                    line = self.lines[i]
                    if line is None:
                        raise Failure(f"{self.exe} ended before {pattern!r}: {self.lines[-6:-1]}")
                    if re.search(pattern, line):
                        self.at = i
                        return line
                    i += 1
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.exe}: no {pattern!r} in {timeout} s; last: {self.lines[-3:]}")
                self.cond.wait(left)

    def kill(self, sig):
        os.kill(self.pid, sig)

    def ask(self, sig, pattern, timeout=90):
        """Sends a signal and waits for the answer."""
        start = len(self.lines)
        self.kill(sig)
        return self.wait_line(pattern, timeout, start)

    def states(self):
        """The state letter of every thread."""
        out = {}
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{self.pid}/task/{tid}/stat") as f:
                    out[int(tid)] = f.read().rpartition(")")[2].split()[0]
        return out

    def stopped(self):
        return any(s in "tTX" for s in self.states().values())

    def wait_running(self, timeout=1.0):
        """Seconds until no thread is stopped any more."""
        start = time.monotonic()
        while self.stopped():
            if time.monotonic() - start > timeout:
                raise Failure(f"still stopped after {timeout} s: {self.states()}")
            time.sleep(0.005)
        return time.monotonic() - start

    def wait_stopped(self, timeout=10.0):
        start = time.monotonic()
        while not self.stopped():
            check(time.monotonic() - start < timeout, "never stopped")
            time.sleep(0.002)

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()


def start_zoo(*args, version=GO_VERSION, **kw):
    return Prog([build("zoo", version, **kw), *args])


def assert_alive(prog, timeout=1.0):
    """Zoo runs (and ticks, with -tick), and its payloads are whole."""
    prog.wait_running(timeout)
    if "-tick" in prog.argv:
        start = len(prog.lines)
        line = prog.wait_line(r"^tick \d+", 5, start)
    else:
        line = prog.ask(signal.SIGUSR1, "^checksums|^BAD", 5)
    check("ok" in line, line)


def run(*argv):
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(r.returncode == 0, " ".join(argv), r.stdout)


def c_program(version, tag, flags, start=Prog):
    lib = build("zoo", version, tag=tag, flags=["-buildmode=c-shared", "-tags=cshared", *flags], CGO_ENABLED="1")
    host = os.path.join(tmpdir(), "host")
    run("gcc", "-o", host, os.path.join(TOP, "tests/progs/cshared/host.c"), "-ldl", "-lpthread")
    return start([host, lib]), lib


def plugins(version, flags=()):
    """A host with two plugins of the same source."""
    d = tmpdir()
    shutil.copytree(os.path.join(TOP, "tests/progs/plugin"), f"{d}/src")
    shutil.copytree(f"{d}/src/plug", f"{d}/src/plug2")
    for out, mode in ("host", []), ("plug", ["-buildmode=plugin"]), ("plug2", ["-buildmode=plugin"]):
        go_build(f"{d}/src", f"{d}/{out}", *mode, *flags, version=version, package=f"./{out}", CGO_ENABLED="1")
    return d


# gdbserver

class Gdbserver(Stopped):
    """gdbserver on a free TCP port of localhost."""

    def __init__(self, *args, pid=None, host="localhost", family=None, wrapper=()):
        need("gdbserver")
        self.port = free_port(socket.AF_INET6 if host.startswith("[") else socket.AF_INET)
        argv = [*wrapper, "gdbserver", *args]
        argv += ["--attach", f"{host}:{self.port}", str(pid)] if pid else [f"{host}:{self.port}"]
        self.log = []
        self.target = f"{host}:{self.port}"
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, errors="replace")
        self.ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self.ready.wait(20):
            raise Failure(f"gdbserver does not listen: {self.log}")

    def _read(self):
        for line in self.proc.stdout:
            self.log.append(line.rstrip("\n"))
            if "Listening on port" in line:
                self.ready.set()

    def stop(self):
        """SIGTERM: gdbserver goes, and what it was attached to runs on."""
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(20)
            except subprocess.TimeoutExpired:
                self.proc.kill()
        self.proc.wait()


def multi():
    return Gdbserver("--multi")


def attach(pid, once=True, **kw):
    return Gdbserver(*(["--once"] if once else []), pid=pid, **kw)


class Relay:
    """A listener (TCP or unix) that passes bytes on to a TCP port of localhost.  `hook(data, up)`
    sees each piece (up: towards the stub) and returns what goes on, or None to close both ends."""

    def __init__(self, port, hook=None, unix=None):
        self.to, self.hook = port, hook or (lambda data, up: data)
        if unix:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(unix)
            self.target = f"unix:{unix}"
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.target = f"localhost:{self.listener.getsockname()[1]}"
        self.listener.listen(5)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
                b = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            for s in (a, b):
                if s.family != socket.AF_UNIX:
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(a, b, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(b, a, False), daemon=True).start()

    def _pump(self, src, dst, up):
        with contextlib.suppress(OSError):
            while True:
                data = src.recv(65536)
                if data:
                    data = self.hook(data, up)
                if not data:
                    break
                dst.sendall(data)
        for s in (src, dst):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()


class Listener:
    """A server that is no stub: serve(conn) runs for each connection."""

    def __init__(self, serve):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(5)
        self.port = self.sock.getsockname()[1]
        self.target = f"localhost:{self.port}"
        self.connections = 0
        self.serve = serve
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn):
        with contextlib.suppress(OSError), conn:
            self.serve(conn)


# grf-rsp

class Run:
    def __init__(self, argv, out, err, rc, secs):
        self.argv, self.out, self.err, self.rc, self.secs = argv, out, err, rc, secs

    def __str__(self):
        return f"{' '.join(self.argv)}: exit {self.rc} after {self.secs:.1f} s\n{self.out}{self.err}"


def grf(*args, timeout=120, rc=0, cwd=None, env=None):
    """Runs grf-rsp and checks its exit status (rc=None: any)."""
    argv = [GRF, *map(str, args)]
    start = time.monotonic()
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, errors="replace", cwd=cwd or tmpdir(), env=env)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        raise Failure(f"{' '.join(argv)}: hangs (over {timeout} s)\n{out}{err}")
    run = Run(argv, out, err, p.returncode, time.monotonic() - start)
    check(rc is None or run.rc == rc, f"expected exit {rc}:", run)
    return run


class Profile:
    """A run's folded and txt outputs, read back."""

    def __init__(self, dirname, run):
        self.run = run
        self.stacks = read_folded(os.path.join(dirname, "p.folded"))
        with open(os.path.join(dirname, "p.txt")) as f:
            self.text = f.read()
        self.totals = read_totals(self.text)
        self.total = sum(n for _, n in self.stacks)


def profile(target, exe=None, *args, **kw):
    d = tmpdir()
    argv = [*args, "-o", f"{d}/p.folded", "-o", f"{d}/p.txt", target] + ([exe] if exe else [])
    return Profile(d, grf(*argv, **kw))


def read_folded(path):
    out = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            stack, _, n = line.rstrip("\n").rpartition(" ")
            check(stack and n.isdigit(), f"{path}: {line!r}")
            out.append((stack, int(n)))
    return out


def read_totals(text):
    lines = [l for l in text.splitlines() if l.startswith("totals: ")]
    check(len(lines) == 1, f"{len(lines)} lines of totals:\n{text}")
    return {k: int(v) for k, v in (w.split("=") for w in lines[0].split()[1:])}
