"""The static binary, where there is nothing else: an empty directory as the root, and a debug image beside a service."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import pytest

from lib import *

STATIC = os.path.join(OBJDIR, "grf-rsp-static")


@pytest.fixture
def static():
    def make():
        r = subprocess.run(["make", "-s", "static", f"OBJDIR={OBJDIR}"], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True)
        check(r.returncode == 0, "make static:", r.stdout)
        return STATIC
    return once("static", make)


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

class Podman:
    """podman's storage in a directory of its own; containers end with the test."""

    def __init__(self):
        need("podman")
        need("runc")
        if os.getuid():
            raise Skip("podman's containers want root here")
        self.top = tempfile.mkdtemp(prefix="ps.", dir="/tmp")  # short: sockets' paths have 107 bytes
        self.argv = ["podman", "--root", f"{self.top}/r", "--runroot", f"{self.top}/rr", "--tmpdir", f"{self.top}/t",
                     "--cgroup-manager", "cgroupfs", "--runtime", "runc", "--events-backend", "file"]
        self.names = []

    def __call__(self, *args, rc=0):
        r = subprocess.run([*self.argv, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, errors="replace")
        if r.returncode and re.search("OCI runtime|operation not permitted|cgroup", r.stderr, re.I) and "no such file" not in r.stderr:
            raise Skip(f"no containers here: {r.stderr.strip().splitlines()[-1]}")
        check(rc is None or r.returncode == rc, f"podman {' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}{r.stderr}")
        return r.stdout.strip()

    def build(self, name, files, *lines):
        """An image of files {path in it: path here}."""
        d = tempfile.mkdtemp(dir=self.top)
        text = ["FROM scratch"]
        for i, (to, source) in enumerate(files.items()):
            shutil.copy(os.path.realpath(source), f"{d}/{i}")
            os.chmod(f"{d}/{i}", 0o755)
            text.append(f"COPY {i} {to}")
        with open(f"{d}/Containerfile", "w") as f:
            f.write("\n".join([*text, *lines]) + "\n")
        self("build", "-q", "-t", name, d)

    def run(self, *args):
        self.names.append(f"grfs{os.getpid()}-{len(self.names)}")
        self("run", "-d", "--name", self.names[-1], "--ulimit", "nofile=1024:20000", "--ulimit", "nproc=1000:1000", "--network", "none",
             *args)
        return self.names[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in reversed(self.names):
            self("rm", "-f", "-t", "0", name, rc=None)
        for line in reversed(open("/proc/self/mounts").readlines()):
            if line.split()[1].startswith(self.top):
                subprocess.run(["umount", "-l", line.split()[1]], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)


def with_libraries(*commands):
    files = {}
    for path, command in commands:
        files[path] = need(command)
        out = subprocess.run(["ldd", files[path]], stdout=subprocess.PIPE, text=True, check=True).stdout
        files.update({lib: lib for lib in re.findall(r"(/\S+) \(0x", out)})
    return files


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_debug_image(static):
    """tests/containers/Containerfile, built, and used on a container with which only the pid namespace is shared: by id, by name,
    and from outside through a pipe."""
    with Podman() as podman:
        podman.build("zoo", {"/zoo": build("zoo")}, 'ENTRYPOINT ["/zoo", "-tick"]')
        podman.build("base", {**with_libraries(("/bin/sh", "dash"), ("/usr/bin/gdbserver", "gdbserver"), ("/bin/sleep", "sleep")),
                              static: static}, "ENV PATH=/usr/bin:/bin")
        podman("build", "-q", "-t", "debug", "--build-arg", "BASE=localhost/base", "-f",
               os.path.join(TOP, "tests/containers/Containerfile"), os.path.dirname(static))
        service = podman.run("zoo")
        for _ in range(300):
            lines = podman("logs", service).splitlines()
            if "READY" in lines:
                break
            time.sleep(0.1)
        heap = int(next(l for l in lines if l.startswith("heapalloc ")).split()[1])
        debug = podman.run("--pid", f"container:{service}", "--cap-add", "SYS_PTRACE", "--tmpfs", "/tmp", "debug", "/bin/sleep", "1000")
        for args in ["1"], ["-p", "zoo"]:
            out = podman("exec", debug, "grf-rsp", "-o", "/tmp/p.txt", "-v", *args)
            check("process      /zoo, pid 1" in out, out)
            check(abs(read_totals(out)["allocated_bytes"] - heap) < heap / 10, heap, out)
        prof = profile(f"| exec {' '.join(podman.argv)} exec -i {debug} gdbserver --once --multi -", None, "-p", "zoo")
        check("process      /zoo, pid 1" in prof.text, prof.text)
        pid = int(json.loads(podman("inspect", service))[0]["State"]["Pid"])
        with open(f"/proc/{pid}/status") as f:
            status = f.read()
        check(re.search(r"^State:\s*[SR]", status, re.M) and re.search(r"^TracerPid:\s*0$", status, re.M), status)
        start = podman("logs", service)
        time.sleep(1)
        more = podman("logs", service)[len(start):]
        check("BAD" not in more and "tick" in more, more)
