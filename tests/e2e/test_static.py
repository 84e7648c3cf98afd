"""The static binary, where there is nothing else: an empty directory as the root, and a debug image beside a service."""

import os
import re
import shutil
import subprocess
import time

import pytest

from containers import static_binary, with_libraries
from lib import *


@pytest.fixture
def static():
    return static_binary()


def test_static_binary(static):
    """One stripped file of at most 4 MB, without an interpreter or libraries."""
    check(os.path.getsize(static) <= 4 << 20, os.path.getsize(static))
    out = subprocess.run(["readelf", "-lWd", static], stdout=subprocess.PIPE, text=True, check=True).stdout
    check("INTERP" not in out and "(NEEDED)" not in out, out)
    out = subprocess.run(["readelf", "-SW", static], stdout=subprocess.PIPE, text=True, check=True).stdout
    check(".symtab" not in out, out)


@pytest.mark.needs("gdbserver", "strace")
def test_static_in_an_empty_root(static, zoo, stub):
    """A whole run on a stub outside; a host's name is looked up, and no library is loaded."""
    if os.getuid():
        pytest.skip("chroot wants root")
    root = tmpdir()
    shutil.copy(static, f"{root}/grf-rsp")
    heap = int(zoo.wait_line(r"^heapalloc ").split()[1])
    for host in "127.0.0.1", "localhost":
        r = subprocess.run(["strace", "-f", "-qq", "-e", "trace=openat,open,execve", "-o", f"{root}/trace", "chroot", root, "/grf-rsp", "-p",
                            str(zoo.pid), "-o", "/p.txt", f"{host}:{stub.port}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env={"HOME": "/", "PATH": os.environ["PATH"]})
        if host == "localhost" and r.returncode and "cannot resolve" in r.stdout:
            continue  # without /etc/hosts and a server nobody knows it
        check(r.returncode == 0, r.stdout)
        with open(f"{root}/p.txt") as f:
            check(abs(read_totals(f.read())["allocated_bytes"] - heap) <= PAGE, r.stdout)
    with open(f"{root}/trace") as f:
        ours = f.read().partition('execve("/grf-rsp"')[2]  # chroot itself is linked with libraries
    check(ours and ".so" not in ours, ours)
    assert_alive(zoo)


# Containers

@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_debug_image(static, podman):
    """tests/containers/Containerfile, built, and used on a container with which only the pid namespace is shared: by id, by name,
    and from outside through a pipe."""
    podman.image("zoo", {"/zoo": build("zoo")}, ["/zoo", "-tick"])
    podman.image("base", {**with_libraries(**{"/bin/sh": "dash", "/usr/bin/gdbserver": "gdbserver", "/bin/sleep": "sleep"}),
                          static: static}, None, "ENV PATH=/usr/bin:/bin")
    podman("build", "-q", "-t", "debug", "--build-arg", "BASE=localhost/base", "-f",
           os.path.join(TOP, "tests/containers/Containerfile"), os.path.dirname(static))
    service = podman.run("zoo")
    service.wait_line("^READY$")
    heap = int(service.wait_line("^heapalloc ").split()[1])
    debug = podman.run("debug", "--pid", f"container:{service.name}", "--cap-add", "SYS_PTRACE", "--tmpfs", "/tmp",
                       args=("/bin/sleep", "1000"))
    for args in ["1"], ["-p", "zoo"]:
        out = podman("exec", debug.name, "grf-rsp", "-o", "/tmp/p.txt", "-v", *args)
        check("process      /zoo, pid 1" in out, out)
        check(abs(read_totals(out)["allocated_bytes"] - heap) < heap / 10, heap, out)
    prof = profile(debug.exec("gdbserver", "--once", "--multi", "-"), None, "-p", "zoo")
    check("process      /zoo, pid 1" in prof.text, prof.text)
    with open(f"/proc/{service.pid}/status") as f:
        status = f.read()
    check(re.search(r"^State:\s*[SR]", status, re.M) and re.search(r"^TracerPid:\s*0$", status, re.M), status)
    start = service.log()
    time.sleep(1)
    more = service.log()[len(start):]
    check("BAD" not in more and "tick" in more, more)
