"""A virtual machine with Go programs in it, for the tests about guests: Debian's cloud kernel, and an initramfs made
here, whose first process is tests/progs/guest."""

import gzip
import os
import re
import subprocess
import time

from lib import *

LD_SO = "/lib64/ld-linux-x86-64.so.2"  # of a PIE


def cpio(files, dirs=("lib64",)):
    """An initramfs: newc, with a console."""
    out = bytearray()

    def entry(n, name, mode, data=b"", dev=(0, 0)):
        fields = (n, mode, 0, 0, 1, 0, len(data), 0, 0, *dev, len(name) + 1, 0)
        for part in (b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0", data):
            out.extend(part)
            out.extend(bytes(-len(out) % 4))

    entries = [(d, 0o40755, b"", (0, 0)) for d in ("dev", "proc", "tmp", *dirs)]
    entries += [("dev/console", 0o20600, b"", (5, 1)), ("dev/null", 0o20666, b"", (1, 3))]
    for name, path in files.items():
        with open(path, "rb") as f:
            entries.append((name, 0o100755, f.read(), (0, 0)))
    for n, e in enumerate(entries):
        entry(n + 1, *e)
    entry(0, "TRAILER!!!", 0)
    return gzip.compress(bytes(out), 1)


class Guest(Stopped):
    """programs: (path, argument...); their output lines are in .lines[1], .lines[2], ..."""

    def __init__(self, *programs, smp=1, kernel="", qemu="qemu-system-x86_64", mem=512, more=()):
        need(qemu)
        r = subprocess.run([os.path.join(TOP, "tests/setup/guest.sh"), os.path.join(OBJDIR, "guest")],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if r.returncode:
            raise Skip(f"no kernel: {r.stderr.strip().splitlines()[-1:]}")
        self.dir = tmpdir()
        files = {"init": build("guest")}
        if os.path.exists(LD_SO):
            files["lib64/ld-linux-x86-64.so.2"] = os.path.realpath(LD_SO)
        argv = []
        for exe, *args in programs:
            name = os.path.basename(exe)
            files[name] = exe
            argv.append(",".join(["/" + name, *args]))
        with open(f"{self.dir}/initrd", "wb") as f:
            f.write(cpio(files))
        self.port = free_port()
        self.target = f"localhost:{self.port}"
        self.log = f"{self.dir}/console"
        self.n = len(programs)
        self.proc = subprocess.Popen(
            [qemu, "-accel", os.environ.get("GRF_ACCEL", "tcg"), "-m", str(mem), "-smp", str(smp), "-nographic", "-no-reboot",
             "-display", "none", "-monitor", "none", "-net", "none", "-serial", f"file:{self.log}",
             "-kernel", r.stdout.strip(), "-initrd", f"{self.dir}/initrd",
             "-append", f"console=ttyS0 panic=-1 quiet loglevel=0 {kernel} -- {' '.join(argv)}",
             "-gdb", f"tcp:127.0.0.1:{self.port}", *more],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def console(self):
        try:
            with open(self.log, errors="replace") as f:
                text = f.read()
            # The firmware clears the screen right before the first line; the last one may be half written.
            return re.sub(r"\x1b(c|\[[0-9;?]*[A-Za-z])", "", text[:text.rfind("\n") + 1]).splitlines()
        except FileNotFoundError:
            return []

    def lines(self, n):
        """What a program has said."""
        return [l[2:] for l in self.console() if l.startswith(f"{n} ")]

    def wait(self, n, pattern, timeout=120, start=0):
        deadline = time.monotonic() + timeout
        while True:
            lines = self.lines(n)
            for line in lines[start:]:
                if re.search(pattern, line):
                    return line
            if self.proc.poll() is not None:
                raise Failure(f"the emulator ended: {self.proc.stdout.read()}")
            check(time.monotonic() < deadline, f"program {n} of the guest never said {pattern!r}:", self.console()[-8:])
            time.sleep(0.05)

    def ready(self):
        for n in range(1, self.n + 1):
            self.wait(n, "^READY$")

    def ticks_on(self, n):
        """It ticks, and what it checks of itself is whole."""
        start = len(self.lines(n))
        line = self.wait(n, r"^tick \d+", 30, start)
        check(line.endswith("ok"), line)

    def stop(self):
        self.proc.kill()
        self.proc.wait()
