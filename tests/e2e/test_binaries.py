"""Names from other files (--debug, .gnu_debuglink, build ids), Go in a C program, plugins."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from exactness import exact_process as exact
from lib import *
from matrix import releases


# --debug FILE

@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("tag, flags", [("", []), ("-pie", ["-buildmode=pie"])], ids=["exe", "pie"])
@pytest.mark.parametrize("version", releases([GO_VERSION]))
def test_debug_file(version, tag, flags, release_row):
    debug = build("zoo", version, flags=flags, tag=tag)
    p = start_zoo(version=version, tag="-stripped" + tag, flags=["-ldflags=-s -w", *flags])
    prof = exact(p, p.exe, "--debug", debug,
                 say=lambda **t: release_row(version, f"stripped{tag}, --debug", **t))
    check(f"names of {p.exe}: {debug}" in prof.run.out, prof.run.out)
    assert_alive(p)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_debug_file_of_another_build(stub):
    """Other flags, another program, another architecture: the profile is written without names, and a note says why. A file that
    is not there is an error, before the process is stopped."""
    p = start_zoo(tag="-stripped", flags=["-ldflags=-s -w"])
    others = [build("zoo", tag="-noopt", flags=["-gcflags=all=-N -l"]), build("busy"),
              build("busy", tag="-arm64", GOARCH="arm64")]
    r = grf("--debug", "/nonexistent", "-p", p.pid, stub.target, p.exe, rc=1)
    check("/nonexistent" in r.err, r)
    check(not any("Attached" in l for l in stub.log), stub.log)
    for other in others:
        prof = profile(stub.target, p.exe, "--debug", other, "-p", p.pid)
        notes = [l for l in prof.text.splitlines() if l.startswith("note ") and f"no names from --debug {other}" in l]
        check(len(notes) == 1 and ("is not of the same build" in notes[0] or "another architecture" in notes[0]), prof.text)
        check(prof.total == prof.totals["live_bytes"] > 0, prof.text)
        check(('; -gcflags: "all=-N -l", not none' in notes[0]) == (other == others[0]), notes)
    assert_alive(p)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_unstripped_twin_as_exe(stub):
    """EXE is the unstripped build of what runs: refused before the stop, with what to type instead, which is typed then."""
    p, twin = start_zoo(tag="-stripped", flags=["-ldflags=-s -w"]), build("zoo")
    r = grf("-p", p.pid, stub.target, twin, rc=1)
    check(f"{twin} is not what runs there: process {p.pid} runs {p.exe}," in r.err and f"--debug {twin} for" in r.err, r)
    check(not any("Attached" in l for l in stub.log), stub.log)
    with attach(p.pid) as g:
        check(f"--debug {twin} for" in grf(g.target, twin, rc=1).err)
    assert_alive(p)
    r = grf("-p", p.pid, stub.target, build("busy"), rc=1)
    check(f"runs {p.exe}, which has another build id" in r.err and "--debug" not in r.err, r)
    exact(p, None, "--debug", twin)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_debug_file_with_another_dependency(stub):
    """The same package main, another dependency: only the function tables tell."""
    src = tmpdir()
    exes = []
    for i, text in enumerate(["func F() int { return 1 }", "func F() int { println(1, 2, 3); return 1 }"]):
        d = os.path.join(src, "m")
        for name, body in {"go.mod": "module m\n\ngo 1.17\n", "dep/dep.go": f"package dep\n\n//go:noinline\n{text}\n",
                           "mid/mid.go": 'package mid\n\nimport "m/dep"\n\n//go:noinline\nfunc M() int { return dep.F() }\n',
                           "main.go": 'package main\n\nimport ("m/mid"; "os"; "time")\n\n'
                                      'func main() { os.Stdout.WriteString("READY\\n"); time.Sleep(time.Hour); mid.M() }\n'
                           }.items():
            path = os.path.join(d, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(body)
        for flags in [], ["-ldflags=-s -w"]:
            exes.append(go_build(d, os.path.join(src, f"exe{i}{len(flags)}"), *flags, CGO_ENABLED="0"))
    ids = [subprocess.run([go(), "tool", "buildid", e], stdout=subprocess.PIPE, text=True, env=go_env()).stdout.strip()
           for e in exes]
    check(len({i.split("/")[2] for i in ids}) == 1, "this test wants equal ids of main:", ids)
    p = Prog([exes[1]])
    said = " ".join(grf("--debug", exes[2], "-p", p.pid, stub.target, p.exe).out.split())  # notes are wrapped
    check(".text differs" in said or "pclntab differs" in said, said)
    check("no names from --debug" in said, said)
    grf("--debug", exes[0], "-p", p.pid, stub.target, p.exe)


def split(exe, d, name="split.debug"):
    """As distributions do: DWARF and symbols in a file of their own."""
    need("objcopy")
    stripped, debug = os.path.join(d, "exe"), os.path.join(d, name)
    run("objcopy", "--only-keep-debug", exe, debug)
    run("objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", exe, stripped)
    return stripped, debug


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "objcopy")
def test_debuglink():
    d = tmpdir()
    stripped, debug = split(build("zoo"), d)
    p = Prog([stripped])
    prof = exact(p, stripped)
    check(f"names of {stripped}: " in prof.run.out, prof.run.out)
    os.mkdir(f"{d}/.debug")
    os.rename(debug, f"{d}/.debug/split.debug")
    exact(p, stripped)
    # Another file of that name: its CRC is not the link's.
    with open(f"{d}/.debug/split.debug", "ab") as f:
        f.write(b"x")
    prof = exact(p, stripped, named=False)
    check("no DWARF" in prof.run.out, prof.run.out)
    # Given by hand it is taken: its build id is right.
    exact(p, stripped, "--debug", f"{d}/.debug/split.debug")
    assert_alive(p)


@pytest.mark.timeout(60)
@pytest.mark.needs("gdbserver", "objcopy")
def test_debuglink_of_another_user():
    """We are root, and the process is not: what lies beside its program may be its own doing, and is taken if only root could be."""
    if os.geteuid():
        pytest.skip("not root")
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        os.chmod(d, 0o755)
        stripped, debug = split(build("zoo"), d)
        p = Prog([stripped], user=65534)

        def said(*args):
            return " ".join(grf("-v", "--graph=no", "-o", f"{d}/x.folded", *args).out.split())

        check(f"names of {stripped}: {debug}" in said(p.pid))
        for owners, mode in [((65534, 0), 0o755), ((0, 0), 0o757)]:
            os.chown(d, owners[0], 0)
            os.chown(debug, owners[1], 0)
            os.chmod(d, mode)
            out = said(p.pid)
            check(f"not from {debug}, where others than root can write" in out and "no DWARF" in out, out)
        check(f"names of {stripped}: {debug}" in said("--debug", debug, p.pid))
        os.chmod(d, 0o755)
        os.chown(debug, 65534, 0)
        check("not from" in said(p.pid))
        grf("--save-only", "--debug", debug, "-o", f"{d}/a.core", p.pid)
        check("not from" in said(f"{d}/a.core"), "a core's path is followed")
        check(f"names of {stripped}: {debug}" in said(f"{d}/a.core", stripped), "and what was given is not")
        p.kill(signal.SIGKILL)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "objcopy")
def test_build_id_directory():
    """/usr/lib/debug/.build-id, where distributions put debug files."""
    exe = build("zoo", tag="-gnuid", flags=["-ldflags=-B 0x1122334455667788990011223344556677889900"])
    where = "/usr/lib/debug/.build-id/11/22334455667788990011223344556677889900.debug"
    d = tmpdir()
    stripped, debug = split(exe, d)
    run("objcopy", "--remove-section=.gnu_debuglink", stripped)
    try:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        shutil.copy(debug, where)
    except OSError as e:
        pytest.skip(f"cannot write there: {e}")
    os.unlink(debug)
    try:
        p = Prog([stripped])
        prof = exact(p, stripped)
        check(f"names of {stripped}: {where}" in prof.run.out, prof.run.out)
    finally:
        os.unlink(where)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "objcopy", "nm")
@pytest.mark.parametrize("version", releases([GO_VERSION]))
def test_found_by_shape(version):
    """Without symbols the runtime's variables are found where the symbols of the same link have them."""
    exe = build("zoo", version)
    stripped, debug = split(exe, tmpdir())
    run("objcopy", "--remove-section=.gnu_debuglink", stripped)
    os.unlink(debug)
    prof = exact(Prog([stripped]), stripped, named=False)
    line = re.search("found by shape: (.*)", prof.run.out)
    check(line, prof.run.out)
    symbols = subprocess.run(["nm", exe], stdout=subprocess.PIPE, text=True).stdout
    for part in line[1].split(", "):
        name, addr = part.split(" ")
        # The finalizer queue's own head can lead to the same blocks; where no cleanup waits there is nothing to find.
        names = {"allfin": "allfin|finq", "allgs": "allgs|allgptr"}.get(name, name)
        right = [int(a, 16) for a in re.findall(rf"^(\w+) \w runtime\.(?:{names})$", symbols, re.M)]
        check(int(addr, 16) in right + ([0] if name == "gcCleanups" else []), part, right)


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_stripped_names():
    """What is left without any debug file: functions, types that objects carry, maps by their groups, the runtime's variables."""
    p = start_zoo(tag="-stripped", flags=["-ldflags=-s -w"])
    prof = exact(p, p.exe, named=False)
    unnamed = r"^\.bss\+0x[0-9a-f]+ \(main\.[\w.()*]+\);"
    for want in (r"^main\.gorDeep", unnamed + r".*\$mapval\. \(main\.farVal\);data\. \(\[\]uint8\)$",
                 unnamed + r"main\.shape\.area-fm;data\. \(\[\]uint8\)$", r";rcvr\. \(reflect\.Value = \*main\.holder\);data\. \(\[\]uint8\)$",
                 r"main\.finalizerBlocks;\$sub_objects\$ \(\*main\.holder\);data\. \(\[\]uint8\)$", r"^runtime\.SetFinalizer\.obj;referent\. ",
                 r"^runtime\.allp;\$sub_objects\$ \(\[\]\*runtime\.p\)", r"^runtime\.allm"):
        check(any(re.search(want, s) for s, _ in prof.stacks), "no path matches", want)
    check("--debug FILE" in prof.run.out, prof.run.out)


