"""Services in containers, as podman and runc make them: nothing that happens there leaves one stopped."""

import os
import re
import signal
import subprocess
import time

import pytest

from containers import *
from exactness import check_sums
from lib import *


@pytest.fixture
def podman():
    with Podman() as p:
        yield p


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
    line = service.wait_line(r"^tick|BAD", 5, start - 1)
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
    check(gdbservers(debug) == [], "left behind:", gdbservers(debug))
