"""Output files: found unwritable before anything is stopped; whole or not at all."""

import os
import shutil
import subprocess
import time

from lib import *


@case()
def not_writable_is_found_first():
    """Not even a connection is made."""
    def serve(conn):
        time.sleep(30)

    l = Listener(serve)
    d = tmpdir()
    os.mkdir(d + "/dir")
    for path in d + "/no/such/dir/grf.out", d + "/dir", "/proc/grf.out":
        r = grf("-o", d + "/first.folded", "-o", path, "--timeout", 5, l.target, build("zoo"), rc=1)
        check(path in r.err and len(r.err.strip().splitlines()) == 1, r)
        check(os.listdir(d) == ["dir"], os.listdir(d))
    if os.geteuid():
        os.chmod(d, 0o555)
        grf("-o", d + "/x", l.target, build("zoo"), rc=1)
        os.chmod(d, 0o755)
    check(l.connections == 0, l.connections, "connections")


@case(timeout=120, needs=["gdbserver"])
def formats_by_name():
    p = zoo("-tick")
    d = tmpdir()
    with multi() as g:
        r = grf("-p", p.pid, "-o", "a.folded", "-o", "b.txt", "-o", "c.pb.gz", "-o", "d", g.target, p.exe, cwd=d)
        check(sorted(os.listdir(d)) == ["a.folded", "b.txt", "c.pb.gz", "d"], os.listdir(d))
        d2 = tmpdir()
        r = grf("-p", p.pid, g.target, p.exe, cwd=d2)
        check(os.listdir(d2) == ["grf.out"], os.listdir(d2))
        check("go tool pprof -http=:8080 grf.out" in r.out, r)
        check("coverage" in r.out and "main.zooSparse" in r.out and "stopped" in r.out, r)
        check("totals:" not in r.out, "details without -v:", r)
        check("totals:" in grf("-v", "-p", p.pid, "-o", d2 + "/v", g.target, p.exe).out, "-v")
        r = grf("-q", "-p", p.pid, "-o", d2 + "/q", g.target, p.exe)
        check(r.out == "" and r.err == "", "-q:", r)
    for name in "c.pb.gz", "d":
        with open(f"{d}/{name}", "rb") as f:
            check(f.read(4) == b"\x1f\x8b\x08\x00", name)
    read_totals(open(d + "/b.txt").read())
    assert_alive(p)


@case(timeout=120, needs=["gdbserver"])
def disk_full():
    p = zoo("-tick")
    with multi() as g:
        r = grf("-p", p.pid, "-o", "/dev/full", g.target, p.exe, rc=1)
        check("/dev/full" in r.err and "space" in r.err, r)
        assert_alive(p)
        d = tmpdir()
        # As root a real full disk.
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", d],
                          stderr=subprocess.DEVNULL).returncode:
            d = None
        try:
            if d:
                with open(d + "/old.folded", "w") as f:
                    f.write("old 1\n")
                r = grf("-p", p.pid, "-o", d + "/old.folded", "-o", d + "/new", g.target, p.exe, rc=1, cwd="/")
                check("space" in r.err and len(r.err.strip().splitlines()) == 1, r)
                check(os.listdir(d) == ["old.folded"], os.listdir(d))
                check(open(d + "/old.folded").read() == "old 1\n", "the old file was damaged")
        finally:
            if d:
                subprocess.run(["umount", d])
    assert_alive(p)
