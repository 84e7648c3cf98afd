"""Exactness on other architectures, under QEMU's user mode: one cell each, and each leaves a row of arch.tsv.

`make check-arch` runs all of them, `make check` a sample.  GRF_RELEASES and GRF_ARCHES ("arm64 s390x") name others.
"""

import os
import subprocess

import pytest

from exactness import *
from exactness import exact as exact_here
from lib import *
from matrix import cell
from stubs import *

ARCHES = os.environ.get("GRF_ARCHES", " ".join(QEMU)).split()
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


def exact(arch, version, flags, tag, options, env, say):
    """What was measured goes to say(); returns the last cells of the table's row."""
    exe = build("zoo", version, flags=flags, tag=f"-{arch}{tag}", GOARCH=arch, **env)
    p = QemuUser(arch, exe, "-tick", "-garbage", options=[*cpu(arch, version), *options])
    prof = profile(p.target, exe, "--until", "main.ticked:2")
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    runs_on(p)
    proms = promises(p.lines)
    bad = [] if "stripped" in tag else check_promises(proms, prof.stacks)
    t = prof.totals
    unnamed = 100 * t["unnamed_bytes"] / max(1, t["live_bytes"])
    say(f"go{version} {arch}{tag}: live {t['live_bytes']} of {t['allocated_bytes']} bytes (HeapAlloc {heap}), "
        f"{len(proms) - len(bad)}/{len(proms)} payloads, unnamed {unnamed:.3f} %")
    judge(prof, heap, bad, 0 if "stripped" in tag else 0.01)
    check(within(t["unreachable_bytes"], 16777216, 0.01), "unreachable:", t["unreachable_bytes"])
    held = ["-", "-", "-"] if "stripped" in tag else [len(proms) - len(bad), len(proms), f"{unnamed:.3f}"]
    p.stop()
    return [t["live_bytes"], t["allocated_bytes"], heap, *held]


def cells():
    """(version, architecture, name of the build) of each cell."""
    for v in dict.fromkeys([*RELEASES, GO_VERSION]):
        for a in QEMU:
            if exists(v, a):
                yield cell(v, a, "default", id=f"go{v}-{a}", mark="arch", every=v in RELEASES and a in ARCHES,
                           sample=v == GO_VERSION and a in FEW)
    for name, (_, every, few) in BUILDS.items():
        for a in every:
            yield cell(GO_VERSION, a, name, id=f"go{GO_VERSION}-{a}-{name}", mark="arch", every=GO_VERSION in RELEASES,
                       sample=a in few)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version, arch, name", filter(None, cells()))
def test_qemu(version, arch, name, say, leave):
    tag = "" if name == "default" else f"-{name}"
    need("qemu-" + QEMU[arch])
    leave("arch.tsv", version, arch + tag, "failed")  # a row that follows wins
    options, env = [], {}
    if "cgo" in name:
        env = {"CGO_ENABLED": "1", "CC": need(f"{TRIPLES[arch]}-gcc".lstrip("-"))}
    if "pie" in name or "cgo" in name:
        root = f"/usr/{TRIPLES[arch]}" if TRIPLES[arch] else "/"
        options = ["-L", root]
        if not os.path.isdir(root):
            pytest.skip(f"no {root}")
    leave("arch.tsv", version, arch + tag, *exact(arch, version, BUILDS[name][0], tag, options, env, say))


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("name", [cell(n, id=n, mark="arch", sample=n == "default") for n in ("default", "cgo", "cgo-pie")])
def test_gdbserver_386(name):
    """386 is the one other architecture that this machine's kernel and gdbserver know as well."""
    env = {"CGO_ENABLED": "1", "CC": need(f"{TRIPLES['386']}-gcc")} if "cgo" in name else {}
    tag = "-386" if name == "default" else f"-386-{name}"
    exe = build("zoo", flags=BUILDS[name][0], tag=tag, GOARCH="386", **env)
    try:
        subprocess.Popen([exe], stdout=subprocess.DEVNULL).kill()
    except OSError as e:
        pytest.skip(f"no 32-bit programs here: {e}")
    exact_here(flags=BUILDS[name][0], tag=tag, GOARCH="386", **env)
