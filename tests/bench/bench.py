#!/usr/bin/env python3
"""Ours beside its peers on the same heap, and beside the simplest reader there could be.

    bench.py [--series] [--write docs/PERFORMANCE.md]

For each size: starts tests/bench/heap, then in turn, RUNS times (3), medians:
    grf-rsp     through gdbserver --multi, -p; with --fork if it has that option
    bare        tests/tools/rsp_read -b on the ranges that the capture reads (tests/tools/ranges)
    goref       grf attach PID
    livecore    $LIVECORE PID FILE
and grf-rsp through tests/tools/delay: 20 ms each way, and 0; a stripped build, too, and with --fork.  --fork on a heap of
which half has no memory behind it.  The process itself says how long it was stopped.

Environment: BENCH_GB ("1.5"; --series: and "0.5 1 2 4 8" without peers, once, those that fit), RUNS, PEER_RUNS, GOREF=path of goref's
grf (if not set, built from GOREF_SRC, a git repository: its public one), LIVECORE=its path, DELAY_GB (1; 0: none),
LAZY_GB (6; 0: none), OBJDIR.
"""

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
import lib  # noqa: E402

TOOLS = os.path.join(lib.OBJDIR, "tests/tools")
WORK = os.path.join(lib.OBJDIR, "bench")
RUNS = int(os.environ.get("RUNS", "3"))
PEER_RUNS = int(os.environ.get("PEER_RUNS", RUNS))
GOREF_SRC = os.environ.get("GOREF_SRC", "https://github.com/cloudwego/goref")
START, END = "<!-- make bench writes from here -->\n", "<!-- to here -->\n"
DELAY_MS = 20


def say(*what):
    print(*what, file=sys.stderr, flush=True)


def build_heap(tag, *flags):
    out = os.path.join(WORK, f"heap{tag}")
    src = os.path.join(lib.TOP, "tests/bench/heap/main.go")
    subprocess.run([lib.go(), "build", *flags, "-o", out, src], check=True, cwd=WORK, env=lib.go_env(CGO_ENABLED="0"))
    return out


def build_goref():
    if os.environ.get("GOREF"):
        return os.environ["GOREF"]
    out = os.path.join(WORK, "goref")
    src = os.path.join(WORK, "goref-src")
    shutil.rmtree(src, ignore_errors=True)
    env = dict(lib.go_env(CGO_ENABLED="0"), GIT_TERMINAL_PROMPT="0")
    try:
        subprocess.run(["git", "clone", "-q", "--depth=1", GOREF_SRC, src], check=True, timeout=120, env=env)
        subprocess.run([lib.go(), "build", "-o", out, "./cmd/grf"], check=True, timeout=600, cwd=src, env=env)
    except (subprocess.SubprocessError, OSError) as e:
        say("goref cannot be built:", e)
        return None
    return out


