"""Output files: found unwritable before anything is stopped; whole or not at all."""

import json
import os
import re
import subprocess
import time

import pytest

from lib import *


def test_not_writable_is_found_first():
    """Not even a connection is made."""
    def serve(conn):
        time.sleep(30)

    l = Listener(serve)
    d = tmpdir()
    os.mkdir(d + "/dir")
    for path in d + "/no/such/dir/grf.out", d + "/dir", "/proc/grf.out":
        r = grf("-o", d + "/first.folded", "-o", path, "--timeout", 5, l.target, build("zoo"), rc=1)
        check(path in r.err and len(r.err.strip().splitlines()) == 1, r)
        assert os.listdir(d) == ["dir"]
    if os.geteuid():
        os.chmod(d, 0o555)
        grf("-o", d + "/x", l.target, build("zoo"), rc=1)
        os.chmod(d, 0o755)
    check(l.connections == 0, l.connections, "connections")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_formats_by_name(ticking, stub):
    d = tmpdir()
    r = grf("-p", ticking.pid, "-o", "a.folded", "-o", "b.txt", "-o", "c.pb.gz", "-o", "d", stub.target, ticking.exe, cwd=d)
    assert sorted(os.listdir(d)) == ["a.folded", "b.txt", "c.pb.gz", "d"]
    d2 = tmpdir()
    r = grf("-p", ticking.pid, stub.target, ticking.exe, cwd=d2)
    assert os.listdir(d2) == ["grf.out"]
    check("go tool pprof -http=:8080 grf.out" in r.out, r)
    check("coverage" in r.out and "main.zooSparse" in r.out and "stopped" in r.out, r)
    check("totals:" not in r.out, "details without -v:", r)
    check("totals:" in grf("-v", "-p", ticking.pid, "-o", d2 + "/v", stub.target, ticking.exe).out, "-v")
    r = grf("-q", "-p", ticking.pid, "-o", d2 + "/q", stub.target, ticking.exe)
    check(r.out == "" and r.err == "", "-q:", r)
    for name in "c.pb.gz", "d":
        with open(f"{d}/{name}", "rb") as f:
            check(f.read(4) == b"\x1f\x8b\x08\x00", name)
    read_totals(open(d + "/b.txt").read())
    assert_alive(ticking)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_disk_full(ticking, stub):
    r = grf("-p", ticking.pid, "-o", "/dev/full", stub.target, ticking.exe, rc=1)
    check("/dev/full" in r.err and "space" in r.err, r)
    assert_alive(ticking)
    d = tmpdir()
    # As root a real full disk.
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", d],
                      stderr=subprocess.DEVNULL).returncode:
        d = None
    try:
        if d:
            with open(d + "/old.folded", "w") as f:
                f.write("old 1\n")
            r = grf("-p", ticking.pid, "-o", d + "/old.folded", "-o", d + "/new", stub.target, ticking.exe, rc=1, cwd="/")
            check("space" in r.err and len(r.err.strip().splitlines()) == 1, r)
            assert os.listdir(d) == ["old.folded"]
            check(open(d + "/old.folded").read() == "old 1\n", "the old file was damaged")
            subprocess.run(["mount", "-o", "remount,size=1m", d], check=True)
            r = grf("-p", ticking.pid, "--save-only", "-o", d + "/a.core", stub.target, ticking.exe, rc=1, cwd="/")
            check("No space left" in r.err and not r.out and os.listdir(d) == ["old.folded"], r, os.listdir(d))
    finally:
        if d:
            subprocess.run(["umount", d])
    assert_alive(ticking)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver", "strace")
def test_a_core_is_on_the_disk(ticking, stub):
    """The file is, before it has its name, and then its folder is."""
    d = tmpdir()
    r = grf("-p", ticking.pid, "--save-only", "-o", f"{d}/a.core", stub.target, ticking.exe)
    subprocess.run(["strace", "-qq", "-e", "trace=fsync,linkat,rename", "-o", f"{d}/trace", GRF, "--save-only", "-o", f"{d}/b.core",
                    f"{d}/a.core", ticking.exe], check=True, stdout=subprocess.DEVNULL)
    with open(f"{d}/trace") as f:
        calls = re.findall(r"^(\w+)\(.* = 0$", f.read(), re.M)
    check(calls == ["fsync", "linkat", "fsync"], calls, r)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
def test_sandbox(ticking, stub):
    """When all is captured, what analyses and writes may do little more than that; -v says what, and /proc that it is so."""
    d = tmpdir()
    os.mkfifo(f"{d}/p.json")
    with subprocess.Popen([GRF, "-v", "-p", str(ticking.pid), "-o", f"{d}/p.json", "-o", f"{d}/p.txt", stub.target, ticking.exe],
                          stdout=subprocess.PIPE, text=True) as p:
        with open(f"{d}/p.json") as f:
            first = f.read(1)  # it writes; what it has to say is more than fits the pipe
            with open(f"/proc/{p.pid}/status") as status:
                state = status.read()
            fds = [os.readlink(f"/proc/{p.pid}/fd/{n}") for n in os.listdir(f"/proc/{p.pid}/fd")]
            json.loads(first + f.read())
        out = p.stdout.read()
    check(p.returncode == 0 and os.path.getsize(f"{d}/p.txt"), out)
    says = re.search(r"sandbox: (.*)", out).group(1)
    check(says.startswith("no new privileges") and re.search(r"^NoNewPrivs:\s1$", state, re.M), says, state)
    check(not [x for x in fds if x.startswith("socket:")], "a connection is left open:", fds)
    check(("few (seccomp)" in says) == bool(re.search(r"^Seccomp:\s2$", state, re.M)), says, state)
    if "few (seccomp)" not in says:
        pytest.skip(says)
