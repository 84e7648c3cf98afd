"""Where all memory is: the account against runtime.MemStats, to the byte, and what it says of memory that nothing live
holds."""

import os
import re
import time

import pytest

from exactness import within
from lib import *
from matrix import releases

SAMPLE = ["1.17.13", "1.19.13", "1.23.12", "1.26.8"]


def numbers(text, line):
    found = [l for l in text.splitlines() if l.startswith(line)]
    check(len(found) == 1, f"{len(found)} lines of {line}:\n{text}")
    return {k: int(v) for k, v in (w.split("=") for w in found[0].split()[1:])}


def account_of(p, *args):
    with multi() as g:
        prof = profile(g.target, p.exe, "-p", p.pid, *args)
    prof.memstats, prof.account = numbers(prof.text, "memstats: "), numbers(prof.text, "account: ")
    return prof


def sums(prof):
    """What holds of every account."""
    m, a, t = prof.memstats, prof.account, prof.totals
    assert m["HeapAlloc"] == t["allocated_bytes"]
    assert a["garbage"] + a["unswept"] + a["waiting"] == t["unreachable_bytes"]
    assert sum(v for k, v in a.items() if k.startswith("live_")) == a["live"] == t["live_bytes"]
    assert m["HeapInuse"] == m["HeapAlloc"] + a["free_slots"] + a["tails"]
    check("the runtime counts" not in prof.text, prof.text)


def equal(version, flags=(), tag="", **env):
    p = Prog([build("account", version, flags, tag, **env)])
    want = numbers("\n".join(l for l in p.lines if l), "memstats ")
    prof = account_of(p)
    sums(prof)
    bad = {k: (prof.memstats[k], v) for k, v in want.items() if prof.memstats[k] != v}
    check(not bad, f"read and printed: {bad}")
    assert len(want) == 15
    # 10,000 of 20,000 slots of 512 bytes are free.
    assert prof.account["free_slots"] > 9000 * 512


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(SAMPLE))
def test_account(version):
    equal(version)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "gcc")
