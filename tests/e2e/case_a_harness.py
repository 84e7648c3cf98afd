"""The tests' own instruments: a check that can't fail proves nothing."""

import os
import signal
import time

from lib import *

GOOD = [("main.zooSlice", 65536), ("main.zooMap;$mapval. ([]uint8)", 73728 + 100),
        ("main.zooList", 16), ("main.zooList;next. (*main.node)", 160000),
        ("runtime.allgs", 4000)]
PROMISES = [("keep", "zooSlice", 65536, r"^main\.zooSlice(;|$)"),
            ("keep", "zooMap", 73728, r"^main\.zooMap;.*\$mapval\. \("),
            ("total", "zooList", 160016, r"^main\.zooList(;|$)"),
            ("gone", "weak", 81920, None)]


@case()
def promises_are_checked():
    check(check_promises(PROMISES, GOOD) == [], check_promises(PROMISES, GOOD))

    def complains(stacks, word):
        bad = check_promises(PROMISES, stacks)
        check(len(bad) == 1 and word in bad[0], bad)

    complains([("main.other", 65536)] + GOOD[1:], "zooSlice")          # under another root
    complains([("main.zooSlice", 65535)] + GOOD[1:], "zooSlice")       # a byte short
    complains([("main.zooSlice", 65536 + PAGE)] + GOOD[1:], "zooSlice")  # more than it is
    complains(GOOD[:1] + [("main.zooMap", 73728)] + GOOD[2:], "zooMap")  # no $mapval
    complains(GOOD[:3] + GOOD[4:], "zooList")                          # the list's tail is missing
    complains(GOOD + [("main.zooWeak", 81920)], "weak")                # lives on


@case()
def sums_are_checked():
    good = dict(failed_reads=0, goroutines_partial=0, live_bytes=10, unreachable_bytes=5,
                allocated_bytes=15, live_objects=2, unreachable_objects=1, allocated_objects=3)
    check_sums(good)
    for key in good:
        try:
            check_sums(dict(good, **{key: good[key] + 1}))
        except Failure:
            continue
        raise Failure(f"a wrong {key} passes")


@case()
def zoo_is_what_it_says():
    p = zoo("-tick", "-garbage")
    proms = promises(p.lines)
    check(len(proms) > 100, len(proms))
    check(len({b for v, _, b, _ in proms if v == "keep"}) == len([1 for v, *_ in proms if v == "keep"]),
          "two payloads of one size")
    check("garbage 16777216" in p.lines, p.lines[-4:])
    check(p.ask(signal.SIGUSR1, "checksums|BAD") == "checksums ok", p.lines[-3:])
    check(p.ask(signal.SIGUSR2, "garbage") == "garbage 16777216", p.lines[-3:])
    assert_alive(p)
    p.kill(signal.SIGTERM)
    check(p.proc.wait(5) == -signal.SIGTERM, p.proc.returncode)


@case()
def busy_is_what_it_says():
    p = Prog([build("busy")])
    for _ in range(3):
        line = p.ask(signal.SIGUSR2, "checksums|BAD")
        check(line.startswith("checksums ok "), line)


@case(needs=["gdbserver"])
def stopped_is_seen():
    """gdbserver --attach stops the process: assert_alive() must notice."""
    p = zoo("-tick")
    with attach(p.pid):
        p.wait_stopped()
        try:
            assert_alive(p)
        except Failure:
            pass
        else:
            raise Failure("a stopped process counts as running")
    assert_alive(p, 5)
