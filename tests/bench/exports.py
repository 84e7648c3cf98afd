#!/usr/bin/env python3
"""What the exports of all objects cost beside JSON: size, CPU, peak memory.  Each heap is captured once, and its core analysed for
each format.

    exports.py [--write docs/EXPORTS.md]

EXPORTS_GB="0.16 1.6": sizes of the bench heap, 1 and 10 million objects.  Medians of RUNS (3).
"""

import argparse
import os
import statistics
import subprocess
import time

import bench
from bench import RUNS, WORK, lib
from folding import capture

START, END = "<!-- exports.py writes from here -->\n", "<!-- exports.py writes to here -->\n"
FORMATS = "json", "prom", "sqlite", "heapsnapshot", "hprof", "hprof.gz"


def run(core, exe, out):
    """Seconds of CPU, seconds, and the peak in MB, of one run."""
    start = time.monotonic()
    p = subprocess.Popen([lib.GRF, "-q", "--force", "-o", out, core, exe])
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    lib.check(p.returncode == 0, f"{p.args}: exit status {p.returncode}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - start, usage.ru_maxrss / 1024


def rows(gb, exe):
    prog = lib.Prog([exe, str(gb)], timeout=600)
    try:
        objects = int(prog.wait_line("^objects ").split()[1])
        core = capture(prog, "exports")
    finally:
        prog.stop()
    json = None
    for format in FORMATS:
        bench.say(f"{gb} GB: {format}")
        out = os.path.join(WORK, f"export.{format}")
        cpu, wall, peak = (statistics.median(x) for x in zip(*(run(core, exe, out) for _ in range(RUNS))))
        json = json or peak
        yield (f"| {objects / 1e6:.1f} M objects | `*.{format}` | {os.path.getsize(out) / 1e6:,.1f} MB | {cpu:.1f} s | {wall:.1f} s | "
               f"{peak:,.0f} MB | {peak / json:.2f} |")
        os.unlink(out)
    os.unlink(core)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--write")
    args = ap.parse_args()
    os.makedirs(WORK, exist_ok=True)
    exe = bench.build_heap("")
    lines = ["| heap | | file | CPU | wall | peak memory | beside JSON |", "|---|---|---|---|---|---|---|"]
    for gb in os.environ.get("EXPORTS_GB", "0.16 1.6").split():
        lines += rows(float(gb), exe)
    text = "\n".join(lines) + "\n"
    print(text)
    if args.write:
        bench.write(args.write, text, "What they cost", START, END)


if __name__ == "__main__":
    main()
