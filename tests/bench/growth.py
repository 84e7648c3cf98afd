#!/usr/bin/env python3
"""What comparing captures costs, on a heap of GROWTH_GB (1.6: 10 million objects).

    growth.py [--write docs/PERFORMANCE.md]

Two cores: each analysed alone, then both with --base.  A series of three with --fork beside one --fork: the peak of memory, and
how long the process was stopped.  CPU and memory are those of whole runs, medians of RUNS (3), taken in turn.
"""

import argparse
import json
import os
import statistics
import subprocess

import bench
from bench import RUNS, WORK, lib

START, END = "<!-- growth.py writes from here -->\n", "<!-- growth.py writes to here -->\n"


def run(*args):
    """Seconds of CPU, and the peak in MB, of one run."""
    r = subprocess.Popen([lib.GRF, "-q", "-o", f"{WORK}/growth.json", *map(str, args)], cwd=WORK)
    _, status, usage = os.wait4(r.pid, 0)
    r.returncode = os.waitstatus_to_exitcode(status)
    lib.check(r.returncode == 0, f"{r.args}: exit status {r.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def stops():
    with open(f"{WORK}/growth.json") as f:
        a = json.load(f)
    return [c["stopped_ns"] / 1e6 for c in a["growth"]["captures"]] if "growth" in a else [a["stop"]["stopped_ns"] / 1e6]


def medians(rows):
    return [statistics.median(v) for v in zip(*rows)]


def measure(gb, exe):
    prog = lib.Prog([exe, str(gb)], timeout=600)
    try:
        live = {"one": [], "series": []}
        stopped = {"one": [], "series": []}
        for _ in range(RUNS):
            live["one"].append(run("--fork", prog.pid))
            stopped["one"] += stops()
            live["series"].append(run("--fork", "--every", "1s", "--times", "3", prog.pid))
            stopped["series"] += stops()
        for n in "ab":
            subprocess.run([lib.GRF, "-q", "--save-only", "-o", f"{WORK}/{n}.core", str(prog.pid)], check=True)
    finally:
        prog.stop()
    alone, both = [], []
    for _ in range(RUNS):
        a, b = (run(f"{WORK}/{n}.core", exe) for n in "ab")
        alone.append((a[0] + b[0], max(a[1], b[1])))
        both.append(run("--base", f"{WORK}/a.core", f"{WORK}/b.core", exe))
    return medians(alone), medians(both), {k: medians(v) for k, v in live.items()}, stopped


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--write")
    args = ap.parse_args()
    os.makedirs(WORK, exist_ok=True)
    gb = float(os.environ.get("GROWTH_GB", "1.6"))
    alone, both, live, stopped = measure(gb, bench.build_heap(""))
    ms = {k: f"{statistics.median(v):.0f} ms ({min(v):.0f} to {max(v):.0f})" for k, v in stopped.items()}
    text = "\n".join([
        f"{bench.machine()} `tests/bench/growth.py`, {gb:g} GB, {RUNS} runs each in turn.", "",
        "| | CPU | peak memory | stopped |", "|---|---|---|---|",
        f"| two cores, each alone: the sum | {alone[0]:.1f} s | {alone[1]:.0f} MB | |",
        f"| the same with `--base` | {both[0]:.1f} s, {both[0] / alone[0]:.2f} of it | {both[1]:.0f} MB | |",
        f"| one `--fork` | {live['one'][0]:.1f} s | {live['one'][1]:.0f} MB | {ms['one']} |",
        f"| a series of three | {live['series'][0]:.1f} s, {live['series'][0] / live['one'][0] / 3:.2f} a capture | "
        f"{live['series'][1]:.0f} MB | {ms['series']} |", ""])
    print(text)
    if args.write:
        bench.write(args.write, text, "What growth costs", START, END)


if __name__ == "__main__":
    main()
