"""--fork under seccomp filters: the default profiles on real containers, and filters that do everything to every call."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from apart import living_in
from containers import *
from exactness import check_sums
from lib import *
from test_fork import Server, children, copies, numbers

FORKS = int(os.environ.get("GRF_FORKS", "30"))
PROFILES = os.path.join(TOP, "tests/e2e/seccomp")


@pytest.fixture
def podman():
    with Podman() as p:
        yield p


class Service:
    """The server in a container under load, as test_fork.Server has it; the load is in the container, too, as it has no network."""

    def __init__(self, podman, *options, wrapper=()):
        image = podman.program("server", build("server"))
        self.c = podman.run(image, *options)
        self.pid = self.c.pid
        addr = self.c.wait_line("^READY ").split()[1]
        self.podman = podman
        podman("exec", "-d", self.c.name, "sh" if wrapper else "/app", "-load", addr)
        time.sleep(1)
        self.exe = build("server")
        self.load = [p for p in self.processes() if p != self.pid]
        self.before = self.state()

    def processes(self):
        with open(f"/sys/fs/cgroup/pids{self.cgroup()}/cgroup.procs") as f:
            return [int(l) for l in f]

    def cgroup(self):
        with open(f"/proc/{self.pid}/cgroup") as f:
            return re.search(r":pids:(.*)", f.read()).group(1)

    def state(self):
        start = len(self.c.log().split("\n"))
        os.kill(self.pid, signal.SIGUSR1)
        return numbers(self.c.wait_line("^state|^BAD", 10, start))

    def check(self):
        check("BAD" not in self.c.log(), self.c.log()[-300:])
        now = self.state()
        check(now["rounds"] > self.before["rounds"], "it does not go on:", now)
        check(now["sigchlds"] in (now["children"], now["children"] - 1), "signals:", now)
        mine = [p for p, state in children(self.pid) if state == "Z"]
        time.sleep(0.05)
        check(not [p for p, state in children(self.pid) if state == "Z" and p in mine], "zombies:", children(self.pid))
        return now


def default(name):
    """A profile's path: podman's as it is installed, those of others as they are published."""
    return DEFAULT_PROFILE if name == "podman" else f"{PROFILES}/{name}.json"


@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("name", ["podman"])
def test_default_profiles(podman, stub, name):
    """Its own profile is read from the runtime's files, and allows it."""
    s = Service(podman, "--security-opt", f"seccomp={default(name)}")
    check(stat_of(s.pid, "Seccomp") == "2", "no filter")
    for _ in range(3):
        p = profile(stub.target, s.exe, "-p", s.pid, "--fork")
        check_sums(p.totals)
        check(f"/run/runc/{s.c.id}/state.json" in p.run.out, p.run)
        s.check()
