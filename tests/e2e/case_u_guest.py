"""A Go process in a virtual machine: found, read exactly, and both it and its neighbours run on."""

import os
import re
import signal
import socket
import subprocess
import time

from case_b_exact import judge
from guest import *
from lib import *

ALL = os.environ.get("GRF_GUESTS") == "all"  # make check-guest


def exact(guest, ns, exe, *args, named=0.01):
    """Profiles zoo, the guest's nth program (one of ns, if there are several), and holds its promises against that.  .heap is
    its HeapAlloc."""
    for left in 3, 2, 1, 0:
        prof = profile(guest.target, exe, "-v", *args)
        bad = check_promises(promises(guest.lines(ns[0])), prof.stacks)
        # Caught while it adds up a payload, main() is a root of that one, too.
        if not left or not any("main.main" in b for b in bad):
            break
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
    """Spin's goroutines never wait: their registers are in a vCPU or on a kernel stack (case_c_stops.spin())."""
    want = sum(b for _, _, b, _ in promises(guest.lines(n)))
    prof = profile(guest.target, exe, "-v", *args)
    check_sums(prof.totals)
    check(want and want <= prof.total < want + 40 * PAGE, f"{prof.total} bytes live, of {want}:\n{prof.text}")
    held = sum(b for s, b in prof.stacks if re.search(r"(^|;)main\.(spin\w*|dig|touch)\b", s))
    check(want <= held, f"{held} bytes are under their functions, not {want}:\n{prof.text}")
    return prof


@case(timeout=300, needs=["qemu-system-x86_64"])
def two_programs():
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


@case(timeout=300, needs=["qemu-system-x86_64", "strip"])
def pie_stripped():
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


# make check-guest: one machine each; a row of docs/SUPPORT.md's table goes to $OBJDIR/guests.md.

def machine(name, exe_kw, *, qemu="qemu-system-x86_64", version=GO_VERSION, strip=False, busy=True, **kw):
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
        with open(os.path.join(OBJDIR, "guests.md"), "a") as f:
            f.write(f"| {name} | {qv} | {version} | {min(shares):.2f}-{max(shares):.2f} % | {held} of {held} "
                    f"| {', '.join(str(p.totals['stops']) for p in spins)} | {', '.join(f'{s:.0f}' for s in stops)} ms "
                    f"| {max(int(s[1]) for s in slices)} of at most {max(int(s[2]) for s in slices)} ms |\n")


MACHINES = {
    "smp1_nokaslr_nopti": ("1 vCPU, nokaslr nopti", {}, dict(kernel="nokaslr nopti")),
    "smp2": ("2 vCPUs", {}, dict(smp=2)),
    "smp4_idle": ("4 vCPUs, the target idle", {}, dict(smp=4, busy=False)),
    "pti_pie_stripped": ("pti=on, PIE, stripped", dict(flags=["-buildmode=pie"], tag="-pie"),
                         dict(kernel="pti=on", strip=True)),
    "five_levels": ("5 levels (-cpu max)", {}, dict(more=("-cpu", "max"))),
    "huge_pages": ("2 MB pages (transparent_hugepage=always)", {}, dict(kernel="transparent_hugepage=always")),
    "go_1_17": ("2 vCPUs", {}, dict(smp=2, version="1.17.13")),
    "go_1_22": ("2 vCPUs", {}, dict(smp=2, version="1.22.12")),
    "go_1_25": ("2 vCPUs", {}, dict(smp=2, version="1.25.12")),
    "qemu_10": ("2 vCPUs", {}, dict(smp=2, qemu=os.environ.get("QEMU10", "qemu-system-x86_64-10"))),
}

if ALL:
    for _key, (_name, _exe, _kw) in MACHINES.items():
        def _case(name=_name, exe=_exe, kw=_kw):
            machine(name, exe, **kw)
        _case.__name__ = _key
        case(timeout=400)(_case)
