"""Core files: the kernel's, gcore's, partial ones, cut ones, ours."""

import os
import random
import resource
import shutil
import signal
import struct
import subprocess

import pytest

from exactness import *
from lib import *
from stubs import QEMU, QemuUser, cpu


def ready(p):
    """HeapAlloc of a zoo that has answered its first signal (what that allocates is there before we look)."""
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    p.ask(signal.SIGUSR1, "^checksums ok$")
    return heap


def dumps():
    """A directory for a process that may die with a core; skips where the kernel hands cores to a program."""
    with open("/proc/sys/kernel/core_pattern") as f:
        pattern = f.read().strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip(f"core_pattern is {pattern}")
    return tmpdir()


def held(p, prof):
    """Complaints of a zoo that may have ended."""
    return check_promises(promises([l for l in p.lines if l]), prof.stacks)


def crash(p, d):
    """SIGABRT, and the core that it leaves."""
    p.kill(signal.SIGABRT)
    p.proc.wait(60)
    cores = [n for n in os.listdir(d) if n.startswith("core")]
    if not cores:
        pytest.skip("no core was written")
    return os.path.join(d, cores[0])


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)


def dying(argv, d, filter=None):
    def before():
        limits()
        if filter is not None:
            with open("/proc/self/coredump_filter", "w") as f:
                f.write(hex(filter))
    return Prog(argv, cwd=d, env=dict(os.environ, GOTRACEBACK="crash"), preexec_fn=before)


def kernel_core(filter=None, **kw):
    d = dumps()
    p = dying([build("zoo", **kw)], d, filter)
    heap = ready(p)
    return p, heap, crash(p, d)


def exact_core(**kw):
    p, heap, core = kernel_core(**kw)
    prof = profile(core, p.exe)
    judge(prof, heap, held(p, prof), 0.01)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", versions("1.17.13 1.22.12 1.26.8"))
def test_kernel(version):
    exact_core(version=version)


@pytest.mark.timeout(180)
def test_kernel_pie():
    exact_core(flags=["-buildmode=pie"], tag="-pie")


@pytest.mark.timeout(180)
@pytest.mark.needs("gcc")
def test_kernel_cgo():
    exact_core(CGO_ENABLED="1", tag="-cgo")


@pytest.mark.timeout(180)
def test_without_file_pages():
    """coredump_filter: anonymous memory alone; not even the files' first pages."""
    p, heap, core = kernel_core(filter=0x1)
    prof = profile(core, p.exe)
    judge(prof, heap, held(p, prof), 0.01)
    check("taken on trust" in prof.text, prof.text)


