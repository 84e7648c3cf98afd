#!/usr/bin/env python3
"""Prints docs/SUPPORT.md's table from the rows that `make check-releases` left:

	python3 tests/tools/support.py build/releases.tsv
"""

import sys


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
    main(sys.argv[1])
