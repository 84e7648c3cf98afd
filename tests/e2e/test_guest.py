"""A Go process in a virtual machine: found, read exactly, and both it and its neighbours run on."""

import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

from exactness import *
from guest import *
from lib import *

# `make check-guest` runs all of them, one after the other: a machine wants the processors for itself.
pytestmark = [pytest.mark.guest, pytest.mark.xdist_group("guest")]


def exact(guest, ns, exe, *args, named=0.01):
    """Profiles zoo, the guest's nth program (one of ns, if there are several), and holds its promises against that.  .heap is
    its HeapAlloc."""
    prof = profile(guest.target, exe, "-v", *args)
    bad = check_promises(promises(guest.lines(ns[0])), prof.stacks)
    # Caught while it adds up a payload (with -tick: most of the time, in an emulator), main() is a root of that one, too.
    adding = [b for b in bad if "so many are under ['main.main" in b]
    bad = [b for b in bad if b not in adding] if len(adding) == 1 else bad
    heaps = {n: int(next(l for l in guest.lines(n) if l.startswith("heapalloc ")).split()[1]) for n in ns}
    n = min(ns, key=lambda n: abs(heaps[n] - prof.total))
    judge(prof, heaps[n], bad, named)
    prof.heap = heaps[n]
    prof.root = re.search(r"page tables at (0x[0-9a-f]+)", prof.text)[1]
    return prof


def slices_ok(prof):
    """The search stopped the machine for 100 ms at most at a time; where others use the processors we are given more."""
    longest = re.search(r"(\d+) slices?, the longest (\d+) ms", prof.text)
    check(longest, "no search:", prof.text)
    check(int(longest[2]) <= 500, longest[0])


def physical_mode(guest):
    """What the stub has been left with; the machine runs afterwards."""
    def packet(payload):
        s.sendall(b"$" + payload + b"#%02x" % (sum(payload) & 255))
        while True:
            m = re.search(rb"\$([^#]*)#..", buf := b"".join(parts))
            if m:
                parts[:] = [buf[m.end():]]
                s.sendall(b"+")
                if not m[1].startswith(b"T"):  # the greeting
                    return m[1]
            else:
                data = s.recv(4096)
                check(data, "the stub hung up")
                parts.append(data)

    parts = []
    with socket.create_connection(("127.0.0.1", guest.port)) as s:
        s.settimeout(30)
        packet(b"qSupported:multiprocess+")
        mode = packet(b"qqemu.PhyMemMode")
        check(packet(b"D;1") == b"OK", "no detach")
    return mode


def spinning(guest, n, exe, *args):
    """Spin's goroutines never wait: their registers are in a vCPU or on a kernel stack (exactness.spin())."""
    prof = profile(guest.target, exe, "-v", *args)
    judge_spin(prof, promises(guest.lines(n)))
    return prof


@pytest.mark.sample
@pytest.mark.timeout(300)
@pytest.mark.needs("qemu-system-x86_64")
def test_two_programs():
    """Two Go programs that map the same addresses, and two processes of one of them."""
    exe, spin = build("zoo"), build("spin")
    with Guest((exe, "-tick"), (exe, "-tick"), (spin,), smp=2) as g:
        g.ready()
        # Which of two: not chosen for the user when memory is looked through.
        run = grf("--nth", 3, g.target, exe, rc=1)
        check(re.search(r"--nth 1: page tables at 0x[0-9a-f]+, /zoo", run.err) and
              re.search(r"--nth 2: page tables at 0x[0-9a-f]+, /zoo", run.err) and "--nth 3:" in run.err, run)
        profs = [exact(g, (1, 2), exe, "--nth", nth) for nth in (1, 2)]
        check(profs[0].root != profs[1].root, "one process was read twice:", profs[0].root)
        for prof in profs:
            slices_ok(prof)
        # Goroutines that run: their registers are in a vCPU or on a kernel stack.
        for _ in range(3):
            spinning(g, 3, spin)
        for n in 1, 2:
            g.ticks_on(n)


@pytest.mark.sample
@pytest.mark.timeout(300)
@pytest.mark.needs("qemu-system-x86_64", "strip")
def test_pie_stripped():
    """A stripped PIE, page-table isolation on, one vCPU; killed while it reads, the machine runs on."""
    exe = build("zoo", flags=["-buildmode=pie"], tag="-pie")
    bare = os.path.join(tmpdir(), "bare")
    subprocess.run(["strip", "-o", bare, exe], check=True)
    with Guest((bare, "-tick"), (build("zoo"),), kernel="pti=on") as g:
        g.ready()
        prof = exact(g, [1], bare, "--debug", exe)
        slices_ok(exact(g, [1], bare, "--debug", exe, "--nth", 1))
        g.ticks_on(1)
        # Another program: said what was looked at.
        run = grf(g.target, build("spin"), rc=1)
        check(re.search(r"no process of this guest runs .*spin.*: looked at 1 vCPUs? and \d+ MB of memory, with \d+ top page "
                        r"tables", run.err), run)
        g.ticks_on(1)
        for delay in 0.05, 0.2, 0.4:
            p = subprocess.Popen([GRF, "-q", "-o", f"{tmpdir()}/x", "--nth", "1", g.target, bare])
            time.sleep(delay)
            p.send_signal(signal.SIGKILL)
            p.wait()
            g.ticks_on(1)
            check(physical_mode(g) == b"0", "killed, and the stub still shows physical memory")
        exact(g, [1], bare, "--debug", exe)


# One machine each, and for each a row of docs/SUPPORT.md's table (guests.md).

