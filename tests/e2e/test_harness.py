"""The tests' own instruments: a check that can't fail proves nothing."""

import os
import re
import signal
import subprocess
import sys
import tempfile

import pytest

from exactness import check_promises, check_sums, promises
from lib import *

GOOD = [("main.zooSlice", 65536), ("main.zooMap;$mapval. ([]uint8)", 73728 + 100),
        ("main.zooList", 16), ("main.zooList;next. (*main.node)", 160000),
        ("runtime.allgs", 4000)]
PROMISES = [("keep", "zooSlice", 65536, r"^main\.zooSlice(;|$)"),
            ("keep", "zooMap", 73728, r"^main\.zooMap;.*\$mapval\. \("),
            ("total", "zooList", 160016, r"^main\.zooList(;|$)"),
            ("gone", "weak", 81920, None)]


def test_promises_are_checked():
    assert check_promises(PROMISES, GOOD) == []

    def complains(stacks, word):
        bad = check_promises(PROMISES, stacks)
        assert len(bad) == 1 and word in bad[0]

    complains([("main.other", 65536)] + GOOD[1:], "zooSlice")          # under another root
    complains([("main.zooSlice", 65535)] + GOOD[1:], "zooSlice")       # a byte short
    complains([("main.zooSlice", 65536 + PAGE)] + GOOD[1:], "zooSlice")  # more than it is
    complains(GOOD[:1] + [("main.zooMap", 73728)] + GOOD[2:], "zooMap")  # no $mapval
    complains(GOOD[:3] + GOOD[4:], "zooList")                          # the list's tail is missing
    complains(GOOD + [("main.zooWeak", 81920)], "weak")                # lives on


def test_sums_are_checked():
    good = dict(failed_reads=0, goroutines_partial=0, live_bytes=10, unreachable_bytes=5,
                allocated_bytes=15, live_objects=2, unreachable_objects=1, allocated_objects=3)
    check_sums(good)
    for key in good:
        with pytest.raises(Failure):
            check_sums(dict(good, **{key: good[key] + 1}))


def test_zoo_is_what_it_says():
    p = start_zoo("-tick", "-garbage")
    proms = promises(p.lines)
    assert len(proms) > 100
    check(len({b for v, _, b, _ in proms if v == "keep"}) == len([1 for v, *_ in proms if v == "keep"]),
          "two payloads of one size")
    check("garbage 16777216" in p.lines, p.lines[-4:])
    check(p.ask(signal.SIGUSR1, "checksums|BAD") == "checksums ok", p.lines[-3:])
    check(p.ask(signal.SIGUSR2, "garbage") == "garbage 16777216", p.lines[-3:])
    assert_alive(p)
    p.kill(signal.SIGTERM)
    check(p.proc.wait(5) == -signal.SIGTERM, p.proc.returncode)


def test_busy_is_what_it_says():
    p = Prog([build("busy")])
    for _ in range(3):
        line = p.ask(signal.SIGUSR2, "checksums|BAD")
        assert line.startswith("checksums ok ")


@pytest.mark.needs("gdbserver")
def test_stopped_is_seen(ticking):
    """gdbserver --attach stops the process: assert_alive() must notice."""
    with attach(ticking.pid):
        ticking.wait_stopped()
        with pytest.raises(Failure):
            assert_alive(ticking)
    assert_alive(ticking, 5)


RESULTS = """
import os, signal, subprocess, time, unittest
import apart, pytest

apart.GRACE = 1

def test_good():
    pass

def test_fails():
    x = [1, 2]
    assert x == [1, 3]

@pytest.mark.timeout(1, func_only=True)
def test_hangs():
    print("said before it hung")
    time.sleep(100)

@pytest.mark.timeout(1, func_only=True)
def test_hangs_deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(100)

def test_dies():
    os.kill(os.getpid(), signal.SIGKILL)

def test_leaves_a_child():
    subprocess.Popen(["sleep", "SECONDS"])

def test_leaves_a_stranger():
    subprocess.Popen(["setsid", "sleep", "SECONDS"])
    time.sleep(0.2)

def test_leaves_a_file():
    open(os.environ["TMPDIR"] + "/file", "w").close()

def test_skips():
    raise unittest.SkipTest("no reason")
"""


@pytest.mark.needs("setsid")
def test_results_are_told():
    """What fails is red, what hangs is killed, and so is what a test leaves behind."""
    d = tmpdir()
    seconds = str(100000 + os.getpid())
    with open(f"{d}/test_results.py", "w") as f:
        f.write(RESULTS.replace("SECONDS", seconds))
    env = dict(os.environ, PYTHONPATH=os.path.dirname(__file__))
    del env["GRF_TESTS_RUN"]
    r = subprocess.run([sys.executable, "-m", "pytest", "-p", "apart", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir",
                        d, "--timeout", "60", "-v", d], env=env, cwd=d, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    told = dict(re.findall(r"::test_(\w+) ([A-Z]+)", r.stdout))
    want = dict(good="PASSED", fails="FAILED", hangs="FAILED", hangs_deaf="FAILED", dies="FAILED", leaves_a_child="PASSED",
                leaves_a_stranger="FAILED", leaves_a_file="PASSED", skips="SKIPPED")
    check(told == want and r.returncode == 1, f"told: {told}\n{r.stdout}")
    for said in "assert [1, 2] == [1, 3]", "said before it hung", "it hung", "status 9", f"sleep {seconds}", "5 failed, 3 passed":
        check(said in r.stdout, f"nothing about {said!r}:\n{r.stdout}")
    left = subprocess.run(["ps", "-A", "-o", "args"], stdout=subprocess.PIPE, text=True).stdout
    check(f"sleep {seconds}" not in left.splitlines(), left)
    check(not [n for n in os.listdir(tempfile.gettempdir()) if n.startswith("test.")], "a directory is left")