@pytest.mark.timeout(180)
@pytest.mark.needs("gcore")
def test_gcore(zoo):
    """gcore's, without EXE on the command line; the process runs on."""
    heap = ready(zoo)
    d = tmpdir()
    subprocess.run(["gcore", "-o", f"{d}/g", str(zoo.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    prof = profile(f"{d}/g.{zoo.pid}")
    judge(prof, heap, held(zoo, prof), 0.01)
    assert_alive(zoo)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("arch", ["amd64", "arm64", "s390x", "mips"])
def test_qemu(arch):
    """QEMU's user mode writes its own; the guest's memory, the guest's threads.  Saved anew it gives the same."""
    qemu = need("qemu-" + QEMU[arch])
    d = tmpdir()
    exe = build("leaks", tag="-" + arch, GOARCH=arch)
    p = Prog([qemu, exe, "cache"], cwd=d, preexec_fn=limits, env=dict(os.environ, GOTRACEBACK="crash"))
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    p.kill(signal.SIGABRT)
    p.proc.wait(60)
    cores = [n for n in os.listdir(d) if n.startswith("qemu_")]
    if not cores:
        pytest.skip("no core was written")
    core = os.path.join(d, cores[0])
    prof = profile(core, exe)
    judge(prof, heap, named=0.01)
    check(sum(n for s, n in prof.stacks if s.startswith("main.sessions")) > 0.9 * heap, prof.text)
    grf("-o", f"{d}/a.core", "-o", f"{d}/a.pprof", core, exe)
    grf("-o", f"{d}/b.pprof", f"{d}/a.core", exe)
    same(f"{d}/a.pprof", f"{d}/b.pprof")


@pytest.mark.timeout(180)
def test_crash_while_running():
    """SIGABRT in the middle of allocating and collecting: whatever can be said, the sums hold or it says why not."""
    d = dumps()
    exact = 0
    for i in range(6):
        p = dying([build("busy")], d)
        time.sleep(0.3 + 0.1 * i)
        core = crash(p, d)
        prof = profile(core, p.exe, rc=None)
        t = prof.totals
        check(prof.run.rc == 0, prof.run)
        if "note" not in prof.text:
            check_sums(t)
            exact += 1
        os.remove(core)
    check(exact, "none of 6 crashes could be read exactly")


@pytest.mark.timeout(180)
def test_cut(say):
    """Cut anywhere: an error that says so, or a profile that does; live bytes never grow."""
    p, heap, core = kernel_core()
    size = os.path.getsize(core)
    whole = profile(core, p.exe).totals
    ok = 0
    for share in [*range(5, 100, 7), 99.9]:
        cut = f"{core}.cut"
        shutil.copyfile(core, cut)
        os.truncate(cut, int(size * share / 100))
        d = tmpdir()
        r = grf("-o", f"{d}/p.folded", "-o", f"{d}/p.txt", cut, p.exe, rc=None)
        check(r.rc in (0, 1), r)
        if r.rc:
            check("cut" in r.err and "missing" in r.err or "notes" in r.err, r)
            continue
        ok += 1
        prof = Profile(d, r)
        check("is cut" in prof.text and "missing" in prof.text, prof.text)
        assert prof.totals["live_bytes"] <= whole["live_bytes"]
        assert prof.totals["live_bytes"] + prof.totals["unreachable_bytes"] == whole["allocated_bytes"]
    say(f"{ok} of 15 cut cores could be read")


@pytest.mark.timeout(300)
def test_damaged():
    """Headers and notes with bytes changed at random: exit 0 or 1, in time."""
    p, heap, core = kernel_core(version="1.26.8")
    with open(core, "rb") as f:
        head = f.read(65536)
    phnum, = struct.unpack_from("<H", head, 56)
    rnd = random.Random(1)
    for i in range(120):
        b = bytearray(head)
        for _ in range(rnd.choice([1, 1, 3, 20])):
            b[rnd.randrange(16, rnd.choice([64, 64 + phnum * 56, 65536]))] = rnd.choice([0, 1, 127, 128, 255])
        with open(core, "r+b") as f:
            f.write(b)
        r = grf("-o", "/dev/null", core, p.exe, rc=None, timeout=60)
        check(r.rc in (0, 1), f"seed 1, round {i}:", r)


def test_is_no_core():
    """What is no core says what it is, and what to do."""
    d = tmpdir()
    exe = build("zoo")
    for name, data, say in [("empty", b"", "empty"), ("text", b"hello, world", "neither a core"),
                            ("z.zst", b"\x28\xb5\x2f\xfd0123", "zstd -d"), ("z.lz4", b"\x04\x22\x4d\x180123", "lz4 -d"),
                            ("z.gz", b"\x1f\x8b0123456", "gunzip"), ("z.xz", b"\xfd7zXZ\x00123", "xz -d"),
                            ("elf", b"\x7fELF\x02\x01\x01" + bytes(9), "")]:
        path = os.path.join(d, name)
        with open(path, "wb") as f:
            f.write(data)
        r = grf(path, exe, rc=1)
        check(path in r.err and say in r.err, r)
    assert "executable" in grf(exe, exe, rc=1).err
    # Another program's core.
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        subprocess.run(["gcore", "-o", f"{d}/s", str(sleeper.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    finally:
        sleeper.kill()
        sleeper.wait()
    if os.path.exists(f"{d}/s.{sleeper.pid}"):
        r = grf(f"{d}/s.{sleeper.pid}", exe, rc=1)
        check("another program" in r.err, r)


# Ours

def save(p, d, *args, name="a"):
    with multi() as g:
        return grf("-p", p.pid, *args, "-o", f"{d}/{name}.core", g.target, p.exe)


def same(a, b):
    with open(a, "rb") as f, open(b, "rb") as g:
        check(f.read() == g.read(), a, "and", b, "differ")


def round_trip(p, *args):
    d = tmpdir()
    save(p, d, *args, "-o", f"{d}/a.pprof", "-o", f"{d}/a.folded")
    grf("-o", f"{d}/b.pprof", "-o", f"{d}/b.folded", "-o", f"{d}/b.core", f"{d}/a.core", p.exe)
    for kind in "pprof", "folded", "core":
        same(f"{d}/a.{kind}", f"{d}/b.{kind}")
    # EXE is in the core, too.
    grf("-o", f"{d}/c.pprof", f"{d}/a.core")
    same(f"{d}/a.pprof", f"{d}/c.pprof")
    return d


def round_trip_of(**kw):
    p = start_zoo(**kw)
    ready(p)
    d = round_trip(p)
    assert_alive(p)
    check(os.stat(f"{d}/a.core").st_blocks * 512 < os.path.getsize(f"{d}/a.core"), "not sparse")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.17.13 1.21.13 1.26.8 1.27.3"))
def test_save(version):
    round_trip_of(version=version)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_save_pie():
    round_trip_of(flags=["-buildmode=pie"], tag="-pie")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_save_stripped():
    round_trip_of(flags=["-ldflags=-s -w"], tag="-stripped")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "gcc")
def test_save_cgo():
    round_trip_of(CGO_ENABLED="1", tag="-cgo")


def start_plugins(d):
    src = plugins(GO_VERSION)
    p = dying([f"{src}/host", f"{src}/plug", f"{src}/plug2"], d)
    return p, p.exe


def start_c_program(d):
    return c_program(GO_VERSION, "-cshared", [], lambda argv: dying(argv, d))


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "gcc")
@pytest.mark.parametrize("start", [start_plugins, start_c_program], ids=["plugins", "c_shared"])
def test_several_binaries(start):
    """start(): a program in a directory where it may dump core, and EXE.  Its modules are more than EXE's."""
    d = dumps()
    p, exe = start(d)
    heap = ready(p)
    saved = tmpdir()
    with multi() as g:
        grf("-p", p.pid, "-o", f"{saved}/a.core", "-o", f"{saved}/a.pprof", g.target, exe)
    grf("-o", f"{saved}/b.pprof", f"{saved}/a.core", exe)
    same(f"{saved}/a.pprof", f"{saved}/b.pprof")
    core = crash(p, d)
    for path in core, f"{saved}/a.core":
        prof = profile(path, exe)
        judge(prof, heap, held(p, prof), 0.01)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("arch", ["riscv64", "386", "mipsle", "mips64le", "loong64"])
def test_save_elsewhere(arch):
    """Architectures of which QEMU writes no core, or none that is whole: the registers' places are those that we write."""
    exe = build("zoo", tag="-" + arch, GOARCH=arch)
    p = QemuUser(arch, exe, "-tick", options=cpu(arch, GO_VERSION))
    d = tmpdir()
    grf("--until", "main.ticked:2", "-o", f"{d}/a.core", "-o", f"{d}/a.pprof", "-o", f"{d}/a.txt", p.target, exe)
    grf("-o", f"{d}/b.pprof", f"{d}/a.core", exe)
    same(f"{d}/a.pprof", f"{d}/b.pprof")
    with open(f"{d}/a.txt") as f:
        judged = read_totals(f.read())
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    assert within(judged["live_bytes"], heap, 0.001)
    p.stop()


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_save_fork(zoo):
    ready(zoo)
    round_trip(zoo, "--fork=auto")
    assert_alive(zoo)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_save_small(zoo):
    """A payload of pointer-free objects is not in it; --full has it."""
    heap = ready(zoo)
    d = tmpdir()
    save(zoo, d, "--save-only")
    save(zoo, d, "--save-only", "--full", name="f")
    check(os.path.getsize(f"{d}/a.core") < heap / 2, "saved", os.path.getsize(f"{d}/a.core"), "of", heap)
    check(os.path.getsize(f"{d}/f.core") > heap, "--full saved", os.path.getsize(f"{d}/f.core"), "of", heap)
    for name in "a", "f":
        prof = profile(f"{d}/{name}.core", zoo.exe)
        judge(prof, heap, held(zoo, prof), 0.01)
    # A smaller one out of a big one.
    grf("--save-only", "-o", f"{d}/b.core", f"{d}/f.core", zoo.exe)
    a, b = (profile(f"{d}/{n}.core", zoo.exe).stacks for n in "ab")
    assert sum(n for _, n in a) == sum(n for _, n in b) and os.path.getsize(f"{d}/b.core") < heap / 2


SECRETS = r"""package main

import ("fmt"; "os"; "runtime"; "time")

type rec struct { next *rec; card uint64; name string; f float64; big [100]uint64 }

var list *rec
var pin = uint64(0x1122334455667788)
var pins = []uint64{0x1122334455667788}
var lone uint64

func main() {
	for i := 0; i < 1000; i++ {
		list = &rec{next: list, card: 0x4111111111111111, name: "x", f: 1.5}
		for k := range list.big { list.big[k] = 0x5222222222222222 }
	}
	lone = pin + uint64(len(os.Args)) - 1
	hold := [4]uint64{pin, pin, pin, lone}
	go func() { onStack := [64]uint64{}
		for i := range onStack { onStack[i] = 0x6333333333333333 }
		time.Sleep(time.Hour); fmt.Println(onStack) }()
	time.Sleep(100 * time.Millisecond)
	runtime.GC()
	os.Stdout.WriteString("READY\n")
	time.Sleep(time.Hour)
	fmt.Println(hold, list, pins)
}
"""


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_scrub(stub):
    """No number of the program's is in a scrubbed core; the totals are the same."""
    d = tmpdir()
    p = Prog([go_source(SECRETS)])
    save(p, d)
    grf("--scrub", "--save-only", "-o", f"{d}/s.core", f"{d}/a.core", p.exe)
    with open(f"{d}/a.core", "rb") as f:
        plain = f.read()
    with open(f"{d}/s.core", "rb") as f:
        scrubbed = f.read()
    for secret in 0x1122334455667788, 0x4111111111111111, 0x5222222222222222, 0x6333333333333333:
        b = struct.pack("<Q", secret)
        check(b in plain, f"this test wants {secret:x} in what is captured")
        check(b not in scrubbed, f"{secret:x} is in the scrubbed core")
    a, s = (profile(f"{d}/{n}.core", p.exe, "--fold=none") for n in "as")
    assert a.totals["live_bytes"] == s.totals["live_bytes"]
    check_sums(s.totals)
    own = lambda prof: sorted(x for x in prof.stacks if x[0].startswith("main."))
    check(own(a) == own(s) and len(own(a)) > 2, own(a)[:5], own(s)[:5])
    # The zoo has all kinds of objects.
    p = start_zoo()
    heap = ready(p)
    save(p, d, "--scrub", "--save-only", name="z")
    judge(profile(f"{d}/z.core", p.exe), heap)
    # Without symbols nothing tells the runtime's variables from others.
    p = start_zoo(tag="-stripped", flags=["-ldflags=-s -w"])
    r = grf("-p", p.pid, "--scrub", "--save-only", "-o", f"{d}/y.core", stub.target, p.exe, rc=1)
    check("--debug" in r.err and not os.path.exists(f"{d}/y.core"), r)
    grf("-p", p.pid, "--scrub", "--save-only", "-o", f"{d}/y.core", "--debug", build("zoo"), stub.target, p.exe)
    assert_alive(p)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "gdb")
def test_save_gdb(zoo):
    ready(zoo)
    d = tmpdir()
    save(zoo, d, "--save-only")
    n = len(zoo.states())
    out = subprocess.run(["gdb", "-batch", "-nx", "-ex", "info threads", "-ex", "x/gx &'runtime.allglen'",
                          "-ex", "thread apply all bt", zoo.exe, f"{d}/a.core"],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace").stdout
    check(len(re.findall(r"^[* ] +\d+ +.*LWP", out, re.M)) == n, n, "threads:", out)
    check(re.search(r"<runtime.allglen>:\t0x0*[1-9a-f]", out), out)
    check("runtime.mstart" in out and "runtime.futexsleep" in out, out)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "dlv")
def test_save_delve(zoo):
    ready(zoo)
    d = tmpdir()
    save(zoo, d, "--save-only")
    with open(f"{d}/cmds", "w") as f:
        f.write("goroutines\ngoroutine 1 bt\np main.zooList.next\nquit\n")
    out = subprocess.run(["dlv", "core", zoo.exe, f"{d}/a.core", "--check-go-version=false",
                          "--allow-non-terminal-interactive=true", "--init", f"{d}/cmds"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace").stdout
    check("main.gorDeep" in out and "goroutines]" in out and "*main.node" in out, out)


def test_options():
    for args, say in [(["--scrub", "c"], "--scrub"), (["--save-only", "c"], "--save-only"), (["--full", "c"], "--full"),
                      (["--save-only", "-o", "a.core", "-o", "b.pprof", "c"], "b.pprof"),
                      (["--full", "--scrub", "-o", "a.core", "c"], "--full"),
                      (["-p", "1", __file__], "-p"), (["--fork", __file__], "--fork")]:
        r = grf(*args, rc=2)
        check(say in r.err, r)
