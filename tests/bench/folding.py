#!/usr/bin/env python3
"""What a profile that a person can read saves, and what it costs.  Each program is captured once, and its core analysed with
--fold=none and as usual.

    folding.py [--write docs/PERFORMANCE.md]

shapes (160 MB of lists and trees) and nest (containers in containers) are there for their size, heap (10 million objects,
nothing to fold) for the time.  CPU and peak memory are those of whole runs that write a pprof profile, medians of RUNS (3).
"""

import argparse
import os
import statistics
import subprocess
import time

import bench
from bench import RUNS, WORK, lib

START, END = "<!-- folding.py writes from here -->\n", "<!-- folding.py writes to here -->\n"
OUT, FOLDED = os.path.join(WORK, "fold.out"), os.path.join(WORK, "fold.folded")


def capture(prog, name):
    core = os.path.join(WORK, f"{name}.core")
    with lib.multi() as stub:
        subprocess.run([lib.GRF, "-q", "--save-only", "-o", core, "-p", str(prog.pid), stub.target, prog.exe], check=True)
    return core


def run(core, exe, *args):
    """Seconds of CPU, and the peak in MB, of one run."""
    r = subprocess.Popen([lib.GRF, "-q", "--force", *args, core, exe])
    _, status, usage = os.wait4(r.pid, 0)
    r.returncode = os.waitstatus_to_exitcode(status)
    lib.check(r.returncode == 0, f"{r.args}: exit status {r.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def medians(core, exe, *args):
    return [statistics.median(x) for x in zip(*(run(core, exe, *args, "-o", OUT) for _ in range(RUNS)))]


def pprof_top():
    start = time.monotonic()
    try:
        subprocess.run([lib.go(), "tool", "pprof", "-top", OUT], check=True, timeout=120, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env=lib.go_env())
    except subprocess.TimeoutExpired:
        return "> 120 s"
    return f"{time.monotonic() - start:.1f} s"


def fold_row(name, core, exe, how):
    bench.say(name, how)
    cpu, peak = medians(core, exe, how)
    run(core, exe, how, "-o", FOLDED)
    with open(FOLDED, "rb") as f:
        samples = sum(1 for _ in f)
    return (f"| {name} | {how} | {samples:,} | {os.path.getsize(OUT) / 1024:,.0f} KB | {cpu:.2f} s | {peak:,.0f} MB | "
            f"{pprof_top()} |")


def fold_rows():
    for name, argv in (("shapes", [lib.build("shapes"), "160"]), ("nest", [lib.build("nest")]),
                       ("heap", [bench.build_heap(""), "1.5"])):
        prog = lib.Prog(argv, timeout=600)
        try:
            core = capture(prog, name)
        finally:
            prog.stop()
        for how in "--fold=none", "--fold=recursion":
            yield fold_row(name, core, prog.exe, how)
        os.unlink(core)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--write")
    args = ap.parse_args()
    os.makedirs(WORK, exist_ok=True)
    lines = ["| program | | samples | profile | CPU | peak | pprof -top |", "|---|---|---|---|---|---|---|", *fold_rows()]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.write:
        bench.write(args.write, text, "What folding saves", START, END)


if __name__ == "__main__":
    main()
