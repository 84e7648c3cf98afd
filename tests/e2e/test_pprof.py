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
    frames = dict(re.findall(r"^ +(\d+): 0x0 (.*) (?::0:0 s=0|/\S+:\d+:0 s=\d+)\(\)$", raw, re.M))
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


CLOSURES = """package main

import (
	"fmt"
	"time"
)

type job struct{ load []byte }

var jobs []func() int

//go:noinline
func start(n int) func() int {
	j := &job{make([]byte, n)}
	return func() int { // the closure
		return len(j.load)
	}
}

//go:noinline
func work(j *job, in chan int) {
	<-in // here it waits
	fmt.Println(len(j.load))
}

func main() {
	for i := 0; i < 100; i++ {
		jobs = append(jobs, start(10000))
	}
	go work(&job{make([]byte, 1<<20)}, make(chan int))
	time.Sleep(200 * time.Millisecond)
	fmt.Println("READY")
	time.Sleep(time.Hour)
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("stripped", [False, True], ids=["symbols", "stripped"])
def test_lines(stub, stripped):
    """Functions have their files and lines: a closure's begin, and where a goroutine is; the default views show names only."""
    src = tmpdir()
    for name, body in ("go.mod", "module program\n\ngo 1.21\n"), ("main.go", CLOSURES):
        with open(f"{src}/{name}", "w") as f:
            f.write(body)
    p = Prog([go_build(src, f"{src}/exe", *(["-ldflags=-s -w"] if stripped else []), CGO_ENABLED="0")])
    out = f"{tmpdir()}/grf.out"
    grf("-p", p.pid, "-o", out, stub.target, p.exe)
    lines = pprof("-lines", "-top", "-cum", out)
    for name, text in ("main.start.func1", "// the closure"), (r"main.work(?:\.j)?", "// here it waits"):
        at = re.search(rf" {name} \S*/main.go:(\d+)$", lines, re.M)
        check(at and text in CLOSURES.split("\n")[int(at.group(1)) - 1], name, lines)
    top = pprof("-top", "-cum", out)
    check("main.go" not in top and "main.start.func1" in top, top)
