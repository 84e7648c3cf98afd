"""What grew between captures: --base, --every, --limit."""

import contextlib
import bisect
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lib import *
from stubs import Simplest

try:
    import jsonschema
except ImportError:
    jsonschema = None  # test_verdicts.py says so

pytestmark = pytest.mark.needs("gdbserver")


def start(*args, **kw):
    return Prog([build("growth", **kw), *args])


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def capture(p, path, *args):
    """Writes an output of the process, all that is needed for the growth of it."""
    grf("-q", *args, "-o", path, p.pid)
    return path


def growth(*args, rc=0, **kw):
    """A run's JSON about growth, and what it printed."""
    d = tmpdir()
    run = grf("-o", f"{d}/p.json", "-o", f"{d}/p.txt", *args, rc=rc, **kw)
    whole = load(f"{d}/p.json")
    if jsonschema:
        jsonschema.validate(whole, load(f"{TOP}/docs/grf-rsp.schema.json"))
    g = whole["growth"]
    with open(f"{d}/p.txt") as f:
        g["txt"] = f.read()
    return g, run


def rows(g):
    """All that is told to have grown, as a summary has it: (way, bytes of growth, name)."""
    out = [(r["grew"], r["growth_bytes"], " > ".join(r["path"])) for r in g["paths"]]
    out += [(r["grew"], r["growth_bytes"], "goroutines in " + r["function"]) for r in g["goroutines"]]
    out += [(r["grew"], r["growth_bytes"], r["what"]) for r in g["outside"]]
    order = ["every", "steps", "appeared"]
    return sorted(out, key=lambda r: (order.index(r[0]), -r[1]))


def counted(p, times):
    """What the program itself had counted at those times."""
    lines = [l.split() for l in p.lines if l and l.startswith("at ")]
    at = [int(w[1]) for w in lines]
    out = []
    for t in times:
        w = lines[min(bisect.bisect_left(at, t), len(at) - 1)]
        out.append({w[i]: int(w[i + 1]) for i in range(2, len(w), 2)})
    return out


def near(value, expected, what):
    check(abs(value - expected) <= 0.1 * expected, f"{what}: {value}, the program counts {expected}")


@pytest.mark.timeout(120)
def test_three_leaks_under_load(say):
    """In the order of their rates, as much as the program counts, and nothing else."""
    d = tmpdir()
    with start() as p:
        grf("-q", "--fork", "-o", f"{d}/one.json", p.pid)
        alone = load(f"{d}/one.json")["stop"]["stopped_ns"]
        g, run = growth("--fork", "--every", "3s", "--times", 4, "-o", f"{d}/diff.out", p.pid)
        p.wait_running()
        time.sleep(0.1)
        truth = counted(p, [c["time"] for c in g["captures"]])
    told = rows(g)
    check([n for _, _, n in told] == ["main.messages > queue. ([]*main.message)", "main.sessions > byID. (map[int]*main.session)",
                                      "goroutines in main.(*watcher).watch"], told)
    check({w for w, _, _ in told} == {"every"}, told)
    queue, sessions = g["paths"]
    watchers, = g["goroutines"]
    for i, t in enumerate(truth[1:], 1):
        near(queue["bytes"][i] - queue["bytes"][0], t["hub"] - truth[0]["hub"], "the hub's queue")
        near(sessions["bytes"][i] - sessions["bytes"][0], t["sessions"] - truth[0]["sessions"], "sessions")
        near(watchers["count"][i] - watchers["count"][0], t["goroutines"] - truth[0]["goroutines"], "goroutines")
    check([t["type"] for t in queue["types"]][:2] == ["[]uint8", "main.message"], queue)
    check(sessions["types"][0]["type"] == "main.session", sessions)
    check(watchers["leaked"] == watchers["count"][-1] > 0, watchers)
    check(watchers["source"]["file"].endswith("growth/main.go") and watchers["created_by"]["function"] == "main.subscribe", watchers)
    check(all(0 < r["share"] <= 1 and r["bytes_per_minute"] > 0 for r in g["paths"] + g["goroutines"]), g)
    stops = [c["stopped_ns"] for c in g["captures"]]
    say(f"stops {[round(s / 1e6, 1) for s in stops]} ms, one --fork alone {alone / 1e6:.1f} ms")
    check(sorted(stops)[1] < 5 * alone + 20e6, f"stops of the series {stops}, of one --fork {alone}")
    check("grew in every interval" in run.out and "main.messages > queue grew by" in run.out, run)
    check(len(run.out.splitlines()) <= 40 and max(len(l) for l in run.out.splitlines() if l[:4] != "next") <= 80, run.out)
    difference(f"{d}/diff.out", g)