def test_cgo():
    equal(GO_VERSION, tag="-cgo", flags=["-ldflags=-linkmode=external"], CGO_ENABLED="1")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_core():
    """From a saved core the same account."""
    p = Prog([build("account")])
    d = tmpdir()
    with multi() as g:
        grf("-p", p.pid, "-o", f"{d}/a.core", "-o", f"{d}/a.txt", g.target, p.exe)
    grf("-o", f"{d}/b.txt", f"{d}/a.core", p.exe)
    with open(f"{d}/a.txt") as f, open(f"{d}/b.txt") as g:
        a, b = f.read(), g.read()
    for line in "memstats: ", "account: ":
        assert numbers(a, line) == numbers(b, line)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_stripped():
    """Without symbols the heap's part is known, and the rest is said to be not."""
    p = Prog([build("account", flags=["-ldflags=-s -w"], tag="-stripped")])
    want = numbers("\n".join(l for l in p.lines if l), "memstats ")
    prof = account_of(p)
    sums(prof)
    for k in "HeapAlloc", "HeapInuse":
        assert prof.memstats[k] == want[k]
    check("without symbols" in prof.text, prof.text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_all():
    """--all: with what is not live the profile adds up to Sys."""
    p = Prog([build("account")])
    live = account_of(p)
    prof = account_of(p, "--all")
    sums(prof)
    assert prof.total == prof.memstats["Sys"]
    assert live.total == live.totals["live_bytes"]
    roots = {}
    for s, n in prof.stacks:
        roots[s.split(";")[0]] = roots.get(s.split(";")[0], 0) + n
    assert roots["[free slots]"] == prof.account["free_slots"]
    assert roots["[idle spans]"] == prof.memstats["HeapIdle"]
    check(sum(n for s, n in prof.stacks if s.startswith("[stacks];goroutines waiting;")) > 200 * 2048, roots)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_garbage():
    """With the collector off garbage is named as such."""
    p = Prog([build("leaks"), "garbage"])
    prof = account_of(p)
    sums(prof)
    assert prof.account["garbage"] > 3900 * (16 << 10)
    assert prof.account["live"] < 2 << 20
    check(re.search(r"6\d\.\d MiB  unreachable: 6\d\.\d MiB garbage", prof.text), prof.text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_holes():
    """Fragmentation: one object of sixteen survives and keeps its span."""
    p = Prog([build("leaks"), "holes"])
    prof = account_of(p)
    sums(prof)
    assert prof.account["free_slots"] > 55000 * 512 and prof.account["live"] < 6000 * 512
    check("most in those of 512 bytes" in prof.text, prof.text)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_rss():
    """What is obtained and not released is what is resident, where all of it was touched: a list of small objects."""
    exe = go_source("package main\n\nimport (\"os\"; \"runtime/debug\"; \"time\")\n\n"
                    "type node struct { next *node; pad [6]uint64 }\n\nvar list *node\n\n"
                    "func main() {\n\tfor i := 0; i < 5000000; i++ { list = &node{next: list} }\n"
                    "\tdebug.FreeOSMemory()\n\tos.Stdout.WriteString(\"READY\\n\")\n\ttime.Sleep(time.Hour)\n}\n")
    p = Prog([exe], env=dict(os.environ, GODEBUG="madvdontneed=1"))
    prof = account_of(p)
    with open(f"/proc/{p.pid}/status") as f:
        rss = int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024
    resident = prof.memstats["Sys"] - prof.memstats["HeapReleased"]
    check(within(resident, rss, 0.05), f"obtained and not released {resident}, resident {rss}")


# The finalizer story

@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions(" ".join(SAMPLE)))
def test_finalizer_blocked(version):
    p = Prog([build("leaks", version), "finalizer"])
    time.sleep(1)
    prof = account_of(p)
    sums(prof)
    n = prof.account["finalizers_queued"]
    # One is being run: with its block it may still count, or not.
    assert 2890 <= n <= 3000
    assert prof.account["live_queued"] >= n * (4 << 10)
    line = re.search(r"goroutine \d+, which runs finalizers, is in main\.\(\*handle\)\.release: ([^,\n]+)"
                     r"(?:, for at least ([\d.]+) (ms|s))?$", prof.text, re.M)
    check(line, prof.text)
    check(line.group(1) in ("sync.Mutex.Lock", "semacquire"), line.group(0))
    check(line.group(2), "since when?", line.group(0))
    secs = float(line.group(2)) / (1000 if line.group(3) == "ms" else 1)
    check(0.9 < secs < 60, line.group(0))
    check(re.search(r"finalizers   [\d,]+ finalizers and 0 cleanups are due; 1\d\.\d MiB wait for them", prof.text),
          prof.text)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_finalizer_idle():
    """Nothing is said where nothing waits."""
    p = Prog([build("leaks"), "cache"])
    assert "finalizers   " not in account_of(p).text
    # Objects that only their finalizer keeps from being freed: the collector does not run.
    exe = go_source("package main\n\nimport (\"os\"; \"runtime\"; \"runtime/debug\"; \"time\")\n\n"
                    "type T struct { a, b *int; pad [14]uint64 }\n\n//go:noinline\nfunc make1() {\n\tt := &T{a: new(int)}\n"
                    "\truntime.SetFinalizer(t, func(*T) {})\n}\n\n"
                    "func main() {\n\tdebug.SetGCPercent(-1)\n\tfor i := 0; i < 1000; i++ { make1() }\n"
                    "\tos.Stdout.WriteString(\"READY\\n\")\n\ttime.Sleep(time.Hour)\n}\n")
    prof = account_of(Prog([exe]))
    sums(prof)
    assert 999 * 128 <= prof.account["waiting"] <= 1001 * 128


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", dict.fromkeys(versions("1.17.13 1.26.8")[i] for i in (0, -1)))
def test_size_classes(version):
    """What slots are larger than their objects by."""
    p = Prog([build("slots", version)])
    want = int(p.wait_line("^waste ").split()[1])
    prof = account_of(p)
    sums(prof)
    got = prof.account["class_waste"]
    # The runtime's own objects have some, too.
    check(want <= got <= want * 1.02, f"{got}, of which the program's {want}")
    check("of that size classes cost" in prof.text, prof.text)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", [v for v in versions("1.26.8") if int(minor(v)[2:]) >= 24])
def test_cleanup_blocked(version):
    """Cleanups that wait for a lock: until 1.24 in the finalizers' goroutine, since 1.25 in some of their own."""
    exe = go_source("package main\n\nimport (\"os\"; \"runtime\"; \"sync\"; \"time\")\n\n"
                    "type handle struct { next *handle; id int64 }\n\nvar mu sync.Mutex\n\n"
                    "//go:noinline\nfunc release(b *[4096]byte) { mu.Lock(); b[0]++; mu.Unlock() }\n\n"
                    "//go:noinline\nfunc open() { runtime.AddCleanup(&handle{}, release, new([4096]byte)) }\n\n"
                    "func main() {\n\tmu.Lock()\n\tfor i := 0; i < 3000; i++ { open() }\n"
                    "\tfor i := 0; i < 3; i++ { runtime.GC(); time.Sleep(100 * time.Millisecond) }\n"
                    "\tos.Stdout.WriteString(\"READY\\n\")\n\ttime.Sleep(time.Hour)\n}\n", version=version, line="1.24")
    prof = account_of(Prog([exe]))
    sums(prof)
    n = prof.account["cleanups_queued"] + prof.account["finalizers_queued"]  # 1.24 has one queue
    check(2500 <= n <= 3000, n, prof.text)
    assert prof.account["live_queued"] >= n * (4 << 10)
    check(re.search(r"goroutine \d+, which runs (finalizers|cleanups)[^,]*, is in main\.release: (sync\.Mutex\.Lock|semacquire)",
                    prof.text), prof.text)
