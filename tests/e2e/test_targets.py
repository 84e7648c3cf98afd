"""Every way to spell TARGET, and EXE left out."""

import os
import shutil
import socket
import stat
import time

import pytest

from exactness import check_sums
from lib import *


def good(p, target, *args, exe=True, **kw):
    prof = profile(target, p.exe if exe else None, *args, **kw)
    check_sums(prof.totals)
    check(any(s.startswith("main.zooSlice") for s, _ in prof.stacks), prof.stacks[:5])
    assert_alive(p)
    return prof


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_host_port(ticking):
    with attach(ticking.pid) as g:
        good(ticking, f"localhost:{g.port}")
    with attach(ticking.pid, host="127.0.0.1") as g:
        good(ticking, f"127.0.0.1:{g.port}")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_port_alone(ticking):
    with attach(ticking.pid) as g:
        good(ticking, f":{g.port}")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_ipv6():
    try:
        free_port(socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    p = start_zoo("-tick")
    with attach(p.pid, host="[::1]") as g:
        good(p, f"[::1]:{g.port}")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_unix_socket(ticking):
    path = tmpdir() + "/sock"
    with attach(ticking.pid) as g:
        Relay(g.port, unix=path)
        good(ticking, f"unix:{path}")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_pipe(ticking):
    good(ticking, f"| gdbserver --once - --attach {ticking.pid}")
    good(ticking, f"|exec gdbserver --once stdio --attach {ticking.pid}")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_attach_by_pid(stub):
    """One gdbserver --multi serves many runs."""
    p, q = start_zoo("-tick"), start_zoo("-tick")
    good(p, stub.target, "-p", p.pid)
    good(q, stub.target, "-p", q.pid)
    good(p, stub.target, "-p", p.pid)
    assert_alive(q)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_gdbserver_goes_with_us(ticking):
    """--attach without --once: it must neither hold the process nor be left without a word."""
    with attach(ticking.pid, once=False) as g:
        good(ticking, g.target)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_exe_from_the_stub(zoo):
    # Not -tick: see exactness.exact().
    with attach(zoo.pid) as g:
        first = good(zoo, g.target, exe=False)
    time.sleep(0.3)  # until it sleeps again
    with multi() as g:
        second = profile(g.target, None, "-p", zoo.pid)  # now from the cache
        given = profile(g.target, zoo.exe, "-p", zoo.pid)
    # threads, and what the runtime has of them, come and go between two stops
    fetched, named = ([(s, n) for s, n in prof.stacks if s.startswith("main.")] for prof in (second, given))
    check(fetched and fetched == named, "without EXE the profile is another one:", sorted(set(fetched) ^ set(named))[:6])
    assert first.totals["unnamed_bytes"] < PAGE


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_cache_is_ours_alone(zoo):
    """Fetched executables are kept in a folder of ours, and believed if they begin as the stub's does; else they are fetched anew."""
    d = tmpdir()

    def run(cache, **env):
        base = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
        with multi() as g:
            r = grf("-o", f"{d}/p.folded", "-p", zoo.pid, g.target, env=base | env)
        check("main.tree" in open(f"{d}/p.folded").read() and "unnamed 0.00 %" in r.out, r)
        return sorted(os.listdir(cache)) if os.path.isdir(cache) else None

    check(run("/tmp/.cache/grf-rsp", TMPDIR=d) is None, "no HOME, and a cache")
    check(not [n for n in os.listdir(d) if n.startswith("grf-rsp-")], "a temporary file is left", os.listdir(d))
    kept, = run(f"{d}/home/.cache/grf-rsp", HOME=mkdir(f"{d}/home"))
    check(stat.S_IMODE(os.stat(f"{d}/home/.cache/grf-rsp").st_mode) == 0o700, "mode")

    # a stub can claim another program's id
    path = f"{d}/home/.cache/grf-rsp/{kept}"
    shutil.copy(build("leak"), path)
    old = f"{d}/home/.cache/grf-rsp/old"
    open(old, "w").close()
    os.utime(old, (time.time() - 100 * 86400,) * 2)
    check(run(f"{d}/home/.cache/grf-rsp", HOME=f"{d}/home") == [kept], "what nobody used for 100 days is kept")
    with open(path, "rb") as a, open(zoo.exe, "rb") as b:
        check(a.read() == b.read(), "another program is kept under its id")

    # somebody else's, or open to others: not used, nothing is written there
    shutil.rmtree(f"{d}/home/.cache/grf-rsp")
    os.symlink(mkdir(f"{d}/elsewhere"), f"{d}/home/.cache/grf-rsp")
    check(run(f"{d}/elsewhere", HOME=f"{d}/home") == [], "a link is followed")
    os.unlink(f"{d}/home/.cache/grf-rsp")
    os.chmod(mkdir(f"{d}/home/.cache/grf-rsp"), 0o777)
    check(run(f"{d}/home/.cache/grf-rsp", HOME=f"{d}/home") == [], "a folder that anybody can write to is used")


def mkdir(path):
    os.makedirs(path)
    return path


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_deleted_exe_from_the_stub():
    exe = tmpdir() + "/zoo"
    with open(build("zoo"), "rb") as a, open(exe, "wb") as b:
        b.write(a.read())
    os.chmod(exe, 0o755)
    p = Prog([exe, "-tick"])
    os.unlink(exe)
    with attach(p.pid) as g:
        good(p, g.target, exe=False)