def machine(leave, name, exe_kw, *, qemu="qemu-system-x86_64", version=GO_VERSION, strip=False, busy=True, **kw):
    exe = debug = build("zoo", version, **exe_kw)
    if strip:
        exe = os.path.join(tmpdir(), "bare")
        subprocess.run(["strip", "-o", exe, debug], check=True)
    args = ["--debug", debug] if strip else []
    neighbour = build("spin", version)
    with Guest((exe, "-tick") if busy else (exe,), (exe,), (neighbour,), qemu=qemu, **kw) as g:
        g.ready()
        profs = [exact(g, (1, 2), exe, *args, "--nth", nth) for nth in (1, 2)]
        check(profs[0].root != profs[1].root, "one process was read twice:", profs[0].root)
        spins = [spinning(g, 3, neighbour) for _ in range(2)]
        if busy:
            g.ticks_on(1)
        shares = [100 * p.total / p.heap for p in profs]
        stops = [p.totals["stopped_ns"] / 1e6 for p in profs]
        slices = [re.search(r"(\d+) slices?, the longest (\d+) ms", p.text) for p in profs]
        held = len(promises(g.lines(1)))
        qv = subprocess.run([qemu, "--version"], stdout=subprocess.PIPE, text=True).stdout.split()[3]
        leave("guests.md", f"| {name} | {qv} | {version} | {min(shares):.2f}-{max(shares):.2f} % | {held} of {held} "
              f"| {', '.join(str(p.totals['stops']) for p in spins)} | {', '.join(f'{s:.0f}' for s in stops)} ms "
              f"| {max(int(s[1]) for s in slices)} of at most {max(int(s[2]) for s in slices)} ms |")


MACHINES = {
    "smp1_nokaslr_nopti": ("1 vCPU, nokaslr nopti", {}, dict(kernel="nokaslr nopti")),
    "smp2": ("2 vCPUs", {}, dict(smp=2)),
    "smp4_idle": ("4 vCPUs, the target idle", {}, dict(smp=4, busy=False)),
    "pti_pie_stripped": ("pti=on, PIE, stripped", dict(flags=["-buildmode=pie"], tag="-pie"),
                         dict(kernel="pti=on", strip=True)),
    "five_levels": ("5 levels (-cpu max)", {}, dict(more=("-cpu", "max"))),
    "huge_pages": ("2 MB pages (transparent_hugepage=always)", {}, dict(kernel="transparent_hugepage=always")),
    "beyond_4g": ("5 GB: RAM on both sides of the hole below 4 GB", {}, dict(mem=5120)),
    "go_1_17": ("2 vCPUs", {}, dict(smp=2, version="1.17.13")),
    "go_1_22": ("2 vCPUs", {}, dict(smp=2, version="1.22.12")),
    "go_1_25": ("2 vCPUs", {}, dict(smp=2, version="1.25.12")),
    "qemu_10": ("2 vCPUs", {}, dict(smp=2, qemu=os.environ.get("QEMU10", "qemu-system-x86_64-10"))),
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name, exe, kw", MACHINES.values(), ids=MACHINES)
def test_machine(name, exe, kw, leave):
    machine(leave, name, exe, **kw)


@pytest.mark.timeout(400)
def test_swapped_out():
    """Memory of a guest that is on its disk: what was wanted of it is counted; what nobody reads is not missed."""
    exe = build("swaps")
    disk = os.path.join(tmpdir(), "swap")
    with open(disk, "wb") as f:  # mkswap: include/linux/swap.h, union swap_header
        f.write(bytes(1024) + struct.pack("<II", 1, (64 << 20) // 4096 - 1))
        f.seek(4096 - 10)
        f.write(b"SWAPSPACE2")
        f.truncate(64 << 20)
    with Guest((exe,), more=("-drive", f"file={disk},if=none,id=swap,format=raw", "-device", "nvme,drive=swap,serial=1")) as g:
        g.ready()
        prof = profile(g.target, exe)
        t, before = prof.totals, g.lines(1)
        check(t["failed_bytes"] == 8192 * 8 and "65.5 KB that were asked for are swapped out in the guest" in prof.text,
              prof.text)
        held = {name: sum(b for s, b in prof.stacks if s.startswith(f"main.{name}")) for name in ("warm", "cold", "bytes")}
        assert held == {"warm": 8192 * 520, "cold": 8192 * 8, "bytes": 16 << 20}
        assert within(t["unreachable_bytes"], 8192 * 512, 0.01)
        check(not any("in again" in l for l in before), "too slow:", before[-1:])
        g.wait(1, rf"^in again {8191 * 8192 // 2}$")
        t = profile(g.target, exe).totals
        check_sums(t)
        assert t["unreachable_bytes"] < PAGE
        g.ticks_on(1)


@pytest.mark.timeout(400)
def test_same_addresses():
    """Two processes of a program whose heap is at the same addresses in both, and whose goroutines never wait: whose saved
    registers are whose."""
    exe = build("spin", "1.22.12")
    with Guest((exe,), (exe,)) as g:
        g.ready()
        mine, stacks = {1: 0, 2: 0}, 0
        for i in range(8):
            nth = 1 + i % 2
            text = spinning(g, 1, exe, "--nth", nth).text
            m = re.search(r"(\d+) kernel stacks with user registers, (\d+) of them this process's and (\d+) perhaps", text)
            check(m and int(m[2]) >= 2 and int(m[3]) <= 1, text)
            mine[nth], stacks = int(m[2]), int(m[1])
        check(mine[1] + mine[2] < stacks, "threads of both:", mine, "of", stacks)
