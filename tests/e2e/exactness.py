"""What a profile has to be: its sums, and what the test programs promise of themselves.

zoo prints what it holds, one promise a line (tests/progs/zoo): "keep NAME BYTES PATTERN", one payload under one path;
"total NAME BYTES PATTERN", under many; "gone NAME BYTES", nowhere.  spin's goroutines never wait.
"""

import os
import random
import re
import signal
import time

from lib import *

SPIN_STOPS = int(os.environ.get("GRF_SPIN_STOPS", "20"))


def check_sums(t):
    """What holds of every profile that claims to be exact."""
    check(t["failed_reads"] == 0, "reads failed:", t)
    check(t["goroutines_partial"] == 0, "goroutines not walked to their end:", t)
    check(t["live_bytes"] + t["unreachable_bytes"] == t["allocated_bytes"],
          "live + unreachable != allocated:", t)
    check(t["live_objects"] + t["unreachable_objects"] == t["allocated_objects"],
          "live + unreachable objects != allocated:", t)


def promises(lines):
    """(verb, name, bytes, pattern) of zoo's output."""
    out = []
    for line in lines:
        w = line.split(" ", 3)
        if w[0] in ("keep", "total"):
            out.append((w[0], w[1], int(w[2]), w[3]))
        elif w[0] == "gone":
            out.append((w[0], w[1], int(w[2]), None))
    return out


def check_promises(proms, stacks):
    """Complaints about a profile of zoo, one per line; none if it is right."""
    bad = []
    explained = set()
    for verb, name, n, pattern in proms:
        if verb == "gone":
            continue
        hits = [i for i, (s, _) in enumerate(stacks) if re.search(pattern, s)]
        if verb == "keep":
            good = [i for i in hits if n <= stacks[i][1] < n + PAGE]
        else:
            good = hits if n <= sum(stacks[i][1] for i in hits) < n + PAGE else []
        if good:
            explained.update(good)
            continue
        else_ = [s for s, k in stacks if n <= k < n + PAGE]
        bad.append(f"{name}: {n} bytes are not under /{pattern}/"
                   f" ({sum(stacks[i][1] for i in hits)} are); so many are under {else_[:3]}")
    for verb, name, n, _ in proms:
        if verb == "gone":
            bad += [f"{name}: {n} bytes live under {s}" for i, (s, k) in enumerate(stacks)
                    if i not in explained and n <= k < n + PAGE]
    return bad


def within(got, want, share):
    return abs(got - want) <= want * share


def judge(prof, heap, broken=None, named=0):
    """An exact profile of a heap of so many bytes; broken: what check_promises() said."""
    t = prof.totals
    check_sums(t)
    check(prof.total == t["live_bytes"], "the folded file's sum is not live_bytes:", prof.total, t)
    check(within(prof.total, heap, 0.001), f"live {prof.total}, HeapAlloc {heap}")
    check(not broken, f"{len(broken or [])} promises broken:\n" + "\n".join(broken or []))
    if named:
        check(t["unnamed_bytes"] < heap * named, "unnamed:", t["unnamed_bytes"], "of", heap)


def exact(version=GO_VERSION, named=0.01, say=None, **kw):
    """Holds zoo's promises against its profile; what was measured goes to say()."""
    # Not -tick: caught while it adds up a payload, main() is a root of that one, too.
    p = start_zoo(version=version, **kw)
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    p.ask(signal.SIGUSR1, "^checksums ok$")  # what the first signal allocates is there before we look
    with multi() as g:
        before = profile(g.target, p.exe, "-p", p.pid)
        p.ask(signal.SIGUSR2, "^garbage 16777216$")
        after = profile(g.target, p.exe, "-p", p.pid)
    assert_alive(p)
    proms = promises(p.lines)
    broken = [check_promises(proms, prof.stacks) for prof in (before, after)]
    if say:
        say(heap=heap, held=len(proms) - max(map(len, broken)), promised=len(proms), **before.totals)
    for prof, bad in zip((before, after), broken):
        judge(prof, heap, bad, named)
    check(after.totals["unreachable_bytes"] - before.totals["unreachable_bytes"] == 16777216,
          "garbage:", before.totals["unreachable_bytes"], "->", after.totals["unreachable_bytes"])
    # A few hundred bytes come and go with timers and signals; the smallest piece of garbage is one of 65536.
    check(abs(after.totals["live_bytes"] - before.totals["live_bytes"]) < PAGE, "garbage is in the profile:",
          before.totals["live_bytes"], "->", after.totals["live_bytes"])
    check(within(after.totals["unreachable_bytes"], 16777216, 0.01),
          "unreachable before the garbage:", before.totals["unreachable_bytes"])
    return after


def exact_process(p, exe, *args, named=True, say=None):
    """A run on a running program that speaks as zoo does; returns the profile.  What was measured goes to say()."""
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    p.ask(signal.SIGUSR1, "^checksums ok$")
    with multi() as g:
        prof = profile(g.target, exe, *args, "-v", "-p", p.pid)
    proms = promises(p.lines)
    bad = check_promises(proms, prof.stacks)
    if say:
        say(heap=heap, held=len(proms) - len(bad), promised=len(proms), **prof.totals)
    judge(prof, heap, bad if named else None, 0.01 if named else 0)
    return prof


def judge_spin(prof, proms):
    """Of goroutines that never wait: every payload is in its frame."""
    check_sums(prof.totals)
    check(prof.total == prof.totals["live_bytes"], "folded:", prof.total, prof.totals)
    # Payloads that the same function's argument holds share its path.
    want = sum(n for _, _, n, _ in proms)
    check(want and want <= prof.total < want + 40 * PAGE, f"{prof.total} bytes live, of {want}:\n{prof.text}")
    held = sum(n for s, n in prof.stacks if re.search(r"(^|;)main\.(spin\w*|dig|touch)\b", s))
    check(want <= held, f"{held} bytes are under their functions, not {want}:\n{prof.text}")


def spin(version=GO_VERSION, stops=SPIN_STOPS, **kw):
    """Goroutines that run, stopped wherever they are: in Go, in C, in Go called from C, in the race detector's code.  Every
    stop exact, every payload in its frame."""
    rnd = random.Random(26)
    p = Prog([build("spin", version, **kw)])
    proms = promises(p.lines)
    check(len(proms) >= 3, p.lines)
    taken = []
    with multi() as g:
        for i in range(stops):
            time.sleep(rnd.random() * 0.02)
            prof = profile(g.target, p.exe, "-p", p.pid, "-v")
            taken.append(prof.totals["stops"])
            try:
                judge_spin(prof, proms)
            except AssertionError as e:
                raise Failure(f"stop {i + 1} of {stops}: {e}\n{prof.run}")
            p.wait_running(1)
    return taken
