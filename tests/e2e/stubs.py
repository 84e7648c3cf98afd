"""Stubs other than gdbserver, for the cases that use them: QEMU's user mode."""

import os
import subprocess
import time

from lib import *

QEMU = {"amd64": "x86_64", "arm64": "aarch64", "riscv64": "riscv64", "ppc64le": "ppc64le", "ppc64": "ppc64",
        "s390x": "s390x", "loong64": "loongarch64", "mips64le": "mips64el", "mips64": "mips64", "mipsle": "mipsel",
        "mips": "mips", "386": "i386", "arm": "arm"}
# The stop holds one thread, and Go's preemption signals would each be a stop: docs/QEMU.md.
STEADY = {"GOMAXPROCS": "1", "GODEBUG": "asyncpreemptoff=1"}


def cpu(arch, version):
    """Until 1.22 netpoll reads unaligned words, which QEMU's default mips64 does not do."""
    return ["-cpu", "Loongson-3A4000"] if arch.startswith("mips64") and int(version.split(".")[1]) < 23 else []


class QemuUser(Prog):
    """A program of another architecture, which waits for a client before its first instruction."""

    def __init__(self, arch, exe, *args, options=(), unix=None, env=STEADY):
        qemu = need("qemu-" + QEMU[arch])
        self.port = None if unix else free_port()
        self.target = f"unix:{unix}" if unix else f"localhost:{self.port}"
        super().__init__([qemu, *options, "-g", unix or str(self.port), exe, *args], ready=None,
                         env=dict(os.environ, **env))
        self.exe = exe
        deadline = time.monotonic() + 20
        while not (os.path.exists(unix) if unix else self.listens()):
            check(time.monotonic() < deadline and self.proc.poll() is None, f"{qemu} does not listen", self.lines)
            time.sleep(0.02)

    def listens(self):
        """Without connecting: it serves one client."""
        with open("/proc/net/tcp") as f:
            rows = [line.split() for line in f.readlines()[1:]]
        return any(r[3] == "0A" and r[1].endswith(f":{self.port:04X}") for r in rows)


def runs_on(prog):
    """It ticks, and its payloads are whole."""
    line = prog.wait_line(r"^tick \d+", 60, len(prog.lines))
    check("ok" in line, line)
