"""Every way to spell TARGET, and EXE left out."""

import os
import socket
import time

from lib import *


def good(p, target, *args, exe=True, **kw):
    prof = profile(target, p.exe if exe else None, *args, **kw)
    check_sums(prof.totals)
    check(any(s.startswith("main.zooSlice") for s, _ in prof.stacks), prof.stacks[:5])
    assert_alive(p)
    return prof


@case(timeout=120, needs=["gdbserver"])
def host_port():
    p = zoo("-tick")
    with attach(p.pid) as g:
        good(p, f"localhost:{g.port}")
    with attach(p.pid, host="127.0.0.1") as g:
        good(p, f"127.0.0.1:{g.port}")


@case(timeout=120, needs=["gdbserver"])
def port_alone():
    p = zoo("-tick")
    with attach(p.pid) as g:
        good(p, f":{g.port}")


@case(timeout=120, needs=["gdbserver"])
def ipv6():
    try:
        free_port(socket.AF_INET6)
    except OSError:
        raise Skip("no IPv6 here")
    p = zoo("-tick")
    with attach(p.pid, host="[::1]") as g:
        good(p, f"[::1]:{g.port}")


@case(timeout=120, needs=["gdbserver"])
def unix_socket():
    p = zoo("-tick")
    path = tmpdir() + "/sock"
    with attach(p.pid) as g:
        Relay(g.port, unix=path)
        good(p, f"unix:{path}")


@case(timeout=120, needs=["gdbserver"])
def pipe():
    p = zoo("-tick")
    good(p, f"| gdbserver --once - --attach {p.pid}")
    good(p, f"|exec gdbserver --once stdio --attach {p.pid}")


@case(timeout=120, needs=["gdbserver"])
def attach_by_pid():
    """One gdbserver --multi serves many runs."""
    p, q = zoo("-tick"), zoo("-tick")
    with multi() as g:
        good(p, g.target, "-p", p.pid)
        good(q, g.target, "-p", q.pid)
        good(p, g.target, "-p", p.pid)
        assert_alive(q)


@case(timeout=120, needs=["gdbserver"])
def gdbserver_goes_with_us():
    """--attach without --once: it must neither hold the process nor be left without a word."""
    p = zoo("-tick")
    with attach(p.pid, once=False) as g:
        good(p, g.target)


@case(timeout=180, needs=["gdbserver"])
def exe_from_the_stub():
    p = zoo()  # not -tick: see case_b_exact.py
    with attach(p.pid) as g:
        first = good(p, g.target, exe=False)
    time.sleep(0.3)  # until it sleeps again
    with multi() as g:
        second = profile(g.target, None, "-p", p.pid)  # now from the cache
        given = profile(g.target, p.exe, "-p", p.pid)
    check(second.stacks == given.stacks, "without EXE the profile is another one:",
          sorted(set(second.stacks) ^ set(given.stacks))[:6])
    check(first.totals["unnamed_bytes"] < PAGE, first.totals)


@case(timeout=180, needs=["gdbserver"])
def deleted_exe_from_the_stub():
    exe = tmpdir() + "/zoo"
    with open(build("zoo"), "rb") as a, open(exe, "wb") as b:
        b.write(a.read())
    os.chmod(exe, 0o755)
    p = Prog([exe, "-tick"])
    os.unlink(exe)
    with attach(p.pid) as g:
        good(p, g.target, exe=False)
