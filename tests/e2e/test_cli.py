"""The command line."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest

from lib import *


def test_help_and_version():
    r = grf("--help")
    for word in "TARGET", "EXE", "--max-depth", "--timeout", "--force", "HOST:PORT", "unix:", "-o", "-p", "-v", "-q":
        check(word in r.out, f"nothing about {word}:", r)
    check(r.err == "", r)
    r = grf("--version")
    check(r.out.startswith("grf-rsp ") and r.err == "", r)


def test_usage_errors():
    for args in ([], ["--no-such-option", "x:1"], ["-o"], ["x:1", "exe", "more"], ["--max-depth", "x", "x:1"],
                 ["--max-depth", "0", "x:1"], ["--max-depth=-3", "x:1"], ["-p", "0", "x:1"],
                 ["-p", "12x", "x:1"], ["--timeout", "x", "x:1"], ["--timeout", "-1", "x:1"],
                 ["nonsense"], ["localhost:99999"], ["localhost:"], [":x"], ["unix:"], ["|"], ["[::1"]):
        r = grf(*args, rc=2)
        check(r.err.startswith("grf-rsp: ") or "Usage" in r.err, "says nothing:", r)
        check(r.out == "", r)


def test_options_after_arguments():
    r = grf(f"localhost:{free_port()}", build("zoo"), "--timeout", "1", "-q", rc=1)
    check("refused" in r.err, r)


def test_no_such_file():
    for target, word in ("/no/such/app.core", "No such file"), ("app.core", "No such file"), (tmpdir(), "not a regular file"):
        r = grf(target, rc=2)
        check(f"{target}: {word}" in r.err, r)


@pytest.mark.needs("gdbserver")
def test_nothing_raw(stub):
    """What a terminal obeys is not printed as it is, in errors either: escapes, and what turns the direction of writing round."""
    d = tmpdir()
    name = f"{d}/a\x1b[31m\u202eb\u2066c\u0085d"
    with open(name, "w") as f:
        f.write("no core")
    with Prog([build("zoo")]) as p:
        grf("-q", "--save-only", "-p", p.pid, "-o", f"{d}/z.core", stub.target, p.exe)
    for args in [name], [f"{d}/z.core", name], ["--debug", name, f"{d}/z.core", p.exe]:
        r = grf(*args, rc=1)
        check("a?[31m?b?c?d" in r.err and not re.search("[\x1b\x85\u202e\u2066]", r.err), r)


@pytest.mark.needs("gdbserver")
def test_what_is_no_file(stub):
    """A FIFO in the place of any file is refused at once, though to open one waits for a writer."""
    d = tmpdir()
    os.mkfifo(f"{d}/fifo")
    with Prog([build("zoo")]) as p:
        grf("-q", "--save-only", "-p", p.pid, "-o", f"{d}/z.core", stub.target, p.exe)
        for args in (["-p", p.pid, stub.target, f"{d}/fifo"], [f"{d}/z.core", f"{d}/fifo"], ["--debug", f"{d}/fifo", f"{d}/z.core", p.exe],
                     ["--base", f"{d}/fifo", f"{d}/z.core", p.exe]):
            r = grf(*args, timeout=20, rc=1)
            check("fifo: not a regular file" in r.err and len(r.err.splitlines()) == 1, r)
        p.wait_running()


@pytest.mark.needs("gdbserver")
def test_no_room_for_the_summary(stub):
    """Where the summary cannot be written the status says so, and outputs never become what it is written to."""
    d = tmpdir()
    with Prog([build("zoo")]) as p:
        grf("-q", "--save-only", "-p", p.pid, "-o", f"{d}/z.core", stub.target, p.exe)
    for args in ["-o", "z.folded"], ["--save-only", "-o", "again.core"]:
        argv = [GRF, *args, "z.core", p.exe]
        with open("/dev/full", "w") as full:
            r = subprocess.run(argv, cwd=d, stdout=full, stderr=subprocess.PIPE, text=True)
        check(r.returncode == 1 and "No space left" in r.stderr, r)
        r = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *argv], cwd=d, stderr=subprocess.PIPE, text=True)
        check(r.returncode == 1 and "could not be written" in r.stderr, r)
        r = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", GRF, "-q", *args, "z.core", p.exe], cwd=d)
        check(r.returncode == 0, r)
    with open(f"{d}/z.folded") as f:
        check(all(line.rsplit(" ", 1)[1].strip().isdigit() for line in f), "the summary is in the profile")


def test_a_stub_that_is_no_go_program(stub):
    """What is wrong with a fetched EXE is said by the program's own name, not by that of the copy."""
    with Prog(["/bin/sleep", "1000"], ready=None) as p:
        r = grf("-p", p.pid, stub.target, rc=1)
    check(os.path.realpath("/bin/sleep") in r.err and ".cache" not in r.err, r)


# TARGET is a process here

