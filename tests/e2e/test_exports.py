"""Files for other people's tools, each opened by a reader that is not ours: promtool, Prometheus, SQLite, VS Code's reader of heap
snapshots, VisualVM's heap library. docs/EXPORTS.md"""

import contextlib
import gzip
import http.server
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import pytest

from lib import *


def captured():
    """A zoo's core and its executable, made once a run."""
    def make():
        path = os.path.join(os.environ.get("GRF_TESTS_RUN") or tempfile.mkdtemp(), "exports.core")
        with start_zoo() as p:
            grf("-q", "--save-only", "-o", path, p.pid)
        return path
    return once("core of a zoo for exports", make), build("zoo")


def export(name, *args, **kw):
    """The file of that name, and the JSON, of one run on the zoo's core."""
    core, exe = captured()
    d = tmpdir()
    grf("-q", *args, "-o", f"{d}/{name}", "-o", f"{d}/all.json", core, exe, **kw)
    with open(f"{d}/all.json") as f:
        return f"{d}/{name}", json.load(f)


def doc_block(language, word, doc="EXPORTS.md"):
    """The block of a page of docs/ in that language that has the word in it."""
    with open(os.path.join(TOP, "docs", doc)) as f:
        blocks = re.findall(rf"```{language}\n(.*?)```", f.read(), re.S)
    found = [b for b in blocks if word in b]
    check(len(found) == 1, f"{len(found)} blocks of {language} with {word}")
    return found[0]


# Prometheus

LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\.)*)"')


def read_prom(path):
    """{name: {labels: value}}; labels are sorted pairs, without those of the process."""
    out = {}
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    check(lines[-1] == "# EOF", lines[-1])
    for line in lines:
        if line.startswith("#"):
            continue
        m = re.fullmatch(r"([a-z_]+)\{(.*)\} ([0-9.]+)", line)
        check(m, line)
        labels = tuple(sorted((k, v) for k, v in LABEL.findall(m.group(2)) if k not in ("exe", "pid")))
        check(labels not in out.setdefault(m.group(1), {}), "twice:", line)
        out[m.group(1)][labels] = float(m.group(3))
    return out


