#!/usr/bin/env python3
"""Prints docs/SUPPORT.md's tables from the rows that `make check-releases` and `make check-arch` left:

	python3 tests/tools/support.py build/releases.tsv
	python3 tests/tools/support.py --arch build/arch.tsv
"""

import sys


def minor(version):
    return int(version.split(".")[1])


def arch(path):
    """A row per architecture, a column per release: live - HeapAlloc in bytes, payloads."""
    cells = {}
    with open(path) as f:
        for line in f:
            version, name, *figures = line.rstrip("\n").split("\t")
            cells[name, version] = figures
    versions = sorted({v for _, v in cells}, key=minor)
    print("| |", " | ".join(versions), "|")
    print("|---" * (len(versions) + 1) + "|")
    for name in dict.fromkeys(n for n, _ in cells):
        row = []
        for v in versions:
            live, *rest = cells.get((name, v), [""])
            if rest:
                allocated, heap, held, promised, unnamed = rest
                live = f"{int(live) - int(heap):+d}" + (f", {held}/{promised}" if promised != "-" else "")
            row.append(live)
        print("|", name, "|", " | ".join(row), "|")


def main(path):
    print("| release | build | live | allocated | HeapAlloc | payloads | unnamed |")
    print("|---|---|---|---|---|---|---|")
    with open(path) as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    for version, build, live, allocated, heap, held, promised, unnamed in sorted(
            rows, key=lambda r: [int(n) for n in r[0].split(".")]):  # stable: builds as they ran
        payloads = f"{held}/{promised}" if promised != "-" else "-"
        unnamed = f"{unnamed} %" if unnamed != "-" else "-"
        print(f"| {version} | {build} | {live} | {allocated} | {heap} | {payloads} | {unnamed} |")


if __name__ == "__main__":
    if sys.argv[1] == "--arch":
        arch(sys.argv[2])
    else:
        main(sys.argv[1])
