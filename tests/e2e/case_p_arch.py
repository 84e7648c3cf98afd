"""Exactness on other architectures, under QEMU's user mode: one cell each.

GRF_ARCH_RELEASES names the releases; `make check-arch` sets all of them, and then each cell leaves a row in
$OBJDIR/arch.tsv (tests/tools/support.py makes docs/SUPPORT.md's table of it).
"""

import os
import sys

from lib import *
from stubs import *
from case_b_exact import judge

ALL = "GRF_ARCH_RELEASES" in os.environ
TABLE = os.path.join(OBJDIR, "arch.tsv")
# `make check` has these: the stub's usual case, the other byte order, the other word size, both.
FEW = ["arm64", "s390x", "386", "mips"]
BUILDS = {"default": [], "stripped": ["-ldflags=-s -w"], "pie": ["-buildmode=pie"],
          "stripped-pie": ["-buildmode=pie", "-ldflags=-s -w"],
          # GNU ld: what is only read lies beside the code; a PIE's pointers are in relocations alone.
          "cgo": ["-ldflags=-linkmode=external"],
          "cgo-stripped-pie": ["-buildmode=pie", "-ldflags=-s -w -linkmode=external"]}
CROSS = {"arm64": "aarch64-linux-gnu-gcc"}
# Where the dynamic loader that a PIE wants is, of those that the Go linker links alone: Debian's libc6-arm64-cross.
SYSROOTS = {"amd64": "/", "arm64": "/usr/aarch64-linux-gnu"}


def exists(version, arch):
    return arch != "loong64" or int(version.split(".")[1]) >= 19


def leave(*row):
    if ALL:
        with open(TABLE, "a") as f:
            print(*row, sep="\t", file=f)


def exact(arch, version, flags=(), tag="", options=(), named=0.01, until="main.ticked:2", **env):
    exe = build("zoo", version, flags=flags, tag=f"-{arch}{tag}", GOARCH=arch, **env)
    p = QemuUser(arch, exe, "-tick", "-garbage", options=[*cpu(arch, version), *options])
    prof = profile(p.target, exe, "--until", until)
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    runs_on(p)
    proms = promises(p.lines)
    bad = [] if "stripped" in tag else check_promises(proms, prof.stacks)
    t = prof.totals
    unnamed = 100 * t["unnamed_bytes"] / max(1, t["live_bytes"])
    print(f"      go{version} {arch}{tag}: live {t['live_bytes']} of {t['allocated_bytes']} bytes (HeapAlloc {heap}), "
          f"{len(proms) - len(bad)}/{len(proms)} payloads, unnamed {unnamed:.3f} %", flush=True)
    judge(prof, heap, bad, 0 if "stripped" in tag else named)
    check(within(t["unreachable_bytes"], 16777216, 0.01), "unreachable:", t["unreachable_bytes"])
    held = ["-", "-", "-"] if "stripped" in tag else [len(proms) - len(bad), len(proms), f"{unnamed:.3f}"]
    leave(version, arch + tag, t["live_bytes"], t["allocated_bytes"], heap, *held)
    p.stop()
    return prof


def add(version, arch, name):
    def run():
        if need("qemu-" + QEMU[arch]) and ALL:
            leave(version, arch + tag, "failed")  # a row that follows wins
        options, env = [], {}
        if "cgo" in name:
            env = {"CGO_ENABLED": "1", "CC": need(CROSS[arch])}
        if "pie" in name or "cgo" in name:
            options = ["-L", SYSROOTS[arch]]
            if not os.path.isdir(SYSROOTS[arch]):
                raise Skip(f"no {SYSROOTS[arch]}")
        exact(arch, version, BUILDS[name], tag, options, **env)
    tag = "" if name == "default" else f"-{name}"
    run.__name__ = f"go{version}-{arch}{tag}"
    case(timeout=600)(run)


if ALL and "--list" not in sys.argv and os.path.exists(TABLE):
    os.remove(TABLE)
for v in os.environ.get("GRF_ARCH_RELEASES", GO_VERSION).split():
    for a in os.environ.get("GRF_ARCHES", " ".join(QEMU)).split() if ALL else FEW:
        if exists(v, a):
            add(v, a, "default")
    for b in list(BUILDS)[1:]:
        few = ["s390x"] if b == "stripped" else CROSS if "cgo" in b else SYSROOTS
        for a in [] if v != GO_VERSION else QEMU if ALL and b == "stripped" else few:
            add(v, a, b)