# Go in a C program

@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver", "gcc")
@pytest.mark.parametrize("version", releases([GO_VERSION], only="1.17 1.21 1.24 1.27"))
def test_c_shared(version, release_row):
    p, lib = c_program(version, "-cshared", [])
    exact(p, lib, say=lambda **t: release_row(version, "c-shared", **t))
    assert_alive(p)
    p, stripped = c_program(version, "-cshared-stripped", ["-ldflags=-s -w"])
    exact(p, stripped, named=False)
    exact(p, stripped, "--debug", lib, say=lambda **t: release_row(version, "c-shared stripped, --debug", **t))
    assert_alive(p)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver", "gcc")
def test_c_shared_or_not(stub):
    """The C program itself knows no Go, and a stranger's library is not loaded."""
    p, lib = c_program(GO_VERSION, "-cshared", [])
    other = build("zoo", tag="-cshared-stripped", flags=["-buildmode=c-shared", "-tags=cshared", "-ldflags=-s -w"],
                  CGO_ENABLED="1")
    r = grf("-p", p.pid, stub.target, p.exe, rc=1)
    check("shared library" in r.err and "EXE" in r.err, r)
    r = grf("-p", p.pid, stub.target, other, rc=1)
    check("is not among the process's shared libraries" in r.err, r)
    assert_alive(p)