class Measured:
    """One run of a command on a process that times its own stops."""

    def __init__(self, prog, argv, timeout=1200):
        prog.ask(lib.signal.SIGUSR1, "longest stop")
        start = time.monotonic()
        with open(os.path.join(WORK, "out"), "w+") as f:
            p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT, cwd=WORK)
            deadline = start + timeout
            while True:
                pid, status, ru = os.wait4(p.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    p.kill()
                time.sleep(0.002)
            p.returncode = status
            self.wall = time.monotonic() - start
            f.seek(0)
            self.out = f.read()
        lib.check(status == 0, f"{' '.join(argv)}: status {status}\n{self.out}")
        self.cpu, self.rss = ru.ru_utime + ru.ru_stime, ru.ru_maxrss / 1e3
        time.sleep(0.05)
        self.stop = float(prog.ask(lib.signal.SIGUSR1, "longest stop").split()[2])

    def number(self, pattern):
        m = re.search(pattern, self.out)
        return float(m.group(1)) if m else None


class Row:
    def __init__(self, name, runs, live=None, note=""):
        def med(f):
            v = [f(r) for r in runs]
            return statistics.median(v) if v and None not in v else None
        self.name, self.live, self.note, self.runs = name, live, note, runs
        self.stop, self.wall = med(lambda r: r.stop), med(lambda r: r.wall)
        self.cpu, self.rss = med(lambda r: r.cpu), med(lambda r: r.rss)


def grf_argv(pid, target, exe, *more):
    """Without the graph of objects, which no peer has; `more` may ask for it."""
    return [lib.GRF, "-v", "--graph=no", *(more or ["--fork=no"]), "-p", str(pid), "-o", "p.folded", target, exe]


def goref_live(path):
    r = subprocess.run([lib.go(), "tool", "pprof", "-sample_index=inuse_space", "-unit=B", "-top", path],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=lib.go_env())
    m = re.search(r"of (\d+)B total", r.stdout)
    return int(m.group(1)) if m else None


def has_fork():
    return "--fork" in subprocess.run([lib.GRF, "--help"], stdout=subprocess.PIPE, text=True).stdout


def free_gb():
    with open("/proc/meminfo") as f:
        return int(re.search(r"MemAvailable: +(\d+)", f.read()).group(1)) / 1e6


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) / 1e6


def measure(gb, exe, goref, skips, peers=True):
    """Rows of one size, and its heap; without peers one run of each."""
    prog = lib.Prog([exe, str(gb)], timeout=600)
    try:
        heap = {k: int(prog.wait_line(f"^{k} ").split()[1]) for k in ("heapalloc", "objects")}
        runs = {"grf-rsp": [], "grf-rsp, dominators": [], "grf-rsp --fork": [], "bare reader": [], "goref": [], "livecore": []}
        live = {}
        ranges = os.path.join(WORK, "ranges")
        with lib.multi() as stub:
            with open(ranges, "w") as f:
                subprocess.run([f"{TOOLS}/ranges", "-p", str(prog.pid), stub.target, exe], stdout=f, check=True)
            for i in range(RUNS if peers else 1):
                say(f"{gb} GB: run {i + 1}")
                r = Measured(prog, grf_argv(prog.pid, stub.target, exe))
                live["grf-rsp"] = r.number(r"live_bytes=(\d+)")
                runs["grf-rsp"].append(r)
                r = Measured(prog, grf_argv(prog.pid, stub.target, exe, "--graph=yes", "--fork=no"))
                live["grf-rsp, dominators"] = r.number(r"live_bytes=(\d+)")
                runs["grf-rsp, dominators"].append(r)
                runs["bare reader"].append(Measured(prog, [f"{TOOLS}/rsp_read", "-b", "-R", ranges, "-p", str(prog.pid),
                                                           stub.target]))
                if has_fork():
                    r = Measured(prog, grf_argv(prog.pid, stub.target, exe, "--fork"))
                    live["grf-rsp --fork"] = r.number(r"live_bytes=(\d+)")
                    runs["grf-rsp --fork"].append(r)
                else:
                    skips.add("grf-rsp --fork: this build has no such option")
        heap["resident"] = resident(prog.pid)
        for i in range(PEER_RUNS if peers else 0):
            if goref:
                say(f"{gb} GB: goref, run {i + 1}")
                runs["goref"].append(Measured(prog, [goref, "attach", str(prog.pid), exe, "-o", "goref.out"]))
                live["goref"] = goref_live(os.path.join(WORK, "goref.out"))
            else:
                skips.add("goref: SKIPPED: GOREF is not set, and it could not be built from GOREF_SRC")
            if os.environ.get("LIVECORE"):
                core = os.path.join(WORK, "livecore.core")
                runs["livecore"].append(Measured(prog, [os.environ["LIVECORE"], str(prog.pid), core]))
                os.unlink(core)
            else:
                skips.add("livecore: SKIPPED: LIVECORE is not set")
    finally:
        prog.stop()
    return heap, [Row(name, r, live.get(name)) for name, r in runs.items() if r]


