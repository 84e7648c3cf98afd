"""README.md and docs/: every command there is typed here, links lead somewhere, options exist.

test_runs types each document's commands in a directory made for it: PLACES puts a process in the place of PID, files where they are
named. ssh, sudo, coredumpctl and kubectl are stand-ins that do the same here; podman is the real one. What cannot be run here is in
ELSEWHERE with the reason, and its options and targets are looked at all the same. `make check` runs README's, `make check-docs` all.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time

import pytest

from docs import *
from lib import *

# Commands that are not run here: a pattern for each, and why.
ELSEWHERE = {
    r"apt-get update && apt-get install -y make && make (demo|check)\b": "as root, on a bare Debian 12: CI does; test_demo",
    r"make (deps && make|deb\b|rpm\b|dist\b|install\b)": "tests/e2e/test_packaging.py installs, and builds packages",
    r"README\.md: make static$": "docs/RECIPES.md has it, too",
    r"make (check|bench|SQLITE=no|HARDEN=)": "tests, the longest ones; variables of builds",
    r"make (layouts|check-layouts|check-releases)|flags=|EXPERIMENTS=": "toolchains of every release: make check-layouts",
    r"make demo && ": "makes the pictures of docs/ anew",
    r"tests/bench/bigexe\.sh": "fetches a program of 400 MB",
    r"duckdb ": "tests/e2e/test_exports.py",
    r"qemu-system-x86_64 |grf-rsp localhost:(1234|5002) ": "a virtual machine: tests/e2e/test_guest.py",
    r"docs/QEMU.md: go tool pprof ": "after what a virtual machine gave",
    r"grf-rsp .*libapp\.so$": "Go in a C program: tests/e2e/test_binaries.py",
    r"grf-rsp --debug one\.so ": "plugins: tests/e2e/test_binaries.py",
    r"virsh |grf-rsp -o app\.html localhost:1234 ": "a virtual machine: tests/e2e/test_guest.py",
    r"grf-rsp --fork --every 1m --times 4 --limit ": "a CronJob of a cluster",
    r"(CONTRIBUTING|tests/README)\.md: ": "how this tree is built and tested: CI does so",
}

GO = """#!{python}
import os, signal, socket, subprocess, sys, time, urllib.request
args = sys.argv[1:]
at = [i for i, a in enumerate(args) if a.startswith("-http=:")]
if not at:
    os.execv("{go}", ["go", *args])
# A server: it is started, asked for a page, and ended with what it has started.
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    host = "localhost:%d" % s.getsockname()[1]
args[at[0]:at[0] + 1] = ["-http=" + host, "-no_browser"]
p = subprocess.Popen(["{go}", *args], stdout=subprocess.DEVNULL, process_group=0)
page = b""
while not page and p.poll() is None:
    time.sleep(0.1)
    try:
        page = urllib.request.urlopen("http://" + host + "/ui/flamegraph", timeout=20).read()
    except OSError:
        pass
if p.poll() is None:
    os.killpg(p.pid, signal.SIGKILL)
sys.exit(b"main.sessions" not in page)
"""

# They run here what the real ones would run there.
STAND_INS = {
    "ssh": """while :; do case $1 in -J) shift 2;; -T) shift;; -*) exit 255;; *) break;; esac; done
[ "$1" = HOST ] || { echo "ssh: no host $1" >&2; exit 255; }
shift; exec "$@" """,
    "sudo": '[ "$1" = -n ] && shift; exec "$@"',
    "coredumpctl": """case $1 in list) echo "$2";; dump) cp "$HERE/core.1234" "$3" && [ "$2" = -o ];; *) exit 1;; esac""",
    "kubectl": """[ "$1" = debug ] && exit 0
[ "$1 $2 $4" = "exec -i -c" ] || exit 1
c=$5; shift 5; [ "$1" = -- ] || exit 1; shift; exec podman exec -i "$c" "$@" """,
    # ready PID PORT: what was started in the background listens there, or says READY.
    "ready": """i=0
while kill -0 "$1" && [ $i -lt 1200 ]; do
	if [ -n "$2" ]; then grep -qi ":$(printf %04X "$2") [0-9A-F]*:0000 0A" /proc/net/tcp /proc/net/tcp6 && exit 0
	else grep -q READY "$HERE/background" && exit 0; fi
	sleep 0.05; i=$((i + 1))
