"""The default output opens in `go tool pprof`, with every view."""

import re
import shutil
import subprocess
import time
import urllib.request

import pytest

from lib import *


def pprof(*args, rc=0, timeout=120):
    env = go_env(PPROF_TMPDIR=tmpdir())
    p = subprocess.run([go(), "tool", "pprof", *args], env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
    check(p.returncode == rc, f"pprof {args}: exit {p.returncode}\n{p.stdout[:500]}{p.stderr[:2000]}")
    return p.stdout


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver")
def test_views(zoo, stub):
    d = tmpdir()
    out = f"{d}/grf.out"
    grf("-p", zoo.pid, "-o", out, "-o", f"{d}/p.folded", "-o", f"{d}/p.txt", stub.target, zoo.exe)
    stacks = read_folded(f"{d}/p.folded")
    totals = read_totals(open(f"{d}/p.txt").read())

    raw = pprof("-raw", out)
    check("inuse_objects/count inuse_space/bytes[dflt]" in raw, raw[:600])
    samples = re.findall(r"^ +(\d+) +(\d+): ([\d ]+)$", raw, re.M)
    check(sum(int(b) for _, b, _ in samples) == totals["live_bytes"], "bytes in pprof")
    check(sum(int(n) for n, _, _ in samples) == totals["live_objects"], "objects in pprof")
    # The paths are those of the folded file, frame by frame, whole.
    frames = dict(re.findall(r"^ +(\d+): 0x0 (.*) :0:0 s=0\(\)$", raw, re.M))
    paths = {}
    for _, b, ids in samples:
        path = ";".join(frames[i].replace(";", ":") for i in reversed(ids.split()))
        paths[path] = paths.get(path, 0) + int(b)
    check(paths == dict(stacks), "pprof's paths are not those of the folded file:",
          list(set(paths.items()) ^ set(stacks))[:6])

    top = pprof("-top", "-cum", "-nodecount=1000", "-nodefraction=0", out)
    check("main.zooList" in top and "next. (*main.node)" in top, top[:2000])
    check("Type: inuse_space" in top and "File: zoo" in top and "Build ID: " in top, top[:500])
    comments = pprof("-comments", out)
    check(f"live " in comments and f"({totals['live_bytes']} bytes" in comments and "grf-rsp " in comments,
          comments)
    check("main.zooList" in pprof("-peek", r"next\. \(\*main\.node\)", out), "-peek")
    check("main.zooSlice" in pprof("-traces", out), "-traces")
    check("main.zooSlice" in pprof("-tree", "-nodecount=1000", "-nodefraction=0", out), "-tree")
    check("digraph" in pprof("-dot", out), "-dot")
    check("inuse_objects" in pprof("-top", "-sample_index=inuse_objects", out), "-sample_index")
    if shutil.which("dot"):
        check("<svg" in pprof("-svg", out), "-svg")
    web(out)


def web(out):
    port = free_port()
    p = subprocess.Popen([go(), "tool", "pprof", f"-http=localhost:{port}", "-no_browser", out],
                         env=go_env(PPROF_TMPDIR=tmpdir()), stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for page in "flamegraph", "top", "peek", "source":
            page_ok(f"http://localhost:{port}/ui/{page}", p, page == "flamegraph")
    finally:
        p.kill()
        p.wait()


def page_ok(url, p, named):
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=20) as r:
                body = r.read().decode()
            break
        except urllib.error.HTTPError as e:
            raise Failure(f"{url}: {e}")
        except OSError:
            check(p.poll() is None, "pprof -http ended")
            time.sleep(0.1)
    else:
        raise Failure(f"{url}: no answer")
    check("main.zooSlice" in body or not named, f"{url}: no main.zooSlice")