def measure_lazy(gb, exe):
    """What is resident, and the stops of --fork."""
    prog = lib.Prog([exe, str(gb), "lazy"], timeout=600)
    try:
        with lib.multi() as stub:
            runs = [Measured(prog, grf_argv(prog.pid, stub.target, exe, "--fork")) for _ in range(RUNS)]
        return resident(prog.pid), [r.stop for r in runs]
    finally:
        prog.stop()


def measure_delay(gb, exes):
    """(name, median stop without, with) of each executable through a proxy."""
    out = []
    for name, exe, *more in exes:
        prog = lib.Prog([exe, str(gb)], timeout=600)
        try:
            with lib.multi() as stub:
                stops, rounds = {}, {}
                for ms in (0, DELAY_MS):
                    port = lib.free_port()
                    relay = subprocess.Popen([f"{TOOLS}/delay", str(ms), str(port), str(stub.port)],
                                             stdout=subprocess.PIPE, text=True)
                    relay.stdout.readline()
                    try:
                        runs = [Measured(prog, grf_argv(prog.pid, f"localhost:{port}", exe, *more)) for _ in range(RUNS)]
                    finally:
                        relay.kill()
                        relay.wait()
                    stops[ms] = statistics.median(r.stop for r in runs)
                    rounds[ms] = runs[-1].number(r"reads: (\d+) rounds")
                direct = statistics.median(Measured(prog, grf_argv(prog.pid, stub.target, exe, *more)).stop
                                           for _ in range(RUNS))
                out.append((name, direct, stops[0], stops[DELAY_MS], rounds[DELAY_MS]))
        finally:
            prog.stop()
    return out


def ratio(x, y):
    return f"{x / y:.2f}" if x and y else "-"


def table(gb, heap, rows):
    ours = rows[0]
    lines = [f"### {gb:g} GB: {heap['heapalloc'] / 1e9:.2f} GB in {heap['objects'] / 1e6:.2f} M objects, "
             f"{heap['resident']:.2f} GB resident", "",
             "| | stopped | ratio | wall | ratio | CPU | peak memory | live bytes |",
             "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        live = f"{r.live / heap['heapalloc'] * 100:.2f} %" if r.live else "-"
        lines.append(f"| {r.name} | {r.stop:.1f} ms | {ratio(ours.stop, r.stop)} | {r.wall:.2f} s | "
                     f"{ratio(ours.wall, r.wall)} | {r.cpu:.2f} s | {r.rss:.0f} MB | {live} |")
    r = ours.runs[-1]
    bare = next(x for x in rows if x.name == "bare reader")
    cpu = [(k, r.number(rf"CPU: {k} ([0-9.]+) s")) for k in ("marking", "naming")]
    lines += ["", f"Plan: {r.number(r'plan: ([0-9.]+) MB')} MB, asked for "
              f"{r.number(r'asked for: ([0-9.]+) of it')} of it; grf-rsp {r.number(r'packets, ([0-9.]+) MB/s')} MB/s, "
              f"bare {bare.runs[-1].number(r': ([0-9.]+) MB/s')} MB/s; "
              + "".join(f"{k} {v / heap['objects'] * 1e9:.0f} ns of CPU an object, " for k, v in cpu) +
              f"{ours.wall / heap['objects'] * 1e9:.0f} ns of wall time and "
              f"{ours.rss * 1e6 / heap['objects']:.0f} bytes of memory an object.", ""]
    graph = next(x for x in rows if x.name == "grf-rsp, dominators")
    lines += ["With the graph of objects: dominators, retained sizes, suspects, waste and goroutines' verdicts take "
              f"{graph.cpu - ours.cpu:.2f} s of CPU more ("
              + ", ".join(f"{k} {graph.runs[-1].number(rf'CPU: {k} ([0-9.]+) s'):.2f} s"
                          for k in ("roots of the graph", "dominators", "retained sizes"))
              + f"), {(graph.rss - ours.rss) * 1e6 / heap['objects']:.0f} bytes an object more at the peak.", ""]
    return lines


def distribution():
    with open("/etc/os-release") as f:
        return re.search(r'PRETTY_NAME="([^"]*)"', f.read()).group(1)


def machine():
    stub = subprocess.run(["gdbserver", "--version"], stdout=subprocess.PIPE, text=True).stdout.splitlines()[0]
    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read())
    return (f"{os.cpu_count()} cores ({cpu.group(1) if cpu else platform.machine()}), {distribution()}, {stub}, "
            f"Go {lib.GO_VERSION}. Load when it began: {os.getloadavg()[0]:.1f}. Medians of {RUNS} (peers: {PEER_RUNS}; the "
            "series: one run). Ratio: ours to the "
            "row's. Live bytes: share of what the program itself says is allocated after a collection.")


