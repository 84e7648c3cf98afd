"""Files for other people's tools, each opened by a reader that is not ours: promtool and Prometheus. docs/EXPORTS.md"""

import contextlib
import http.server
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import pytest

from lib import *

DOC = os.path.join(TOP, "docs/EXPORTS.md")


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


def doc_block(language, word):
    """The block of docs/EXPORTS.md in that language that has the word in it."""
    with open(DOC) as f:
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
