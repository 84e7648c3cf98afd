"""Exactness on other architectures, under QEMU's user mode: one cell each.

GRF_ARCH_RELEASES names the releases; `make check-arch` sets all of them, and then each cell leaves a row in
$OBJDIR/arch.tsv (tests/tools/support.py makes docs/SUPPORT.md's table of it).
"""

import os
import subprocess
import sys

from lib import *
from stubs import *
from case_b_exact import exact as exact_here, judge

ALL = "GRF_ARCH_RELEASES" in os.environ
TABLE = os.path.join(OBJDIR, "arch.tsv")
# `make check` has these: the stub's usual case, the other byte order, the other word size, both.
FEW = ["arm64", "s390x", "386", "mips"]
# C compilers, and where the dynamic loader is that programs with cgo and PIEs want: Debian's gcc-*-linux-gnu and libc6-*-cross.
TRIPLES = {"amd64": "", "arm64": "aarch64-linux-gnu", "riscv64": "riscv64-linux-gnu", "ppc64le": "powerpc64le-linux-gnu",
           "s390x": "s390x-linux-gnu", "mips64le": "mips64el-linux-gnuabi64", "mips64": "mips64-linux-gnuabi64",
           "mipsle": "mipsel-linux-gnu", "mips": "mips-linux-gnu", "386": "i686-linux-gnu", "arm": "arm-linux-gnueabihf"}
# qemu-i386 hangs in programs with cgo, with a debugger or without.
CGO = [a for a in TRIPLES if a not in ("amd64", "386")]
# Those whose PIEs the Go linker makes alone, and those that have PIEs.
PIE_ALONE = ["amd64", "arm64", "ppc64le"]
PIE = [*PIE_ALONE, "riscv64", "s390x", "arm"]
EXTERNAL = "-linkmode=external"
# Flags; the architectures that have it; those of `make check`.
BUILDS = {"default": ([], [], []),
          "stripped": (["-ldflags=-s -w"], QEMU, ["s390x"]),
          "pie": (["-buildmode=pie"], PIE_ALONE, ["amd64", "arm64"]),
          "stripped-pie": (["-buildmode=pie", "-ldflags=-s -w"], PIE_ALONE, ["amd64", "arm64"]),
          # GNU ld: what is only read lies beside the code; a PIE's pointers are in relocations alone.
          "cgo": ([f"-ldflags={EXTERNAL}"], CGO, ["arm64"]),
          "cgo-pie": (["-buildmode=pie", f"-ldflags={EXTERNAL}"], PIE, []),
          "cgo-stripped-pie": (["-buildmode=pie", f"-ldflags=-s -w {EXTERNAL}"], PIE, ["arm64"])}


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
            env = {"CGO_ENABLED": "1", "CC": need(f"{TRIPLES[arch]}-gcc".lstrip("-"))}
        if "pie" in name or "cgo" in name:
            root = f"/usr/{TRIPLES[arch]}" if TRIPLES[arch] else "/"
            options = ["-L", root]
            if not os.path.isdir(root):
                raise Skip(f"no {root}")
        exact(arch, version, BUILDS[name][0], tag, options, **env)
    tag = "" if name == "default" else f"-{name}"
    run.__name__ = f"go{version}-{arch}{tag}"
    case(timeout=600)(run)


def add_here(name):
    """386 is the one other architecture that this machine's kernel and gdbserver know as well."""
    def run():
        env = {"CGO_ENABLED": "1", "CC": need(f"{TRIPLES['386']}-gcc")} if "cgo" in name else {}
        exe = build("zoo", flags=BUILDS[name][0], tag=tag, GOARCH="386", **env)
        try:
            subprocess.Popen([exe], stdout=subprocess.DEVNULL).kill()
        except OSError as e:
            raise Skip(f"no 32-bit programs here: {e}")
        exact_here(flags=BUILDS[name][0], tag=tag, GOARCH="386", **env)
    tag = "-386" if name == "default" else f"-386-{name}"
    run.__name__ = f"gdbserver{tag}"
    case(timeout=180, needs=["gdbserver"])(run)


add_here("default")
if ALL:
    add_here("cgo")
    add_here("cgo-pie")
if ALL and "--list" not in sys.argv and os.path.exists(TABLE):
    os.remove(TABLE)
for v in os.environ.get("GRF_ARCH_RELEASES", GO_VERSION).split():
    for a in os.environ.get("GRF_ARCHES", " ".join(QEMU)).split() if ALL else FEW:
        if exists(v, a):
            add(v, a, "default")
    if v == GO_VERSION:
        for b, (_, every, few) in BUILDS.items():
            for a in every if ALL else few:
                add(v, a, b)