def promtool(*args, **kw):
    need("promtool")
    r = subprocess.run(["promtool", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **kw)
    check(r.returncode == 0, *args, r.stdout)
    return r.stdout


@pytest.mark.needs("gdbserver", "promtool")
def test_prom_is_metrics():
    """What promtool reads without a complaint, with JSON's numbers."""
    path, js = export("zoo.prom", "--top", 5)
    with open(path) as f:
        check(not promtool("check", "metrics", stdin=f).strip(), "promtool complains")
    m = read_prom(path)
    for name, key in ("grf_live_bytes", "live_bytes"), ("grf_live_objects", "live_objects"), ("grf_unnamed_bytes", "unnamed_bytes"):
        check(m[name][()] == js["coverage"][key], name, m[name], js["coverage"][key])
    live = m["grf_root_live_bytes"]
    check(len(live) == 6 and sum(live.values()) == js["coverage"]["live_bytes"], live)
    check(sum(m["grf_memory_bytes"].values()) == js["memory"]["sys_bytes"], m["grf_memory_bytes"])
    roots = {r["name"]: r for r in js["roots"]}
    for labels, v in m["grf_root_retained_bytes"].items():
        name = dict(labels)["root"]
        check(name == "[other]" or v == roots[name]["retained_bytes"], labels, v)
    groups = m["grf_group_goroutines"]
    check(len(groups) == 6 and sum(groups.values()) == sum(g["count"] for g in js["goroutines"]), groups)
    check(m["grf_leaked_goroutines"][()] == sum(g["count"] for g in js["goroutines"] if g["verdict"] == "leaked"), m)


@pytest.mark.needs("gdbserver", "promtool")
def test_prom_rules():
    """The rules of the docs are rules, and fire when a heap grows and not when it goes up and down."""
    d = tmpdir()
    with open(f"{d}/grf-rsp.yml", "w") as f:
        f.write(doc_block("yaml", "alert:"))
    promtool("check", "rules", f"{d}/grf-rsp.yml")
    exe = 'exe="app",pid="7"'
    with open(f"{d}/test.yml", "w") as f:
        f.write(f"""rule_files: [grf-rsp.yml]
evaluation_interval: 10m
tests:
  - interval: 10m
    input_series:
      - series: 'grf_root_live_bytes{{{exe},root="main.leak",kind="package variables"}}'
        values: '100000000+20000000x60'
      - series: 'grf_root_live_bytes{{{exe},root="main.cache",kind="package variables"}}'
        values: '{" ".join(str(100000000 + i % 6 * 50000000) for i in range(60))}'
      - series: 'grf_leaked_goroutines{{{exe}}}'
        values: '0x30 3x30'
    alert_rule_test:
      - eval_time: 8h
        alertname: GoHeapGrows
        exp_alerts:
          - exp_labels: {{exe: app, pid: "7", root: main.leak, kind: package variables, severity: warning}}
      - eval_time: 4h
        alertname: GoGoroutinesLeak
        exp_alerts: []
      - eval_time: 8h
        alertname: GoGoroutinesLeak
        exp_alerts:
          - exp_labels: {{exe: app, pid: "7", severity: warning}}
""")
    text = open(f"{d}/test.yml").read()
    # An annotation is the doc's own words, whatever they are.
    notes = re.findall(r"summary: (.*)", doc_block("yaml", "alert:"))
    assert len(notes) == 2
    check("$labels" in notes[0], notes)
    values = {"$labels.exe": "app", "$labels.pid": "7", "$labels.root": "main.leak", "$value": "3"}
    for note, after in zip(notes, ("root: main.leak, kind: package variables, severity: warning}", 'pid: "7", severity: warning}')):
        said = re.sub(r"{{ *([^} |]+)[^}]*}}", lambda m: values[m.group(1)], note.strip("'\""))
        at = text.rindex(after) + len(after)
        text = text[:at] + f"\n            exp_annotations: {{summary: '{said}'}}" + text[at:]
    with open(f"{d}/test.yml", "w") as f:
        f.write(text)
    promtool("test", "rules", f"{d}/test.yml")


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver", "prometheus")
def test_prom_is_scraped():
    """A real Prometheus scrapes the file, and answers with its numbers."""
    path, js = export("zoo.prom")
    d = tmpdir()

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *a):
            super().__init__(*a, directory=os.path.dirname(path))

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.end_headers()
            with open(path, "rb") as f:
                self.wfile.write(f.read())

        def log_message(self, *a):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(f"{d}/prometheus.yml", "w") as f:
        f.write(f"""global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: grf
    static_configs: [{{targets: ["127.0.0.1:{server.server_port}"]}}]
""")
    port = free_port()
    log = open(f"{d}/log", "w")
    p = subprocess.Popen(["prometheus", f"--config.file={d}/prometheus.yml", f"--storage.tsdb.path={d}/data",
                          f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT)
    try:
        def ask(query):
            url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": query})
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as r:
                return [float(s["value"][1]) for s in json.load(r)["data"]["result"]]
            return []

        end = time.monotonic() + 60
        while not ask("grf_live_bytes") and time.monotonic() < end:
            time.sleep(0.2)
        live = ask("grf_live_bytes")
        check(live == [js["coverage"]["live_bytes"]], live, open(f"{d}/log").read()[-2000:])
        check(ask("sum(grf_root_live_bytes)") == live, "sum of roots")
        check(len(ask('{__name__=~"grf_.*"}')) == sum(len(v) for v in read_prom(path).values()), "some series are missing")
    finally:
        p.kill()
        p.wait()
        server.shutdown()


# SQLite

@contextlib.contextmanager
def database(*args):
    """The zoo's *.sqlite, opened by Python's own SQLite, and JSON."""
    path, js = export("zoo.sqlite", *args)
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        yield db, js


def dominators(n, edges):
    """Immediate dominators of vertices 0 .. n-1 from 0, by another algorithm than ours: Cooper, Harvey and Kennedy's."""
    order, number, seen = [], [0] * n, [False] * n
    stack = [(0, iter(edges[0]))]
    seen[0] = True
    while stack:
        v, rest = stack[-1]
        for w in rest:
            if not seen[w]:
                seen[w] = True
                stack.append((w, iter(edges[w])))
                break
        else:
            number[v] = len(order)
            order.append(v)
            stack.pop()
    check(all(seen), f"{seen.count(False)} vertices that no root leads to")
    back = [[] for _ in range(n)]
    for v in range(n):
        for w in edges[v]:
            back[w].append(v)
    dom = [None] * n
    dom[0], changed = 0, True
    while changed:
        changed = False
        for v in reversed(order[:-1]):
            new = None
            for u in back[v]:
                if dom[u] is None:
                    continue
                a, b = u, u if new is None else new
                while a != b:
                    while number[a] < number[b]:
                        a = dom[a]
                    while number[b] < number[a]:
                        b = dom[b]
                new = a
            if dom[v] != new:
                dom[v], changed = new, True
    return dom, list(reversed(order))


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
def test_sqlite_is_the_graph():
    """Totals and types are JSON's; dominators and retained sizes are those of the edges, by another algorithm."""
    with database() as (db, js):
        ask = lambda q: db.execute(q).fetchall()
        check(ask("PRAGMA integrity_check") == [("ok",)], "integrity")
        c = js["coverage"]
        check(ask("SELECT count(*), sum(bytes) FROM objects") == [(c["live_objects"], c["live_bytes"])], "totals", c)
        of = {name: row for name, *row in ask("SELECT t.name, count(*), sum(o.bytes), t.retained FROM objects o JOIN types t "
                                              "ON t.id = o.type GROUP BY t.id")}
        check(of == {t["type"]: [t["objects"], t["bytes"], t["retained_bytes"]] for t in js["types"]}, "types")
        check(ask("SELECT sum(bytes) FROM root_names") == [(c["live_bytes"],)], "root_names")
        check(dict(ask("SELECT name, retained FROM root_names WHERE retained NOT NULL")) ==
              {r["name"]: r["retained_bytes"] for r in js["roots"] if "retained_bytes" in r}, "roots")
        check(ask("SELECT count(*), sum(count) FROM goroutines") == [(len(js["goroutines"]),
                                                                     sum(g["count"] for g in js["goroutines"]))], "goroutines")
        check(ask("SELECT count(*), sum(bytes) FROM tree") == [(len(js["tree"]), c["live_bytes"])], "tree")
        # the graph
        (n, roots), = ask("SELECT (SELECT count(*) FROM objects), (SELECT count(*) FROM roots)")
        edges = [[] for _ in range(1 + n + roots)]
        for source, target in ask("SELECT source, target FROM edges UNION ALL SELECT coalesce(parent, 0), id FROM roots"):
            edges[source].append(target)
        dom, order = dominators(1 + n + roots, edges)
        retained = [0] * (1 + n + roots)
        ours = {i: (d, r) for i, d, r in ask("SELECT id, dominator, retained FROM objects UNION ALL "
                                             "SELECT id, coalesce(parent, 0), retained FROM roots")}
        for i, size in ask("SELECT id, bytes FROM objects"):
            retained[i] = size
        # a dominator comes before what it dominates in reverse postorder
        for v in reversed(order[1:]):
            retained[dom[v]] += retained[v]
        check(retained[0] == c["live_bytes"], retained[0])
        wrong = [(v, dom[v], retained[v], ours[v]) for v in range(1, 1 + n + roots) if ours[v] != (dom[v], retained[v])]
        check(not wrong, f"{len(wrong)} of {n + roots}:", wrong[:5])
        # a path's parent has a pointer to it
        check(not ask("SELECT o.id FROM objects o WHERE NOT EXISTS (SELECT 1 FROM edges e WHERE e.source = o.parent AND e.target = o.id)"),
              "a parent without a pointer")


@pytest.mark.needs("gdbserver", "sqlite3")
def test_sqlite_questions():
    """Each query of docs/SQL.md runs in SQLite's own shell, and says something."""
    path, _ = export("zoo.sqlite")
    with open(os.path.join(TOP, "docs/SQL.md")) as f:
        queries = re.findall(r"```sql\n(.*?)```", f.read(), re.S)
    assert len(queries) >= 14
    for q in queries:
        r = subprocess.run(["sqlite3", "-bail", "-header", path, q], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           timeout=60)
        check(r.returncode == 0 and len(r.stdout.splitlines()) >= 2, q, r.stdout)
    tables = subprocess.run(["sqlite3", path, "SELECT name FROM sqlite_schema WHERE type = 'view'"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split()
    check(len(tables) == 10 and all(any(v in q for q in queries) for v in tables), tables)


SPARK = """
import sys
{code}
d, *captures = sys.argv[1:]
for i, path in enumerate(captures):
    to_parquet(path, d, f"app{{i // 2}}", i % 2)
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
print("histogram", histogram(spark, d).where("name = 'string'").first().objects)
for row in who_grew(spark, d).collect():
    print("grew", row.name, row.processes, row.bytes)
"""


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver", "java")
def test_parquet_and_spark():
    """The code of docs/SQL.md: four captures of two processes, of which a root grew in both."""
    python = os.environ.get("GRF_SPARK_PYTHON", "python3")
    r = subprocess.run([python, "-c", "import duckdb, pyarrow, pyspark"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if r.returncode:
        raise Skip(f"{python} has no duckdb, pyarrow, pyspark (GRF_SPARK_PYTHON: one that has): {r.stdout.strip().splitlines()[-1:]}")
    path, _ = export("zoo.sqlite")
    d = tmpdir()
    captures = [f"{d}/{i}.sqlite" for i in range(4)]
    for i, c in enumerate(captures):
        shutil.copy(path, c)
        with contextlib.closing(sqlite3.connect(c)) as db, db:
            db.execute("INSERT INTO root_names VALUES ('main.leak', 'package variables', 1, ?, NULL)", (1000 * (1 + i % 2),))
            strings, = db.execute("SELECT sum(objects) FROM types WHERE name = 'string'").fetchone()
    with open(f"{d}/spark.py", "w") as f:
        f.write(SPARK.format(code=doc_block("python", "to_parquet", "SQL.md") + doc_block("python", "who_grew", "SQL.md")))
    r = subprocess.run([python, f"{d}/spark.py", f"{d}/parquet", *captures], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                       timeout=200)
    check(r.returncode == 0, r.stderr[-3000:])
    check(r.stdout.splitlines() == [f"histogram {4 * strings}", "grew main.leak 2 2000"], r.stdout)


@pytest.mark.needs("gdbserver")
def test_sqlite_is_whole_or_not_there():
    """What ends a run leaves an old file as it was, and nothing else; what is no file is refused first."""
    core, exe = captured()
    d = tmpdir()
    path = f"{d}/old.sqlite"
    with open(path, "w") as f:
        f.write("old")
    os.chmod(path, 0o640)
    p = subprocess.Popen([GRF, "-q", "-o", path, core, exe])
    while not any(n.startswith(".grf") and os.path.getsize(f"{d}/{n}") > 0 for n in os.listdir(d)) and p.poll() is None:
        time.sleep(0.001)
    p.terminate()
    if p.wait() == 143:
        check(open(path).read() == "old", "the old file was damaged")
    assert os.listdir(d) == ["old.sqlite"]
    grf("-q", "-o", path, core, exe)
    check(open(path, "rb").read(15) == b"SQLite format 3" and os.stat(path).st_mode & 0o777 == 0o640, "mode")
    os.mkfifo(f"{d}/pipe.sqlite")
    r = grf("-o", f"{d}/pipe.sqlite", core, exe, rc=2)
    check("regular file" in r.err, r)
    r = grf("--graph=no", "-o", path, core, exe, rc=2)
    check("--graph=no" in r.err, r)
    assert sorted(os.listdir(d)) == ["old.sqlite", "pipe.sqlite"]


# V8's heap snapshots

V8_PARSER = "@vscode/v8-heap-parser@0.1.0"
V8_READ = """
const parser = require("@vscode/v8-heap-parser");
const graph = parser.decode_bytes(require("fs").readFileSync(process.argv[2]));
console.log(JSON.stringify(graph.get_class_groups(0, 100000, false).map(
    g => [g.name(), g.children_len, Number(g.self_size), Number(g.retained_size)])));
"""


def v8_parser():
    """The directory with VS Code's reader, fetched from npm's registry if need be."""
    need("node")

    def fetch():
        d = os.path.join(OBJDIR, "npm")
        if not os.path.exists(f"{d}/node_modules/@vscode/v8-heap-parser"):
            need("npm")
            r = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", d, V8_PARSER], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, timeout=90)
            if r.returncode:
                raise Skip(f"no {V8_PARSER}: {r.stdout.strip().splitlines()[-1:]}")
        return d
    return once(V8_PARSER, fetch)


@pytest.mark.timeout(180)
@pytest.mark.needs("gdbserver")
def test_heapsnapshot_is_the_graph():
    """VS Code's reader has our types, sizes and retained sizes, to the byte."""
    parser = v8_parser()
    path, js = export("zoo.heapsnapshot")
    with open(path) as f:
        text = f.read()
    check(text.startswith('{"snapshot":{') and '\n"nodes":[' in text and '"locations":[]' in text, text[:100])
    snap = json.loads(text)
    head, nodes, edges = snap["snapshot"], snap["nodes"], snap["edges"]
    check(len(nodes) == 7 * head["node_count"] and len(edges) == 3 * head["edge_count"] == 3 * sum(nodes[4::7]), "counts")
    check(len(set(nodes[2::7])) == head["node_count"], "ids are not unique")
    check(all(n % 7 == 0 for n in edges[2::3]) and max(edges[2::3]) < len(nodes), "to_node")
    check(max(nodes[1::7]) < len(snap["strings"]), "strings")
    with open(f"{parser}/read.js", "w") as f:
        f.write(V8_READ)
    r = subprocess.run(["node", f"{parser}/read.js", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    check(r.returncode == 0, r.stdout[-2000:])
    theirs = {name: row for name, *row in json.loads(r.stdout) if name != "(synthetic)"}
    ours = {t["type"]: [t["objects"], t["bytes"], t["retained_bytes"]] for t in js["types"]}
    check(theirs == ours, [(t, theirs.get(t), ours.get(t)) for t in {*theirs, *ours} if theirs.get(t) != ours.get(t)][:5])


# HPROF

VISUALVM = "/usr/share/visualvm/visualvm/modules/org-graalvm-visualvm-lib-jfluid-heap.jar"
OURS = 0x7f << 48  # ids from here on are no objects of Go's


def java_class(type, shape):
    """The class that objects of a type are of, without its size."""
    if shape == "array":
        return type.replace("/", ".").removeprefix("[]") + "[]"
    return ("row " if type.startswith("[") else "") + type.replace("/", ".")


def read_hprof(path):
    need("java")
    if not os.path.exists(VISUALVM):
        raise Skip(f"no VisualVM: {VISUALVM}")
    r = subprocess.run(["java", "-cp", VISUALVM, os.path.join(TOP, "tests/tools/HprofRead.java"), path], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=150)
    check(r.returncode == 0, r.stderr[-2000:])
    out = {}
    for line in r.stdout.splitlines():
        what, _, rest = line.partition(" ")
        out.setdefault(what, []).append(rest)
    return out


@pytest.mark.timeout(240)
@pytest.mark.needs("gdbserver", "java")
def test_hprof_is_the_graph():
    """VisualVM's heap library has each object's size, references and retained size as we do, to the byte."""
    core, exe = captured()
    d = tmpdir()
    grf("-q", "-o", f"{d}/zoo.hprof", "-o", f"{d}/zoo.hprof.gz", "-o", f"{d}/zoo.sqlite", core, exe)
    with open(f"{d}/zoo.hprof", "rb") as f, gzip.open(f"{d}/zoo.hprof.gz") as g:
        check(f.read() == g.read(), "the two differ")
    theirs = read_hprof(f"{d}/zoo.hprof")
    with contextlib.closing(sqlite3.connect(f"{d}/zoo.sqlite")) as db:
        ask = lambda q: db.execute(q).fetchall()
        ours = {a: row for a, *row in ask("SELECT o.address, o.bytes, o.retained, (SELECT coalesce(sum(t.address), 0) FROM edges e "
                                          "JOIN objects t ON t.id = e.target WHERE e.source = o.id), y.name "
                                          "FROM objects o JOIN types y ON y.id = o.type")}
        variables = {n.replace("/", ".") for n, in ask("SELECT name FROM roots WHERE kind = 'package variables' "
                                                       "AND id IN (SELECT source FROM edges)")}
        goroutines = {g for g, in ask("SELECT goroutine FROM roots WHERE goroutine NOT NULL AND parent IS NULL")}
    seen, names, wrong = 0, 0, []
    for line in theirs["object"]:
        i, size, retained, references, name = line.split(" ", 4)
        if int(i) >= OURS:
            names += int(size)
            continue
        seen += 1
        bytes_, retained_, references_, type_ = ours[int(i)]
        base = name.partition(" (")[0]
        if [int(size), int(retained), int(references)] != [bytes_, retained_, references_] or base not in (
                java_class(type_, "array").partition(" (")[0], java_class(type_, "one").partition(" (")[0]) and not (
                    re.fullmatch("(byte|short|char|int|long|float|double|boolean)\\[\\]", name)):
            wrong.append((line, ours[int(i)]))
    check(not wrong and seen == len(ours), f"{len(wrong)} of {seen} ({len(ours)}):", wrong[:4])
    live = sum(row[0] for row in ours.values())
    check(int(theirs["total"][0].split()[1]) == live + names and names < 4096, theirs["total"], live, names)
    # statics by package, goroutines as threads with their stacks
    statics = dict(line.rsplit(" ", 1) for line in theirs["static"])
    missing = [n for n in variables if not {n, "(no package)." + n} & set(statics)]
    check(variables and not missing, missing[:4])
    threads = {int(line.split(" ")[0]): line.split(" ")[1:] for line in theirs["thread"]}
    check(set(threads) == goroutines, set(threads) ^ goroutines)
    check(any(f.startswith("main.main:") and not f.endswith(":0") for f in threads[1]), threads[1])
    local = [line.split(" ") for line in theirs["local"]]
    check(any(int(g) == 1 and int(frame) >= 0 and threads[1][int(frame)].startswith("main.") for g, frame, _ in local), local[:4])


SECRET = """package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

type user struct {
	name   string
	key    []byte
	number uint64
	inside [16]byte
	next   *user
	any    interface{}
}

var users = map[string]*user{}

func main() {
	word := strings.Repeat("sec", 1) + fmt.Sprintf("ret-%d", os.Getpid())
	number := uint64(0x5ec2e7) << 40 | uint64(os.Getpid())
	for i := 0; i < 100; i++ {
		u := &user{name: fmt.Sprint(word, i), key: []byte(word), number: number, any: word}
		copy(u.inside[:], word)
		users[word+fmt.Sprint(i)] = u
	}
	fmt.Println("READY", word, number)
	time.Sleep(time.Hour)
}
"""


@pytest.mark.needs("gdbserver")
def test_no_contents():
    """No export has a string, a byte slice, a number or a map's key that the program keeps; all say their types."""
    exe = go_source(SECRET)
    d = tmpdir()
    names = ["x.hprof", "x.heapsnapshot", "x.sqlite", "x.prom"]
    with Prog([exe]) as p:
        word, number = p.wait_line("READY").split()[1:]
        grf("-q", "--full", *(a for n in [*names, "x.core"] for a in ("-o", f"{d}/{n}")), p.pid, exe)
    secrets = [word.encode(), int(number).to_bytes(8, "little"), int(number).to_bytes(8, "big"), number.encode()]
    with open(f"{d}/x.core", "rb") as f:
        core = f.read()
    check(core.count(secrets[0]) > 200 and secrets[1] in core, "the core has no secrets: this shows nothing")
    for name in names:
        with open(f"{d}/{name}", "rb") as f:
            text = f.read()
        check(not [s for s in secrets if s in text], name, "has contents")
        check(b"main.users" in text or b"main" in text, name)
