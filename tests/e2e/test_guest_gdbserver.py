"""gdbserver on other architectures: Debian's kernel in an emulated machine, everything in it real but the processor."""

import contextlib
import os
import random
import re
import socket
import subprocess
import time

import pytest

from exactness import *
from guest import cpio
from lib import *

pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("guest")]

# GOARCH: Debian's architecture, suite and kernel; the emulator; the kernel's console.
MACHINES = {
    "arm64": ("arm64 bookworm linux-image-cloud-arm64", "qemu-system-aarch64 -M virt -cpu cortex-a57", "ttyAMA0"),
    "arm": ("armhf bookworm linux-image-armmp", "qemu-system-arm -M virt,highmem=off -cpu cortex-a15", "ttyAMA0"),
    "riscv64": ("riscv64 trixie linux-image-riscv64", "qemu-system-riscv64 -M virt", "ttyS0"),
    "ppc64le": ("ppc64el bookworm linux-image-powerpc64le", "qemu-system-ppc64 -M pseries -cpu power9", "hvc0"),
    "s390x": ("s390x bookworm linux-image-s390x", "qemu-system-s390x -M s390-ccw-virtio", "ttysclp0"),
    "mips64le": ("mips64el bookworm linux-image-5kc-malta", "qemu-system-mips64el -M malta -cpu MIPS64R2-generic", "ttyS0"),
    "mipsle": ("mipsel bookworm linux-image-4kc-malta", "qemu-system-mipsel -M malta -cpu 24Kf", "ttyS0"),
}

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for i in 1 2 3 4; do # whatever needs what
	for m in /mod/*.ko; do $b insmod $m 2> /dev/null; done
done
$b ifconfig lo 127.0.0.1 up
$b ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
$b ln -s /bin/busybox /bin/echo
$b ln -s /bin/busybox /bin/true
cd /tmp
for p in PROGRAMS; do
	/$p > $p.log 2>&1 & echo $! > $p.pid
	until $b grep -q READY $p.log; do $b sleep 1; done
done
if [ -e server.log ]; then
	/server -load $($b sed -n 's/^READY //p' server.log) > load.log 2>&1 & echo $! > load.pid
fi
/bin/gdbserver --multi 0.0.0.0:2345 > gdbserver.log 2>&1 &
until $b netstat -ltn | $b grep -q :2345; do $b sleep 1; done
echo UP > /dev/console
$b nc -ll -p 2346 -e $b sh
"""


class Machine(Stopped):
    def __init__(self, arch, *programs):
        debian, qemu, console = MACHINES[arch]
        need(qemu.split()[0])
        fetched = os.path.join(OBJDIR, "guest-" + arch)
        r = subprocess.run([os.path.join(TOP, "tests/setup/guest-debian.sh"), fetched, *debian.split()], stderr=subprocess.PIPE,
                           text=True)
        if r.returncode:
            pytest.skip(f"no kernel: {r.stderr.strip().splitlines()[-1:]}")
        d = tmpdir()
        files = {os.path.relpath(os.path.join(at, n), f"{fetched}/root"): os.path.join(at, n)
                 for at, _, names in os.walk(f"{fetched}/root") for n in names}
        self.exe = {name: build(name, tag="-" + arch, GOARCH=arch) for name in programs}
        files.update(self.exe)
        with open(f"{d}/init", "w") as f:
            f.write(INIT.replace("PROGRAMS", " ".join(programs)))
        files["init"] = f"{d}/init"
        with open(f"{d}/initrd", "wb") as f:
            f.write(cpio(files, ("bin", "lib", "lib64", "mod")))
        self.stub, self.shell, self.log = free_port(), free_port(), f"{d}/console"
        self.target = f"localhost:{self.stub}"
        self.proc = subprocess.Popen(
            [*qemu.split(), "-m", "512", "-nographic", "-no-reboot", "-monitor", "none", "-serial", f"file:{self.log}",
             "-kernel", f"{fetched}/vmlinuz", "-initrd", f"{d}/initrd", "-append", f"console={console} quiet panic=-1",
             "-device", "pcnet,netdev=n" if "malta" in qemu else "virtio-net,netdev=n", "-netdev",
             f"user,id=n,hostfwd=tcp:127.0.0.1:{self.stub}-:2345,hostfwd=tcp:127.0.0.1:{self.shell}-:2346"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while "UP" not in self.console():
            check(self.proc.poll() is None and time.monotonic() < deadline, "the machine does not start:", self.console())
            time.sleep(0.2)
        self.pid = {n[:-4]: int(self.sh(f"cat /tmp/{n}")) for n in self.sh("ls /tmp").split() if n.endswith(".pid")}

    def console(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def sh(self, command):
        """What commands in there print."""
        text = b"; ".join(b"/bin/busybox " + c.encode() for c in (*command.split("; "), "echo THE-END")) + b"\n"
        for _ in range(8):  # its other end may not listen yet
            out = b""
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.shell)) as s:
                s.settimeout(15)
                s.sendall(text)
                while b"THE-END" not in out and (data := s.recv(65536)):
                    out += data
            if b"THE-END" in out:
                return out.decode().replace("THE-END\n", "")
            time.sleep(1)
        raise Failure(f"the machine's shell does not answer: {self.console()[-300:]}")

    def stop(self):
        self.proc.kill()
        self.proc.wait()

    def server_is_whole(self):
        """No request failed, nothing of ours is left, and it goes on."""
        self.sh(f"kill -USR1 {self.pid['server']} {self.pid['load']}; sleep 2")
        log = self.sh("cat /tmp/server.log")
        check("BAD" not in log and "state " in log, log)
        load = self.sh("tail -n 1 /tmp/load.log")
        assert re.search(r"load ok=[1-9]\d* failed=0 ", load)
        check(re.search(r"State:\s+[SR]", self.sh(f"cat /proc/{self.pid['server']}/status")), "it does not run")
        copies = [l for l in self.sh("ps").splitlines() if l.rstrip().endswith(" /server")]
        assert len(copies) == 1


SLOW = ["--timeout", "120"]  # the s390x one's network stands still for up to half a minute now and then


@pytest.mark.timeout(900)
@pytest.mark.parametrize("arch", MACHINES)
def test_gdbserver_on(arch, leave):
    """The zoo, and goroutines that never wait; a row of docs/SUPPORT.md's table (gdbservers.md)."""
    with Machine(arch, "zoo", "spin") as m:
        lines = m.sh("cat /tmp/zoo.log").splitlines()
        heap = int(next(l for l in lines if l.startswith("heapalloc ")).split()[1])
        for _ in range(2):
            prof = profile(m.target, m.exe["zoo"], "-p", m.pid["zoo"], *SLOW, timeout=300)
            judge(prof, heap, check_promises(promises(lines), prof.stacks), 0.01)
        m.sh(f"kill -USR1 {m.pid['zoo']}; sleep 3")
        check("checksums ok" in m.sh("cat /tmp/zoo.log"), m.sh("tail -n 3 /tmp/zoo.log"))
        spins = []
        for _ in range(5):
            spins.append(profile(m.target, m.exe["spin"], "-p", m.pid["spin"], *SLOW, timeout=300))
            judge_spin(spins[-1], promises(m.sh("cat /tmp/spin.log").splitlines()))
        gdbserver = re.search(r"\) (\S+)", m.sh("sh -c '/bin/gdbserver --version'"))[1]
        leave("gdbservers.md", f"| {arch} | {m.sh('uname -r').strip()} | {gdbserver} | {prof.total - heap:+d} of {heap} "
              f"| {len(promises(lines))} | {', '.join(str(p.totals['stops']) for p in spins)} |")


@pytest.mark.timeout(900)
def test_forks_on_arm64():
    """The zoo read while stopped and from a fork; forks of a server under load, whole and killed."""
    with Machine("arm64", "zoo", "server") as m:
        lines = m.sh("cat /tmp/zoo.log").splitlines()
        heap = int(next(l for l in lines if l.startswith("heapalloc ")).split()[1])
        for fork in [], ["--fork"]:
            prof = profile(m.target, m.exe["zoo"], "-p", m.pid["zoo"], *fork, timeout=300)
            judge(prof, heap, check_promises(promises(lines), prof.stacks), 0.01)
        for _ in range(2):
            check_sums(profile(m.target, m.exe["server"], "-p", m.pid["server"], "--fork", timeout=300).totals)
        m.server_is_whole()
        rnd = random.Random(7)
        for _ in range(6):
            p = subprocess.Popen([GRF, "-q", "-o", f"{tmpdir()}/x", "-p", str(m.pid["server"]), "--fork", m.target,
                                  m.exe["server"]])
            time.sleep(rnd.random() * 3)
            p.kill()
            p.wait()
            time.sleep(4)
        m.server_is_whole()
