"""Stubs other than gdbserver, for the tests that use them: QEMU's user mode."""

import os
import re
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


class LldbServer:
    """lldb-server's gdb mode, attached to a process."""

    def __init__(self, *args):
        # A port that is free now; it takes a name for both families and listens on one.
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        i = args.index("--") if "--" in args else len(args)
        self.proc = subprocess.Popen([need("lldb-server"), "gdbserver", *args[:i], self.target, *args[i:]],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = self.proc.pid
        deadline = time.monotonic() + 30
        while not QemuUser.listens(self):
            check(time.monotonic() < deadline and self.proc.poll() is None, "lldb-server does not listen")
            time.sleep(0.02)


class Simplest(Relay):
    """gdbserver, as if it knew `?`, `g`, `m` and `D` alone."""

    KNOWN = b"?gmD"

    def __init__(self, port):
        self.partial, self.asked = b"", []
        super().__init__(port, self.filter)

    def _pump(self, src, dst, up):
        self.to_client = src if up else dst  # either direction knows both ends
        super()._pump(src, dst, up)

    def filter(self, data, up):
        if not up:
            return data
        out, self.partial = b"", self.partial + data
        while self.partial:
            m = re.match(rb"\$([^#]*)#..", self.partial, re.S)
            if not m and self.partial[:1] == b"$":
                break
            piece = m.group(0) if m else self.partial[:1]
            self.partial = self.partial[len(piece):]
            if m and m.group(1)[:1] not in [bytes([c]) for c in self.KNOWN]:
                self.asked.append(m.group(1))
                self.to_client.sendall(b"+$#00")
                self.skip_ack = True
            elif piece == b"+" and getattr(self, "skip_ack", False):
                self.skip_ack = False  # of our reply
            else:
                out += piece
        return out or b"+"  # a stray one is nothing; no bytes would be the end