# Plugins

@pytest.mark.timeout(300)
@pytest.mark.needs("gdbserver", "gcc")
@pytest.mark.parametrize("version", releases([GO_VERSION], only="1.17 1.21 1.24 1.27"))
def test_plugin(version, release_row):
    d = plugins(version)
    p = Prog([f"{d}/host", f"{d}/plug", f"{d}/plug2"])
    exact(p, p.exe, say=lambda **t: release_row(version, "two plugins", **t))
    # Without their files: what they hold is held, under section and offset.
    for name in "plug", "plug2":
        os.rename(f"{d}/{name}", f"{d}/{name}.away")
    prof = exact(p, p.exe, named=False)
    check(prof.run.out.count("no DWARF for the plugin") == 2, prof.run.out)
    assert any(s.startswith("plug+0x") for s, _ in prof.stacks)
    exact(p, p.exe, "--debug", f"{d}/plug2.away", "--debug", f"{d}/plug.away")
    with multi() as g:
        said = " ".join(grf("--debug", build("zoo"), "-p", p.pid, g.target, p.exe).out.split())
        check("is not of the same build" in said and "nor of a plugin" in said, said)
    assert_alive(p)


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver", "gcc")
def test_plugin_stripped():
    d = plugins(GO_VERSION, ["-ldflags=-s -w"])
    p = Prog([f"{d}/host", f"{d}/plug", f"{d}/plug2"])
    prof = exact(p, p.exe, named=False)
    names = [s for s, _ in prof.stacks]
    assert any(re.match(r"plug2 \.\w+\+0x", s) for s in names)
    assert any("plugin/plug2.(*crate).hold" in s for s in names)
    assert_alive(p)