@pytest.mark.timeout(120)
def test_series_on_a_terminal():
    """A line for each capture, over that of the progress, and no code of a terminal is shown as text."""
    ours, theirs = os.openpty()
    with start() as p:
        subprocess.run([GRF, "--fork", "--every", "500ms", "--times", "2", str(p.pid)], stdout=subprocess.DEVNULL, stderr=theirs,
                       stdin=subprocess.DEVNULL, cwd=tmpdir(), timeout=60, check=True)
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal that nobody has open
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)
    check(b"\r\x1b[Kcapture 1 of 2: live" in said and b"?" not in said, said)


def difference(path, g):
    """go tool pprof reads it as one of its own differences."""
    top = subprocess.run([go(), "tool", "pprof", "-top", "-cum", "-unit=B", "-nodefraction=0", path], stdout=subprocess.PIPE,
                         text=True, check=True, env=go_env()).stdout
    cum = {l.split(None, 5)[5]: float(l.split()[3].rstrip("B")) for l in top.splitlines() if re.match(r"\s*-?[\d.]+B", l)}
    near(cum["queue. ([]*main.message)"], g["paths"][0]["growth_bytes"], "pprof's difference")
    check(abs(cum.get("main.table", 0)) < 100, "the table did not change", cum.get("main.table"))
    for view in "-traces", "-dot":
        subprocess.run([go(), "tool", "pprof", view, path], stdout=subprocess.DEVNULL, check=True, env=go_env())


@pytest.mark.timeout(120)
def test_idle_program_grows_nothing():
    """Garbage, a collection, captures that put most of the tree together: nothing grew.  From files as by a series."""
    d = tmpdir()
    with start("-idle") as p:
        base = capture(p, f"{d}/base.json")
        small = capture(p, f"{d}/small.json", "--max-nodes", "40")
        core = capture(p, f"{d}/base.core", "--save-only")
        p.ask(signal.SIGUSR1, "collected")
        for args in (["--base", base], ["--base", core], ["--base", small, "--max-nodes", "60"], ["--base", base, "--base", core],
                     ["--every", "1s", "--times", "3"]):
            g, run = growth(*args, "--limit", "growth=64K", "--limit", "leaked-goroutines=0", "--limit", "growth-rate=10M/min", p.pid)
            check(not rows(g) and "nothing grew" in run.out, rows(g), run)
            check(abs(g["live_bytes"]) < 32 << 10, g["live_bytes"])  # some threads more or less
        p.wait_running()


@pytest.mark.timeout(120)
def test_files_of_both_kinds_say_the_same():
    """Two captures as cores, as JSON, and with each step by itself: what grew is the same."""
    d = tmpdir()
    with start() as p:
        for n in "ab":
            grf("-q", "-o", f"{d}/{n}.core", "-o", f"{d}/{n}.json", p.pid)
            capture_none = f"{d}/{n}.core"
            grf("-q", "--fold=none", "-o", f"{d}/{n}.none.json", capture_none, p.exe)
            time.sleep(1.5 if n == "a" else 0)
    g, _ = growth("--base", f"{d}/a.core", f"{d}/b.core", p.exe)
    h, _ = growth("--base", f"{d}/a.json", f"{d}/b.core", p.exe)
    for part in "paths", "types", "goroutines":
        check(g[part] == h[part], part, g[part], h[part])
    check(rows(g)[0][2].startswith("main.messages > queue"), rows(g))
    none, _ = growth("--fold=none", "--base", f"{d}/a.none.json", f"{d}/b.core", p.exe)
    check([r for r in rows(none) if r[2].startswith("main.messages")][0][1] == rows(g)[0][1], rows(none), rows(g))
    # trees of other rules, and captures in the wrong order, are refused
    check("--fold" in grf("--base", f"{d}/a.none.json", f"{d}/b.core", p.exe, rc=2).err)
    check("older" in grf("--base", f"{d}/b.json", f"{d}/a.core", p.exe, rc=2).err)
    # a file that says less, of an older version
    old = load(f"{d}/a.json")
    for key in "rules", "outside", "goroutines", "growth":
        old.pop(key, None)
    old["process"].pop("started_ns"), old["process"].pop("started_ticks", None)
    with open(f"{d}/old.json", "w") as f:
        json.dump(old, f)
    o, _ = growth("--base", f"{d}/old.json", f"{d}/b.core", p.exe)
    paths = [r["path"] for r in g["paths"]]
    check([r["path"] for r in o["paths"] if r["path"] in paths] == paths and not o["goroutines"], o["paths"])


