#!/usr/bin/env python3
"""Runs the tests: unit test binaries (cmocka) given as arguments, then every case_*.py here.

    run.py [--objdir DIR] [-k WORD] [--list] [UNIT_BINARY ...]

One line per test; what a failed one said follows it.  The last line is
"N passed, N failed[, N skipped]"; the exit status is 0 only if none failed.
-k runs only tests whose name contains WORD.  Environment: GRF_STOPS (200) and GRF_KILLS (50), how
often the busy program is stopped and the running profiler killed; GRF_FORKS (30), how often the server is forked; GO_VERSION (1.26.8); GO, the go
command that others are fetched with.
"""

import argparse
import glob
import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback


def out(line):
    print(line, flush=True)


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, name, result, text="", secs=None):
        took = f" ({secs:.1f} s)" if secs is not None and secs >= 1 else ""
        if result == "ok":
            self.passed += 1
            out(f"ok    {name}{took}")
        elif result == "skip":
            self.skipped += 1
            out(f"SKIP  {name}: {text}")
        else:
            self.failed += 1
            out(f"FAIL  {name}{took}")
            for line in text.rstrip().splitlines():
                out(f"      {line}")


def run_unit(path, tally):
    name = os.path.basename(path)
    start = time.monotonic()
    try:
        p = subprocess.run([path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=600)
        text, rc = p.stdout.decode(errors="replace"), p.returncode
    except subprocess.TimeoutExpired as e:
        text, rc = (e.stdout or b"").decode(errors="replace") + "\ntimeout", -1
    began = re.findall(r"^\[ RUN +\] (\S+)", text, re.M)
    ended = {"ok": set(re.findall(r"\[ +OK \] (\S+)", text)),
             "skip": set(re.findall(r"\[ +SKIPPED \] (\S+)", text))}
    bad = [t for t in began if t not in ended["ok"] and t not in ended["skip"]]
    good = len([t for t in began if t in ended["ok"]])
    for t in ended["skip"]:
        tally.add(f"{name} {t}", "skip", "by the test itself")
    if bad or rc or not began:
        tally.passed += good
        tally.failed += max(len(bad), 1)
        out(f"FAIL  {name}: {', '.join(bad) or f'exit status {rc}'}")
        for line in text.rstrip().splitlines()[-60:]:
            if "[       OK ]" not in line and "[ RUN " not in line:
                out(f"      {line}")
    else:
        tally.passed += good
        took = time.monotonic() - start
        out(f"ok    {name}: {good} tests" + (f" ({took:.1f} s)" if took >= 1 else ""))


def child(func, report):
    """In the child: runs one case; its result goes to the pipe."""
    import lib
    try:
        for n in func.needs:
            lib.need(n)
        func()
        os.write(report, b"ok")
    except lib.Skip as e:
        os.write(report, b"skip" + str(e).encode())
    except lib.Failure as e:
        where = traceback.extract_tb(e.__traceback__)
        line = next((f"{os.path.basename(f.filename)}:{f.lineno}: " for f in reversed(where)
                     if os.path.basename(f.filename).startswith("case_")), "")
        os.write(report, b"fail" + (line + str(e)).encode()[:16000])
    except BaseException:
        os.write(report, b"fail" + traceback.format_exc().encode()[-16000:])


def run_case(func, name, tally):
    start = time.monotonic()
    tmp = tempfile.mkdtemp(prefix="grf-rsp-test.")
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)  # everything the case starts is in this group, and ends with it
        os.close(r)
        os.environ["TMPDIR"] = tempfile.tempdir = tmp
        os.environ["XDG_CACHE_HOME"] = os.path.join(tmp, "cache")
        os.environ.setdefault("GOCACHE", os.path.join(os.path.expanduser("~"), ".cache/go-build"))
        devnull = os.open(os.devnull, os.O_RDWR)
        os.dup2(devnull, 0)
        child(func, w)
        os._exit(0)
    os.setpgid(pid, pid) if not exited(pid) else None
    os.close(w)
    os.set_blocking(r, False)
    text, status = b"", None
    deadline = start + func.timeout * float(os.environ.get("GRF_TIMEOUT_SCALE", "1"))
    while status is None:
        try:
            text += os.read(r, 65536)
        except BlockingIOError:
            pass
        done, st = os.waitpid(pid, os.WNOHANG)
        if done:
            status = st
        elif time.monotonic() > deadline:
            break
        else:
            time.sleep(0.01)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if status is None:
        os.waitpid(pid, 0)
    try:
        text += os.read(r, 65536)
    except BlockingIOError:
        pass
    os.close(r)
    shutil.rmtree(tmp, ignore_errors=True)
    text = text.decode(errors="replace")
    secs = time.monotonic() - start
    if status is None:
        tally.add(name, "fail", f"timeout: over {func.timeout} s\n{text}", secs)
    elif text == "ok" and status == 0:
        tally.add(name, "ok", secs=secs)
    elif text.startswith("skip"):
        tally.add(name, "skip", text[4:])
    else:
        tally.add(name, "fail", text[4:] or f"died: status {status}", secs)


def exited(pid):
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        return True


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--objdir", default=None)
    ap.add_argument("-k", default="", metavar="WORD")
    ap.add_argument("--list", action="store_true")
    ap.add_argument("unit", nargs="*")
    args = ap.parse_args()
    # A background job or nohup has these ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if args.objdir:
        os.environ["OBJDIR"] = args.objdir
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    import lib
    tally = Tally()
    for path in args.unit:
        if args.k in os.path.basename(path):
            out(os.path.basename(path)) if args.list else run_unit(path, tally)
    for path in sorted(glob.glob(os.path.join(here, "case_*.py"))):
        module = os.path.basename(path)[:-3]
        del lib.CASES[:]
        importlib.import_module(module)
        for func in list(lib.CASES):
            name = f"{module[5:]}/{func.__name__}"
            if args.k in name:
                out(name) if args.list else run_case(func, name, tally)
    if args.list:
        return 0
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    out(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