def named(name, *args):
    """A running zoo whose file has this name."""
    d = tmpdir()
    shutil.copy(build("zoo"), f"{d}/{name}")
    return Prog([f"{d}/{name}", *args])


def heap_is(p, text):
    heap = int(p.wait_line(r"^heapalloc ").split()[1])
    check(abs(read_totals(text)["allocated_bytes"] - heap) <= PAGE, heap, text)


def stubs_left():
    """gdbservers that this test, which has a TMPDIR of its own, has started and not ended."""
    left = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as c, open(f"/proc/{pid}/environ", "rb") as e:
                if c.read().startswith(b"gdbserver\0") and f"TMPDIR={os.environ['TMPDIR']}\0".encode() in e.read():
                    left.append(pid)
    return left


@pytest.mark.needs("gdbserver")
def test_local_process(zoo):
    d = tmpdir()
    for target in [zoo.pid], ["-p", zoo.pid], ["-p", zoo.pid, zoo.exe], [zoo.pid, zoo.exe], ["--fork", zoo.pid]:
        r = grf(*target, "-o", f"{d}/p.txt")
        with open(f"{d}/p.txt") as f:
            heap_is(zoo, f.read())
        check(r.err == "", "gdbserver's own words:", r)
        check(zoo.exe in r.out.splitlines()[0], r)
    check(not stubs_left(), "left:", stubs_left())
    assert_alive(zoo)


@pytest.mark.needs("gdbserver")
def test_local_process_errors(zoo):
    for args, word in ((["999999999"], "no process 999999999"), ([zoo.pid, "-p", zoo.pid], "one or the other"),
                       (["0"], "not a process id"), (["-p", "no-such-name-at-all"], "no-such-name-at-all")):
        check(word in grf(*args, rc=None).err, args)
    r = grf(zoo.pid, rc=1, env=dict(os.environ, PATH=tmpdir()))
    check("no gdbserver here" in r.err and "install it" in r.err, r)
    assert_alive(zoo)


@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("where", ["here", "stub"])
def test_process_by_name(stub, where):
    name = f"svc-{os.getpid()}-with-a-name-longer-than-the-kernel-keeps"
    args = [] if where == "here" else [stub.target]
    with named(name) as p:
        d = tmpdir()
        for n in name, p.exe:
            grf("-p", n, *args, "-o", f"{d}/p.txt")
            with open(f"{d}/p.txt") as f:
                heap_is(p, f.read())
        r = grf("-p", name[:-1], *args, rc=1)
        check(f"no process there is named {name[:-1]}" in r.err, r)
        with named(name, "-tick") as other:
            r = grf("-p", name, *args, rc=1)
            check(f"2 processes are named {name}: " in r.err, r)
            for x in p, other:
                check(f"{x.pid} (" in r.err, r)
            check(grf("-p", other.exe, *args, "-o", f"{d}/p.txt").rc == 0)
            assert_alive(other)
        assert_alive(p)


@pytest.mark.needs("strace")
@pytest.mark.parametrize("command, shell", [("cat -u -", False), ("env X=y cat", False), ("exec cat", True), ("cat 2>/dev/null", True),
                                            ("X=y cat", True), ("cat ''", True), ("no-such-command", True)])
def test_pipe_without_shell(command, shell):
    """A command that means the same without a shell runs without one."""
    d = tmpdir()
    # strace cannot trace a gdbserver that traces; cat is no stub, and that is said
    r = subprocess.run(["strace", "-f", "-qq", "-e", "trace=execve", "-o", f"{d}/trace", GRF, "--timeout", "1", f"| {command}",
                        build("zoo")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=d)
    with open(f"{d}/trace") as f:
        trace = f.read()
    check(r.returncode == 1 and ("/bin/sh" in trace) == shell, r.stdout, trace)
    words = command.split()
    check(shell or '", "'.join(words) in trace, trace)


@pytest.mark.needs("gdbserver")
def test_standard_output(zoo):
    """-o -: whole or not at all, and nothing else is there."""
    d = tmpdir()
    args = [GRF, "-o", "-", "-o", f"{d}/p.folded", str(zoo.pid)]
    with open(f"{d}/out", "wb") as f:
        r = subprocess.run(args, stdout=f, stderr=subprocess.PIPE, text=True)
    check(r.returncode == 0 and f"process      {zoo.exe}" in " ".join(r.stderr.splitlines()[:1]), r)
    top = subprocess.run([go(), "tool", "pprof", "-raw", f"{d}/out"], stdout=subprocess.PIPE, text=True, env=go_env())
    check(top.returncode == 0 and "main.zooReflectBig" in top.stdout, top.stdout[:2000])
    with open("/dev/full", "wb") as f:
        r = subprocess.run(args, stdout=f, stderr=subprocess.PIPE, text=True)
    check(r.returncode == 1 and "cannot write '-'" in r.stderr, r)
    r = subprocess.run([GRF, "-o", "-", "999999999"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    check(r.returncode == 1 and not r.stdout, r)