@pytest.mark.timeout(60)
def test_another_process_is_refused():
    d = tmpdir()
    with start("-idle") as p:
        base = capture(p, f"{d}/a.json")
        core = capture(p, f"{d}/a.core", "--save-only")
    with start("-idle") as p:
        for b in base, core:
            check("started again" in grf("--base", b, p.pid, rc=1).err)
            check(not p.stopped(), "it stands still")
        grf("-q", "--base", base, "--force", p.pid)
    with start("-idle", tag="other", flags=["-ldflags=-B 0x1234"]) as p:
        check("another build" in grf("--base", base, p.pid, rc=1).err)
    for text in "", "{}", '{"schema": "grf-rsp/2"}', "\x7fELF", "x" * 100:
        with open(f"{d}/bad.json", "w") as f:
            f.write(text)
        check("bad.json" in grf("--base", f"{d}/bad.json", core, rc=1).err)
    check("no/such" in grf("--base", "/no/such", core, rc=1).err)


@pytest.mark.timeout(60)
def test_interrupt_ends_the_series():
    """^C: what there is is told; a second one ends at once.  The process runs on either way."""
    d = tmpdir()
    with start() as p:
        for wait, signals, rc in (2.5, 1, 0), (0.1, 2, 130):
            run = subprocess.Popen([GRF, "--fork", "--every", "1s", "--times", "90", "-o", f"{d}/p.json", str(p.pid)],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(wait)
            for i in range(signals):
                run.send_signal(signal.SIGINT)
                time.sleep(0.02)
            out, err = run.communicate(timeout=20)
            if rc == 0:
                g = load(f"{d}/p.json")["growth"]
                check(run.returncode == 0 and g["interrupted"] and 2 <= len(g["captures"]) < 9, run.returncode, out, err)
                check("ended by ^C" in out and "main.messages > queue" in out, out)
                os.unlink(f"{d}/p.json")
            else:
                check(run.returncode in (0, 130), run.returncode, out, err)
                check(run.returncode == 0 or not os.path.exists(f"{d}/p.json"), "half a series was written")
            p.wait_running()


@pytest.mark.timeout(60)
def test_process_that_ends_meanwhile():
    """What was found until then is told, with the error."""
    with start() as p:
        run = subprocess.Popen([GRF, "--every", "1s", "--times", "9", str(p.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, cwd=tmpdir())
        time.sleep(3.2)
        p.proc.kill()
        out, err = run.communicate(timeout=30)
        check(run.returncode == 1 and "grf-rsp: " in err, run.returncode, err)
        check("main.messages > queue" in out, out, err)


@pytest.mark.timeout(60)
def test_series_needs_a_stub_that_stops_again():
    with start("-idle") as p:
        with attach(p.pid) as g:
            stub = Simplest(g.port)
            err = grf("--every", "1s", stub.target, p.exe, rc=1).err
            stub.close()
        check("cannot stop the process a second time" in err and "-p PID" in err, err)
        p.wait_running()
        with multi() as g:
            r, _ = growth("--every", "500ms", "--times", "2", "-p", p.pid, g.target)
            check(len(r["captures"]) == 2 and not rows(r), r)
        p.wait_running()


@pytest.mark.timeout(60)
def test_limits():
    d = tmpdir()
    with start("-idle") as p:
        core = capture(p, f"{d}/a.core", "--save-only")
    run = grf("-q", "--limit", "live=1M", "--limit", "goroutines=1", "--limit", "unreachable=1T", core, p.exe, rc=3, cwd=d)
    lines = run.err.splitlines()
    check(len(lines) == 2 and "live=1M is exceeded" in lines[0] and "goroutines=1 is exceeded" in lines[1], run)
    check(os.path.exists(f"{d}/grf.out"), "the output is there all the same")
    grf("-q", "--limit", "live=1G", "--limit", "leaked-goroutines=0", core, p.exe, cwd=d)
    for limit in "growth=1M", "live=x", "nothing=1", "live":
        check("--limit" in grf("--limit", limit, core, p.exe, rc=2).err)
    check("not known" in grf("-q", "--limit", "rss=1", core, p.exe, rc=1, cwd=d).err)
    for args in (["--times", "3"], ["--every", "1"], ["--every", "x"], ["--every", "1s", "--times", "1"]):
        grf(*args, core, p.exe, rc=2)


TESTMAIN = r"(?s)```go\n(// leak_test.go.*?)```"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("leaks", [False, True])
def test_recipe_for_testmain(leaks):
    """The one of docs/GROWTH.md, in a package whose test leaks or does not."""
    d = tmpdir()
    with open(f"{TOP}/docs/GROWTH.md") as f:
        recipe = re.search(TESTMAIN, f.read()).group(1)
    for name, body in (
            ("go.mod", "module recipe\n\ngo 1.21\n"), ("leak_test.go", recipe),
            ("recipe.go", "package recipe\n\nvar Kept [][]byte\nvar c = make(chan int)\n"
                          "func Work(keep bool) {\n\tb := make([]byte, 1<<20)\n\tif keep {\n\t\tKept = append(Kept, b)\n\t\tgo func() { <-make(chan int) }()\n\t}\n}\n"),
            ("recipe_test.go", f"package recipe\n\nimport \"testing\"\n\nfunc TestWork(t *testing.T) {{\n"
                               f"\tfor i := 0; i < 20; i++ {{\n\t\tWork({str(leaks).lower()})\n\t}}\n}}\n")):
        with open(f"{d}/{name}", "w") as f:
            f.write(body)
    env = go_env(CGO_ENABLED="0")
    env["PATH"] = os.path.dirname(GRF) + ":" + env["PATH"]
    run = subprocess.run([go(), "test", "-count=1", "-o", "leak.test", "."], cwd=d, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=100)
    check((run.returncode != 0) == leaks, run.stdout)
    check(not leaks or ("growth=" in run.stdout and "leaked-goroutines=0 is exceeded" in run.stdout and "Kept" in run.stdout), run.stdout)


def test_old_files_are_read():
    """A file of each version of the schema that there was can still be a --base: tests/data/schema-N.json, written by the release
    that had it, of tests/progs/growth. The newest schema is among them."""
    versions = [int(re.search(r"schema-(\d+)", f)[1]) for f in os.listdir(f"{TOP}/tests/data") if f.startswith("schema-")]
    newest = int(re.search(r"JSON grf-rsp/(\d+)", grf("--version").out)[1])
    check(sorted(versions) == list(range(1, newest + 1)), versions, newest)
    for version in versions:
        old = load(f"{TOP}/tests/data/schema-{version}.json")
        with start() as p:
            time.sleep(0.5)
            g, _ = growth("--base", f"{TOP}/tests/data/schema-{version}.json", "--force", p.pid)
        check([c["live_bytes"] for c in g["captures"]][0] == old["coverage"]["live_bytes"], g["captures"])
        paths = {" > ".join(r["path"]): r for r in g["paths"]}
        old_roots = {r["name"]: r["live_bytes"] for r in old["roots"]}
        grown, = [r for p, r in paths.items() if p.startswith("main.messages")]
        check(0 < grown["bytes"][0] <= old_roots["main.messages"] and grown["bytes"][-1] > 0, grown)
