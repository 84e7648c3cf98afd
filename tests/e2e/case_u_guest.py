"""A Go process in a virtual machine: found, read exactly, and both it and its neighbours run on."""

import os
import re
import signal
import subprocess
import time

from case_b_exact import judge
from guest import *
from lib import *

ALL = os.environ.get("GRF_GUESTS") == "all"  # make check-guest


def exact(guest, n, exe, *args, named=0.01):
    """Profiles the guest's nth program, which is zoo, and holds its promises against that."""
    lines = guest.lines(n)
    heap = int(next(l for l in lines if l.startswith("heapalloc ")).split()[1])
    prof = profile(guest.target, exe, "-v", *args)
    judge(prof, heap, check_promises(promises(lines), prof.stacks), named)
    return prof


def slices_ok(prof):
    """The search stopped the machine for 100 ms at most at a time; where others use the processors we are given more."""
    longest = re.search(r"(\d+) slices?, the longest (\d+) ms", prof.text)
    check(longest, "no search:", prof.text)
    check(int(longest[2]) <= 500, longest[0])


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
        profs = []
        for nth in 1, 2:
            for n in 1, 2:
                try:
                    profs.append((n, exact(g, n, exe, "--nth", nth)))
                    break
                except Failure as e:
                    why = e
            else:
                raise why
        for _, prof in profs:
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
        prof = exact(g, 1, bare, "--debug", exe)
        slices_ok(exact(g, 1, bare, "--debug", exe, "--nth", 1))
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
        exact(g, 1, bare, "--debug", exe)
