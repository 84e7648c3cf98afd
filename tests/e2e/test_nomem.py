"""Allocations that fail (tests/tools/nomem.c): an error, status 1, no file, no crash, and the process runs.

Either one allocation fails, or that one and all behind it. `make check` tries some of a run, `make check-faults` all of them
(GRF_FAULTS_EVERY=10: every tenth).
"""

import concurrent.futures
import os
import shutil

import pytest

from lib import *
from test_faults import EVERY, LATE

NOMEM = os.path.join(OBJDIR, "tests/tools/nomem.so")
UNITS = 40  # of DWARF, in a small program
OUTPUTS = "p.folded", "p.json", "p.html", "p.txt", "p.hprof", "p"


def run_with(args, n=None, once=False, count=None):
    """(the run, its files, what is in p.folded)"""
    env = dict(os.environ, LD_PRELOAD=NOMEM)
    if n:
        env["GRF_NOMEM"] = str(n)
    if once:
        env["GRF_NOMEM_ONCE"] = "1"
    if count:
        env["GRF_NOMEM_COUNT"] = count
    d = tmpdir()
    r = grf(*[a for o in OUTPUTS for a in ("-o", o)], *args, rc=None, cwd=d, env=env, timeout=60)
    files, text = sorted(os.listdir(d)), None
    if "p.folded" in files:
        with open(f"{d}/p.folded") as f:
            text = f.read()
    shutil.rmtree(d)
    return r, files, text


class Another(Failure):
    """Nothing was said, and the profile is another one."""


def judge(r, files, text, n, once, right=None):
    check(r.rc in (0, 1), f"allocation {n}{' alone' if once else ''}:", r)
    if r.rc:
        check(len(r.err.strip().splitlines()) == 1 and r.err.startswith("grf-rsp: "), f"allocation {n}: no clear error:", r)
        # Each file is whole or not there: what was written before is.
        check(set(files) <= set(OUTPUTS), f"allocation {n}: files left:", files)
        check(text is None or right is None or text == right, f"allocation {n}: a file that is not whole")
    else:
        check(files == sorted(OUTPUTS), f"allocation {n}: files:", files)
        if right is not None and text != right:
            raise Another(f"allocation {n}{' alone' if once else ''}: another profile:\n{text}")
    return r.rc


def count_of(args):
    path = os.path.join(tmpdir(), "count")
    r, files, text = run_with(args, count=path)
    check(r.rc == 0 and files == sorted(OUTPUTS), r, files)
    with open(path) as f:
        return int(f.read()), text


def all_of(args, numbers, right, others, jobs=2):
    """Each of these allocations fails, alone and with all behind it; (runs, errors). So many of them may make another profile:
    libdwarf 20210528 says nothing where it has no memory for the abbreviation of a unit's first entry."""
    bad, another = [], []

    def one(c):
        try:
            return judge(*run_with(args, *c), *c, right)
        except Another as e:
            another.append(str(e))
        except Failure as e:
            bad.append(str(e))
        return 0

    cells = [(n, once) for n in numbers for once in (False, True)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        errors = sum(pool.map(one, cells))
    check(not bad, f"{len(bad)} of {len(cells)}:\n" + "\n".join(bad[:10]))
    check(len(another) <= others, f"{len(another)} of {len(cells)}:\n" + "\n".join(another[:3]))
    return len(cells), errors


def some(total, n):
    """n of them: more of the first, which are each another's, than of the last, which are of loops."""
    return sorted({1 + int((total - 1) * (i / (n - 1)) ** 2) for i in range(n)})


@pytest.fixture
def core():
    """A core of a small process, and its executable."""
    need("gdbserver")
    exe, path = build("ticks"), os.path.join(tmpdir(), "p.core")
    with Prog([exe], env=dict(os.environ, GOMAXPROCS="2")) as p, attach(p.pid) as g:
        grf("--save-only", "-o", path, g.target, exe)
    return path, exe


def live(p, numbers):
    """Of a process that is looked at: it runs afterwards, whatever failed."""
    errors = 0
    for n, once in [(n, once) for n in numbers for once in (False, True)]:
        with attach(p.pid) as g:
            errors += judge(*run_with([g.target, p.exe], n, once), n, once)
        p.wait_running(LATE)
        check("ok" in p.wait_line(r"^tick \d+", 5, len(p.lines)), n)
    return errors


def count_live(p):
    with attach(p.pid) as g:
        return count_of([g.target, p.exe])[0]


def test_some_allocations(core, say):
    total, right = count_of(core)
    runs, errors = all_of(core, some(total, 30), right, 1)
    check(errors > runs / 3, f"{errors} errors in {runs} runs: do they fail at all?")
    say(f"allocations of a core's profile: {total}; {runs} runs, {errors} clear errors")


@pytest.mark.needs("gdbserver")
def test_some_allocations_live():
    with Prog([build("ticks")], env=dict(os.environ, GOMAXPROCS="2")) as p:
        live(p, some(count_live(p), 6))


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
def test_every_allocation(core, say):
    total, right = count_of(core)
    runs, errors = all_of(core, range(1, total + 1, EVERY), right, UNITS)
    say(f"every allocation of a core's profile: {total}; {runs} runs, {errors} clear errors")


@pytest.mark.faults
@pytest.mark.timeout(4 * 3600)
@pytest.mark.needs("gdbserver")
def test_every_allocation_live(say):
    with Prog([build("ticks")], env=dict(os.environ, GOMAXPROCS="2")) as p:
        total = count_live(p)
        numbers = range(1, total + 1, EVERY * 10)
        say(f"allocations of a live profile: {total}; {len(numbers) * 2} runs, {live(p, numbers)} clear errors")
