"""Runs each test in a process of its own, and ends what it leaves behind.

The process leads a process group, and has a directory of its own for temporary files ($TMPDIR, $XDG_CACHE_HOME). It runs the
test with its fixtures and sends pytest's reports home. When it has ended, or has been given up, its group is killed and the
directory removed. A process that has left the group is found by its $TMPDIR; nothing here is meant to do that and live on, so
it is killed and the test fails.

pytest-timeout interrupts a test that hangs, from inside; a test that does not even come back from that is killed GRACE seconds
later, from outside.
"""

import contextlib
import ctypes
import os
import pickle
import select
import shutil
import signal
import tempfile
import time

import pytest
from _pytest.runner import runtestprotocol

GRACE = 30
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def limit(item):
    """The test's time in seconds, as pytest-timeout has it."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0] if marker else item.config.getoption("timeout") or item.config.getini("timeout"))


def set_timeouts(items):
    """Gives every test its time as a marker: in the test's own process, where pytest-timeout counts it (func_only).
    GRF_TIMEOUT_SCALE=4: everything may take four times as long."""
    for item in items:
        seconds = limit(item) * float(os.environ.get("GRF_TIMEOUT_SCALE", "1"))
        item.add_marker(pytest.mark.timeout(seconds, func_only=True), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in run_apart(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def run_apart(item):
    """The reports of a test that has run in a process of its own."""
    start = time.time()
    tmp = tempfile.mkdtemp(prefix="test.", dir=os.environ.get("GRF_TESTS_RUN"))
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        run_here(item, tmp, its)
    os.close(its)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # whoever comes first
    try:
        data = read_all(ours, limit(item) + GRACE)
    finally:
        os.close(ours)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        escaped = kill_escaped(tmp)
        shutil.rmtree(tmp, ignore_errors=True)
    if data:
        hook = item.config.hook
        reports = [hook.pytest_report_from_serializable(config=item.config, data=r) for r in pickle.loads(data)]
    else:
        how = "the test's process was killed: it hung" if data is None else f"the test's process died: status {status}"
        reports = [failure(item, start, f"{how}\n{output(item)}")]
    if escaped:
        reports = [r for r in reports if r.failed]
        reports.append(failure(item, start, "left behind, outside its process group:\n" + "\n".join(escaped)))
    return reports


def run_here(item, tmp, report_to):
    """In the test's own process, which ends here."""
    os.setpgid(0, 0)
    # If the one that waits for us dies first, nobody else would end the group.
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    # A background job or nohup has these ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ["TMPDIR"] = tempfile.tempdir = tmp
    os.environ["XDG_CACHE_HOME"] = os.path.join(tmp, "cache")
    os.environ.setdefault("GOCACHE", os.path.join(os.path.expanduser("~"), ".cache/go-build"))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    try:
        hook = item.config.hook
        reports = [hook.pytest_report_to_serializable(config=item.config, report=r)
                   for r in runtestprotocol(item, nextitem=None, log=False)]
        with os.fdopen(report_to, "wb") as f:
            pickle.dump(reports, f)
    finally:
        os._exit(0)


def read_all(fd, seconds):
    """What comes until the other end is closed; None if that takes too long."""
    data, deadline = b"", time.monotonic() + seconds
    while True:
        if not select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0]:
            return None
        piece = os.read(fd, 1 << 20)
        if not piece:
            return data
        data += piece


def living_in(tmp):
    """(pid, command line) of every process whose $TMPDIR this is, or lies in it."""
    mark = f"TMPDIR={tmp}".encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as f:
                if not any(v == mark or v.startswith(mark + b"/") for v in f.read().split(b"\0")):
                    continue
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().decode(errors="replace").split("\0")
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] not in "ZX":
                    found.append((int(pid), " ".join(words)))
    return found


def kill_escaped(tmp):
    """Kills what is left of a test whose group has been killed, and says what that was; what ends by itself within a second
    was about to go."""
    deadline = time.monotonic() + 1
    while (left := living_in(tmp)) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid, _ in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [f"{pid}: {command}" for pid, command in left]


def output(item):
    """What a test has printed that could not say so itself."""
    capture = item.config.pluginmanager.getplugin("capturemanager")
    return "".join(capture.read_global_capture()) if capture and capture.is_globally_capturing() else ""


def failure(item, start, text):
    now = time.time()
    return pytest.TestReport(nodeid=item.nodeid, location=item.location, keywords={}, outcome="failed", longrepr=text,
                             when="call", duration=now - start, start=start, stop=now)