def write(path, text, title="Beside its peers", start=START, end=END):
    with open(path) as f:
        old = f.read()
    if start in old and end in old:
        new = old[:old.index(start) + len(start)] + text + old[old.index(end):]
    else:
        new = old.rstrip("\n") + f"\n\n## {title}\n\n" + start + text + end
    with open(path + ".tmp", "w") as f:
        f.write(new)
    os.replace(path + ".tmp", path)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--series", action="store_true")
    ap.add_argument("--write")
    args = ap.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)
    exe, stripped = build_heap(""), build_heap("-stripped", "-ldflags=-s -w")
    goref, skips = build_goref(), set()
    sizes = with_peers = [float(x) for x in os.environ.get("BENCH_GB", "1.5").split()]
    if args.series:
        sizes = sizes + [x for x in (0.5, 1, 2, 4, 8) if x not in sizes]
    lines = [machine(), ""]
    for gb in sizes:
        if gb * 2.5 > free_gb():  # the heap, its garbage, and ours
            skips.add(f"{gb:g} GB: SKIPPED: the machine has not enough memory free")
            continue
        lines += table(gb, *measure(gb, exe, goref, skips, gb in with_peers))
    lazy_gb = float(os.environ.get("LAZY_GB", "6"))
    if lazy_gb and lazy_gb * 1.5 < free_gb():
        say("half of it not resident")
        rss, stops = measure_lazy(lazy_gb, exe)
        lines += [f"### --fork, {lazy_gb:g} GB of which {rss:.1f} GB are resident", "",
                  f"Stopped {statistics.median(stops):.1f} ms (" + ", ".join(f"{s:.1f}" for s in stops) + ").", ""]
    delay_gb = float(os.environ.get("DELAY_GB", "1"))
    if delay_gb:
        say("through a proxy")
        lines += [f"### Through a proxy, {DELAY_MS} ms each way, {delay_gb:g} GB", "",
                  "| | direct | proxy without delay | proxy | ratio to direct | ratio to without | rounds of reads |",
                  "|---|---|---|---|---|---|---|"]
        for name, direct, without, delayed, rounds in measure_delay(delay_gb, (
                ("plain", exe), ("stripped", stripped), ("plain, --fork", exe, "--fork"))):
            lines.append(f"| {name} | {direct:.0f} ms | {without:.0f} ms | {delayed:.0f} ms | {ratio(delayed, direct)} | "
                         f"{ratio(delayed, without)} | {rounds:.0f} |")
        lines.append("")
    lines += [f"* {s}" for s in sorted(skips)] + ([""] if skips else [])
    text = "\n".join(lines)
    print(text)
    if args.write:
        write(args.write, text + "\n" if not text.endswith("\n") else text)


if __name__ == "__main__":
    try:
        main()
    except (lib.Skip, lib.Failure) as e:
        sys.exit(f"bench.py: {e}")
