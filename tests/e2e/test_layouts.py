"""Layouts of the runtime's structures: the table against the toolchains, programs that the table does not
have, and runtimes that are not what their version says.

Marker layouts: the slow ones, runtimes with a field more (`make check-releases` runs them).
"""

import json
import os
import re
import shutil
import subprocess

import pytest

from exactness import check_promises, check_sums, promises, within
from lib import *

LAYOUTGEN = os.path.join(OBJDIR, "tests/tools/layoutgen")
RELEASES = [GO_VERSION, "1.22.12", "1.24.10"]  # those that other tests build with anyway


@pytest.mark.timeout(300)
def test_table():
    """The table says what the toolchains' own DWARF says (`make check-layouts`: all of them)."""
    r = subprocess.run(["sh", os.path.join(TOP, "tests/tools/layouts.sh"), LAYOUTGEN, "--check", *RELEASES],
                       env=dict(os.environ, ARCHS="amd64"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True)
    check(r.returncode == 0, r.stdout)
    passed, failed, skipped = map(int, re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped", r.stdout).groups())
    if skipped:
        pytest.skip(r.stdout.strip())
    check(passed >= len(RELEASES) and not failed, r.stdout)


def renamed(exe, version):
    """A copy of the executable that says it is of another release, of equally many letters."""
    out = os.path.join(tmpdir(), os.path.basename(exe))
    with open(exe, "rb") as f:
        data = f.read()
    at = data.index(b"\xff Go buildinf:")
    old = b"go" + GO_VERSION.encode()
    check(len(version) == len(old) and old in data[at:at + 64], "no version in the build information")
    at = data.index(old, at)
    with open(out, "wb") as f:
        f.write(data[:at] + version.encode() + data[at + len(old):])
    shutil.copymode(exe, out)
    return out


STRIP = {"flags": ["-ldflags=-s -w"], "tag": "-stripped"}
NO_DEBUG = "no debug information to go by: give an executable with debug information"


def exact(exe, note, named=True):
    """The zoo is right, and the summary says which layout was used (note: None: it says nothing of it)."""
    p = Prog([exe])
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    with multi() as g:
        prof = profile(g.target, exe, "-p", p.pid)
    check_sums(prof.totals)
    check(within(prof.total, heap, 0.001), f"live {prof.total}, HeapAlloc {heap}")
    if named:
        bad = check_promises(promises(p.lines), prof.stacks)
        check(not bad, f"{len(bad)} promises broken:\n" + "\n".join(bad))
    check(note in prof.text if note else "layout" not in prof.text and "laid out" not in prof.text, note, prof.text)
    assert_alive(p)
    return prof


def refused(exe, *messages):
    p = Prog([exe])
    with multi() as g:
        r = grf("-p", p.pid, g.target, exe, rc=1)
    for m in messages:
        check(m in r.err, m, "is not in", r)
    check(r.secs < 10, r)
    assert_alive(p)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_known_release():
    exact(build("zoo"), None)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_unknown_patch():
    """A later patch release: the program's own DWARF."""
    prof = exact(renamed(build("zoo"), "go1.26.9"),
                 "go1.26.9 is not in the table of layouts: the program's own debug information is used")
    assert prof.totals["stops"] == 1


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_unknown_patch_stripped():
    """... the nearest row, held against the process by shape."""
    exact(renamed(build("zoo", **STRIP), "go1.26.9"), "the layout of go1.26.8 is used, which fits by shape", named=False)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_newer_release():
    exact(renamed(build("zoo"), "go1.28.8"),
          "go1.28.8 is not in the table of layouts: the program's own debug information is used")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_newer_release_stripped():
    refused(renamed(build("zoo", **STRIP), "go1.28.8"), "go1.28.8 is newer than this grf-rsp", NO_DEBUG,
            "or update grf-rsp")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_development_version():
    exact(renamed(build("zoo"), "go1.26rc"), "go1.26rc is not in the table of layouts")


def without(version, word):
    """A copy of the zoo whose DWARF has another name for a type or field: as if the linker had dropped it."""
    exe = renamed(build("zoo", flags=["-ldflags=-compressdwarf=false"], tag="-plain"), version)
    with open(exe, "r+b") as f:
        data = f.read()
        old = word.encode() + b"\0"
        check(data.count(old), "no", word)
        f.seek(0)
        f.write(data.replace(old, b"x" + old[1:]))
    return exe


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_dropped_type():
    """A type that the program's DWARF lacks is the table's; nothing is contradicted."""
    exact(without("go1.26.8", "runtime.finBlock"), None)
    exact(without("go1.26.9", "runtime.finBlock"), "go1.26.9 is not in the table of layouts: the program's own")
    refused(without("go1.28.8", "runtime.finBlock"), "no runtime.finBlock|runtime.finblock.alllink in DWARF",
            "update grf-rsp")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_renamed_field():
    """One that a struct there lacks is a contradiction: nobody knows where it is."""
    refused(without("go1.26.9", "stktopsp"), "no runtime.g.stktopsp in DWARF", "update grf-rsp")
    refused(without("go1.26.8", "stktopsp"), "the program's debug information contradicts the table of layouts: no "
            "runtime.g.stktopsp in DWARF")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_too_old():
    """Refused also with debug information."""
    refused(renamed(build("zoo"), "go1.16.8"), "go1.16.8 is too old")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_wrong_row():
    """Without debug information another release's layout is found out."""
    refused(renamed(build("zoo", **STRIP), "go1.20.8"), NO_DEBUG)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_wrong_row_with_symbols():
    """... by the shape of what the symbols lead to."""
    refused(renamed(build("zoo", flags=["-ldflags=-w"], tag="-nodwarf"), "go1.20.8"), NO_DEBUG)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_wrong_row_with_dwarf():
    """With it the program's own is used."""
    exact(renamed(build("zoo"), "go1.20.8"), "the runtime of this go1.20.8 is not laid out as the table has it")


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_cannot_stop_again():
    """... but not through a stub that cannot stop the process once more: here one without extended mode."""
    exe = renamed(build("zoo"), "go1.20.8")
    p = Prog([exe])
    with attach(p.pid) as g:
        relay = Relay(g.port, lambda data, up: data.replace(b"$!#21", b"$?#3f") if up else data)
        r = grf(relay.target, exe, rc=1)
    check("not laid out as the table has it" in r.err and "this stub cannot stop the process again" in r.err, r)
    assert_alive(p)


# A runtime with a field more, and the version of the one without.

def runtime_with(name, file, struct, before, field):
    """The zoo, built with a runtime whose struct has one more field."""
    src = os.path.join(os.path.dirname(os.path.dirname(go())), "src/runtime", file)
    with open(src) as f:
        text = f.read()
    at = text.index(f"\n\t{before} ", text.index(f"\ntype {struct} struct {{")) + 1
    d = tmpdir()
    with open(os.path.join(d, file), "w") as f:
        f.write(text[:at] + f"\t{field}\n" + text[at:])
    overlay = os.path.join(d, "overlay.json")
    with open(overlay, "w") as f:
        json.dump({"Replace": {src: os.path.join(d, file)}}, f)
    return (build("zoo", flags=["-overlay", overlay], tag=f"-{name}"),
            build("zoo", flags=["-overlay", overlay, "-ldflags=-s -w"], tag=f"-{name}-stripped"),
            build("zoo", flags=["-overlay", overlay, "-ldflags=-w"], tag=f"-{name}-nodwarf"))


@pytest.mark.layouts
@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("name, file, struct, before, field", [
    ("g", "runtime2.go", "g", "syscallsp", "grfPad [3]uintptr"),
    ("m", "runtime2.go", "m", "curg", "grfPad [3]uintptr"),
    ("mspan", "mheap.go", "mspan", "startAddr", "grfPad uintptr"),
    ("p", "runtime2.go", "p", "mcache", "grfPad uintptr"),
], ids=["g", "m", "mspan", "p"])
def test_patched(name, file, struct, before, field):
    with_dwarf, stripped, symbols = runtime_with(name, file, struct, before, field)
    exact(with_dwarf, f"the runtime of this go{GO_VERSION} is not laid out as the table has it ({name}_")
    refused(symbols, f"the table's layout of go{GO_VERSION} does not fit this process", NO_DEBUG)
    refused(stripped, NO_DEBUG)


@pytest.mark.layouts
@pytest.mark.timeout(400)
@pytest.mark.needs("gdbserver")
def test_patched_late():
    """What shape does not show: when the process runs again DWARF does, and it is captured once more."""
    exe = runtime_with("late", "runtime2.go", "g", "labels", "grfPad uintptr")[0]
    prof = exact(exe, f"the runtime of this go{GO_VERSION} is not laid out as the table has it (g_labels)")
    assert prof.totals["stops"] == 2