done
echo "what was started is not ready:"; cat "$HERE/background"; exit 1""",
}


class Place:
    """A directory with all that a document's commands name."""

    def __init__(self, stack, say):
        self.stack, self.say = stack, say
        self.dir = tmpdir()
        self.p = None  # the process that is looked at
        self.swap = []  # (what a document says, what it is here)
        self.attached = None  # the process that a gdbserver at the port has attached to
        self.together = False  # all blocks in one shell
        self.without = None  # commands that this machine cannot run
        self.stand_in("grf-rsp", f'exec {GRF} "$@"')
        for name, text in STAND_INS.items():
            self.stand_in(name, text)
        self.stand_in("go", GO.format(python=sys.executable, go=go()), shebang="")
        # As short as may be.
        self.put("--every 30s --times 4", "--every 1s --times 2")
        self.port = free_port()
        self.put(r":2345\b", f":{self.port}")

    def stand_in(self, name, text, shebang="#!/bin/sh\n"):
        os.makedirs(f"{self.dir}/bin", exist_ok=True)
        with open(f"{self.dir}/bin/{name}", "w") as f:
            f.write(f"{shebang}{text}\n")
        os.chmod(f.name, 0o755)

    def put(self, pattern, text):
        """In the place of a pattern."""
        self.swap.append((pattern, str(text)))

    def here(self, text):
        for pattern, new in self.swap:
            text = re.sub(pattern, lambda m: m.expand(new), text)
        return text

    def app(self):
        """The demo's service, with a small leak, as ./app; for PID one that runs, under a name that no other process has."""
        exe = build("leak")
        name = f"a{os.getpid()}"
        for path in "app", name:
            shutil.copy(exe, f"{self.dir}/{path}")
        self.p = self.stack.enter_context(Prog([f"{self.dir}/{name}", "-mb", "4"], cwd=self.dir))
        self.put(r"\bPID\b", self.p.pid)
        self.put(r"(?<=-p )app\b", name)
        self.put(r"\./app &", "./app -mb 4 &")

    def core(self):
        """The core of app."""
        need("gcore")
        subprocess.run(["gcore", "-o", f"{self.dir}/g", str(self.p.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.rename(f"{self.dir}/g.{self.p.pid}", f"{self.dir}/core.1234")

    def type(self, block):
        """Types a block's commands."""
        path = f"{self.dir}/bin:{os.environ['PATH']}"
        script = ["set -e", "end() { kill $started 2>/dev/null || :; }", "trap end EXIT"]
        for command in block.commands:
            text = command.text.split("  #")[0].rstrip()
            if elsewhere(command):
                continue
            missing = [w[0] for w in simple_commands(text) if w[0] in PROGRAMS - {"cd", "exec"} and not shutil.which(w[0], path=path)]
            if missing or self.without and re.search(self.without, text):
                self.say(f"SKIPPED {command}" + "".join(f" (no {m})" for m in missing))
                continue
            text = self.here(text)
            script.append(f"echo {shlex.quote('$ ' + text)} >&2")
            port = re.search(r":(\d+)\b|-g (\d+)", text)
            port = (port[1] or port[2]) if port else ""
            if text.endswith("&"):
                script += [text[:-1] + ">$HERE/background 2>&1 &", 'started="$! $started"', f"ready $! {port}"]
                continue
            if self.attached and f"localhost:{self.port}" in text:
                script += [f"gdbserver --once --attach :{self.port} {self.attached} >$HERE/background 2>&1 &", 'started="$! $started"',
                           f"ready $! {self.port}"]
            script.append(text)
        if len(script) == 3:
            return
        env = dict(go_env(CGO_ENABLED="0"), PATH=path, HERE=self.dir, PPROF_TMPDIR=self.dir)
        r = subprocess.run(["sh", "-c", "\n".join(script)], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, errors="replace", env=env)
        check(r.returncode == 0, f"{block.commands[0].doc}: exit {r.returncode}\n{r.stdout}")


# Where each document's commands run.

def readme(p):
    p.app()
    p.core()
    p.put(r"\b23152\b", p.p.pid)
    p.stand_in("podman", f"echo {p.p.pid}")


def with_app(p):
    p.app()
    p.put("/var/lib/node_exporter", p.dir)


def containers(p):
    from containers import LIMITS, Podman, gdbserver_files, with_libraries
    exe = build("zoo")
    try:
        podman = p.stack.enter_context(Podman())
        service = podman.run(podman.program("docs", exe, "-tick"))
        files = {**gdbserver_files(), **with_libraries(**{"/bin/sh": "dash", "/bin/sleep": "sleep"}), "/app": exe}
        podman.image("base", files, None, "ENV PATH=/usr/bin:/bin")
        podman.image("debug", files, ["/app"])
    except Skip as e:
        p.without = "podman|kubectl exec|9578"
        p.say(f"SKIPPED commands in containers: {e}")
        return
    service.wait_line("^READY")
    podman.names.append("dbg")
    p.stand_in("podman", 'case $1 in build) shift; set -- build -q --build-arg BASE=localhost/base "$@";;\n'
               f'run) shift; set -- run {" ".join(LIMITS)} "$@";; esac\n'
               f'exec {need("podman")} {" ".join(podman.argv[1:])} "$@"')
    p.put("container:(s1|SERVICE)", f"container:{service.name}")
    p.put(r"NAME\b|SERVICE\b", service.name)
    p.put("DEBUGIMAGE", "localhost/debug")
    p.put(r"\b9578\b", service.pid)


def cores(p):
    p.app()
    p.core()
    p.put(r"\./exe", "./app")
    p.attached = p.p.pid


def growth(p):
    p.app()
    p.put(r"\b1234\b", p.p.pid)
    p.put(r"\./exe", "./app")
    for name in "abc":
        grf("-q", "--save-only", "-o", f"{p.dir}/{name}.core", p.p.pid)


def names(p):
    p.app()
    p.core()
    os.makedirs(f"{p.dir}/cmd")
    shutil.copytree(f"{TOP}/tests/progs/leak", f"{p.dir}/cmd/app")
    shutil.copy(f"{p.dir}/cmd/app/go.mod", p.dir)
    os.unlink(f"{p.dir}/cmd/app/go.mod")
    p.attached = p.p.pid


def page(p):
    p.app()
    p.put("output/html/test", f"{TOP}/output/html/test")


def performance(p):
    p.put("go build -o heap tests/bench/heap/main.go", f"go build -o heap {TOP}/tests/bench/heap/main.go")
    p.put(r"\./heap 1\.5", "./heap 0.02")


def qemu(p):
    shutil.copy(build("zoo", tag="-arm64", GOARCH="arm64"), f"{p.dir}/app.arm64")
    p.put(r"-g 2345 \./app\.arm64", f"-g {p.port} ./app.arm64 -tick")
    p.put(r"main\.handle:1000", "main.ticked:2")


def verdicts(p):
    p.app()
    out = grf("-v", "--why", "main.sessions", "-o", os.devnull, p.p.pid).out
    p.put("0xc000123456", re.search(r"0x[0-9a-f]{9,}", out)[0])


def walkthrough(p):
    shutil.copytree(f"{TOP}/tests/progs/leaks", f"{p.dir}/tests/progs/leaks")
    p.put(r"-p PID '\| gdbserver --once --multi -' \./leaks", r"-p $! '| gdbserver --once --multi -' ./leaks")
    p.put("MODE", "cache")
    p.put("goroutines.pprof", "cache.pprof")
    p.together = True


def recipes(p):
    from containers import static_binary
    p.app()
    p.core()
    containers(p)
    p.put("--max-stop 0.5", "--max-stop 60")
    p.put("/var/lib/node_exporter", p.dir)
    p.put("make static", f"mkdir build && cp {static_binary()} build/grf-rsp-static")
    shutil.copytree(f"{TOP}/tests/containers", f"{p.dir}/tests/containers")


PLACES = {"README.md": readme, "docs/CONTAINERS.md": containers, "docs/CORES.md": cores, "docs/EXPORTS.md": with_app,
          "docs/GROWTH.md": growth, "docs/NAMES.md": names, "docs/PAGE.md": page, "docs/PERFORMANCE.md": performance,
          "docs/QEMU.md": qemu, "docs/RECIPES.md": recipes, "docs/SQL.md": with_app, "docs/VERDICTS.md": verdicts,
          "docs/WALKTHROUGH.md": walkthrough}


def elsewhere(command):
    """The patterns of ELSEWHERE that a command matches."""
    text = command.text.split("  #")[0].rstrip()
    return [pattern for pattern in ELSEWHERE if re.match(pattern, text) or re.match(pattern, f"{command.doc}: {text}")]


def to_run(doc):
    """The blocks of a document, and one of each inline command that says on what."""
    blocks, inline, _, _ = read(doc)
    blocks += [Block(doc, [c]) for c in inline if has_target(c)]
    return [b for b in blocks if not all(elsewhere(c) for c in b.commands)]


def test_accounted():
    """Each command is known, and what it is told is right; each that is not run has a reason, and no reason is left over."""
    used, errors = set(), []
    for doc in DOCUMENTS:
        blocks, inline, targets, unknown = read(doc)
        errors += unknown
        for command in [c for b in blocks for c in b.commands] + inline:
            used.update(elsewhere(command))
            try:
                check_command(command)
            except Failure as e:
                errors.append(str(e))
        for t in targets:
            try:
                check_grf(["grf-rsp", *shlex.split(t.text)])
            except (Failure, ValueError) as e:
                errors.append(f"{t}\n    {e}")
        if not errors and to_run(doc) and doc not in PLACES:
            errors.append(f"{doc} has commands, and no place to run them: {to_run(doc)[0].commands[0]}")
    errors += [f"ELSEWHERE: no command is {pattern}" for pattern in set(ELSEWHERE) - used]
    check(not errors, "\n".join(errors))


def test_a_wrong_command_is_found():
    """What the checks are for: an option that is not there, a wrong value, target, program, variable."""
    for text, says in (("grf-rsp --forks PID", "no option --forks"), ("grf-rsp --fork=perhaps PID", "auto, force, no or seccomp"),
                       ("grf-rsp PID ./app more", "more than TARGET"), ("grf-rsp localhost: ./app", "no TARGET"),
                       ("grf-rsp -p 1 '| ssh HOST gdbsrv -'", "accounts for gdbsrv"), ("make ckeck", "no target ckeck"),
                       ("make check KK=page", "no variable KK"), ("lldb-server gdbserver", "accounts for lldb-server")):
        with pytest.raises(Failure, match=re.escape(says)):
            check_command(Command("x.md", 1, text))


@pytest.mark.parametrize("doc", DOCUMENTS)
def test_links(doc):
    """Files, pictures and headings that a document refers to are there; docs/README.md has all documents."""
    for link in links(doc):
        if re.match(r"https?://", link):
            continue
        path, _, name = link.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(doc), path)) if path else doc
        check(os.path.exists(os.path.join(TOP, path)), doc, "refers to", link)
        check(not name or name in anchors(path), doc, "refers to", link, "; there are", *sorted(anchors(path)) if name else ())
    # The table of rooms has cells that long.
    check(doc == "docs/ARCHITECTURE.md" or max(map(len, text_of(doc).split("\n"))) <= 512, doc, "has a line of over 512 characters")
    if doc.startswith("docs/") and doc != "docs/README.md":
        check(f"]({os.path.basename(doc)})" in text_of("docs/README.md"), doc, "is not in docs/README.md")


@pytest.mark.parametrize("doc", DOCUMENTS)
def test_options(doc):
    """Options that are named are ours or another program's (OTHERS)."""
    known = set(options()) | set(" ".join(OTHERS.values()).split())
    code = [line for _, lines, fence in parts(doc) if fence in ("indented", "sh", "console", "yaml") for line in lines]
    code += re.findall(r"`([^`]+)`", outside_code(doc))
    named = {o for text in code for o in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    check(named <= known, doc, "names", *sorted(named - known))


@pytest.mark.timeout(200)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("doc", [pytest.param(doc, marks=[pytest.mark.docs] + [pytest.mark.sample] * (doc == "README.md")) for doc in PLACES])
def test_runs(doc, say):
    """Each command of a document, one after the other."""
    with contextlib.ExitStack() as stack:
        place = Place(stack, say)
        PLACES[doc](place)
        blocks = to_run(doc)
        if place.together:
            blocks = [Block(doc, [c for b in blocks for c in b.commands])]
        for block in blocks:
            place.type(block)
        if place.p:
            place.p.wait_running()


@pytest.mark.docs
@pytest.mark.timeout(600)
@pytest.mark.needs("gdbserver")
def test_demo():
    """README's screen is what the demo prints, but for figures."""
    r = subprocess.run(["sh", f"{TOP}/tests/e2e/demo.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=dict(os.environ, OBJDIR=OBJDIR))
    check(r.returncode == 0, r.stdout)

    def words(text):
        return {tuple(re.findall(r"[a-z][\w.]+", l, re.I)[:3]) for l in text.split("\n") if re.match(r"([a-z]|  [ 0-9.]{4})", l)}
    screen = re.search(r"^    (process  .*?^    next  .*?)$", text_of("README.md"), re.M | re.S)[1].replace("\n    ", "\n")
    missing = words(screen) - words(r.stdout)
    check(len(missing) <= 2 and "main.sessions keeps" in r.stdout, "README has, and the demo does not print:", missing, r.stdout)
