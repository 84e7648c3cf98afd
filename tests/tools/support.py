#!/usr/bin/env python3
"""Prints docs/SUPPORT.md's tables from the rows that `make check-releases` and `make check-arch` left:

	python3 tests/tools/support.py build/releases.tsv
	python3 tests/tools/support.py --arch build/arch.tsv
"""

import sys


def minor(version):
    return int(version.split(".")[1])


def grid(cells, rows, columns):
    """cells: (row, column) -> text."""
    print("| |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for r in rows:
        print("|", r, "|", " | ".join(cells.get((r, c), "") for c in columns), "|")


def arch(path):
    """Live - HeapAlloc in bytes, payloads: of each architecture by release, then by other builds of one release."""
    releases, builds = {}, {}
    with open(path) as f:
        for line in f:
            version, name, live, *rest = line.rstrip("\n").split("\t")
            name, _, build = name.partition("-")
            if rest:
                allocated, heap, held, promised, unnamed = rest
                live = f"{int(live) - int(heap):+d}" + (f", {held}/{promised}" if promised != "-" else "")
            if build:
                builds[name, build] = live
            else:
                releases[name, version] = live
    versions = sorted({v for _, v in releases}, key=minor)
    names = dict.fromkeys(n for v in reversed(versions) for n, w in releases if w == v)
    grid(releases, names, versions)
    print()
    grid(builds, names, dict.fromkeys(b for _, b in builds))


def main(path):
    print("| release | build | live | allocated | HeapAlloc | payloads | unnamed |")
    print("|---|---|---|---|---|---|---|")
    with open(path) as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    for version, build, live, allocated, heap, held, promised, unnamed in sorted(
            rows, key=lambda r: [int(n) for n in r[0].split(".")]):  # stable: builds in the tests' order
        payloads = f"{held}/{promised}" if promised != "-" else "-"
        unnamed = f"{unnamed} %" if unnamed != "-" else "-"
        print(f"| {version} | {build} | {live} | {allocated} | {heap} | {payloads} | {unnamed} |")


if __name__ == "__main__":
    if sys.argv[1] == "--arch":
        arch(sys.argv[2])
    else:
        main(sys.argv[1])
