"""How the tests run: each in a process of its own (e2e/apart.py), what they build once a run (e2e/lib.py, once()), the unit
tests' programs among them, skips and figures told at the end. README.md here says how to run them.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

pytest.register_assert_rewrite("containers", "exactness", "guest", "stubs")

import lib  # noqa: E402
from apart import limit, pytest_runtest_protocol, set_timeouts  # noqa: E402, F401

# How the rows of a table get into docs/SUPPORT.md.
TABLES = {"releases.tsv": "python3 tests/tools/support.py {}", "arch.tsv": "python3 tests/tools/support.py --arch {}"}


def pytest_addoption(parser):
    parser.addoption("--tables", action="store_true", help="write the rows of docs/SUPPORT.md's tables to $OBJDIR")


def pytest_configure(config):
    with contextlib.suppress(ValueError):  # a worker's thread
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
    if not hasattr(config, "workerinput"):  # the one that starts the workers
        config.run_directory = os.environ["GRF_TESTS_RUN"] = tempfile.mkdtemp(prefix="grf-rsp-tests.")
        config.pluginmanager.register(Figures(config), "figures")


def pytest_unconfigure(config):
    if hasattr(config, "run_directory"):
        shutil.rmtree(config.run_directory, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """What may take long begins first, or one processor would have nothing to do at the end. Of a unit tests' program the
    first test runs it, and the others would wait for that."""
    set_timeouts(items)
    seen = set()

    def key(item):
        first = isinstance(item, UnitTest) and item.path not in seen
        seen.add(item.path)
        return not first, -limit(item)

    items.sort(key=key)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        for command in marker.args:
            lib.need(command)


# Unit tests: tests/unit/test_*.c, each a program of many tests.

def pytest_collect_file(file_path, parent):
    if file_path.match("tests/unit/test_*.c"):
        return UnitFile.from_parent(parent, path=file_path)
    return None


class UnitFile(pytest.File):
    def collect(self):
        text = re.sub(r"^#define.*", "", self.path.read_text(), flags=re.M)
        self.names = re.findall(r"\b(?:cmocka_unit_test\w*|TEST)\((\w+)", text)
        return [UnitTest.from_parent(self, name=name) for name in self.names]


class UnitTest(pytest.Item):
    """One of a program's tests. The program runs once, for the first of them that is asked for."""

    def __init__(self, **kw):
        super().__init__(**kw)
        self.add_marker(pytest.mark.quick)
        self.add_marker(pytest.mark.timeout(300))

    def runtest(self):
        program = os.path.join(lib.OBJDIR, "tests/unit", self.path.stem)
        lib.check(os.path.exists(program), f"{program} is not built: make check-quick builds it")

        def run():
            p = subprocess.run([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            return f"{p.returncode}\n{p.stdout.decode(errors='replace')}"

        status, _, text = lib.once(f"unit {self.path.stem}", run).partition("\n")
        ended = {name: how for how, name in re.findall(r"^\[ +(OK|SKIPPED|FAILED) +\] (\S+)$", text, re.M)}
        strangers = set(re.findall(r"^\[ RUN +\] (\S+)", text, re.M)) - set(self.parent.names)
        lib.check(not strangers, f"{self.path.name} does not look as if it had", *strangers)
        if ended.get(self.name) == "SKIPPED":
            pytest.skip("by the test itself")
        # A bad status that no test accounts for is everyone's.
        lib.check(ended.get(self.name) == "OK" and (status == "0" or "FAILED" in ended.values()), f"exit status {status}\n{text}")

    def repr_failure(self, excinfo):
        return str(excinfo.value) if excinfo.errisinstance(lib.Failure) else super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, None, self.name


# Programs and stubs.  Those of other kinds are started by the tests (lib.py, stubs.py, guest.py).

@pytest.fixture
def podman():
    """Containers, which end with the test; a loud skip where there can be none."""
    from containers import Podman
    with Podman() as p:
        yield p


@pytest.fixture
def zoo():
    """A running zoo, which does nothing until it is asked."""
    with lib.start_zoo() as p:
        yield p


@pytest.fixture
def ticking():
    """A running zoo that adds up its payloads all the time, and says so."""
    with lib.start_zoo("-tick") as p:
        yield p


@pytest.fixture
def stub():
    """A gdbserver that attaches to what it is told to."""
    with lib.multi() as g:
        yield g


# Figures: what the tests measured, and the rows of docs/SUPPORT.md's tables.

@pytest.fixture
def say(request):
    """say(line): a line for the end of the run."""
    return lambda line: request.node.user_properties.append(("say", line))


@pytest.fixture
def leave(request):
    """leave(table, cell...): a row of one of docs/SUPPORT.md's tables."""
    order = request.session.items.index(request.node)

    def add(table, *cells):
        request.node.user_properties.append(("leave", (order, table, "\t".join(map(str, cells)))))
    return add


@pytest.fixture
def release_row(say, leave):
    """What was measured of a build of a release."""
    def row(version, build, heap, held, promised, **t):
        unnamed = 100 * t["unnamed_bytes"] / t["live_bytes"]
        say(f"go{version} {build}: live {t['live_bytes']} of {t['allocated_bytes']} bytes (HeapAlloc {heap}), "
            f"{held}/{promised} payloads, unnamed {unnamed:.3f} %")
        leave("releases.tsv", version, build, t["live_bytes"], t["allocated_bytes"], heap, held, promised, f"{unnamed:.3f}")
    return row


class Figures:
    """Collects what say() and leave() were given, from all workers."""

    def __init__(self, config):
        self.config, self.lines, self.rows = config, [], []

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            self.lines += [value for key, value in report.user_properties if key == "say"]
            self.rows += [value for key, value in report.user_properties if key == "leave"]

    def pytest_sessionfinish(self, session):
        # Where everything was skipped nothing is shown to work.
        reporter = session.config.pluginmanager.getplugin("terminalreporter")
        if session.exitstatus == 0 and not session.config.option.collectonly and not reporter.stats.get("passed"):
            session.exitstatus = 1

    def pytest_terminal_summary(self, terminalreporter):
        skipped = terminalreporter.stats.get("skipped")
        if skipped:
            terminalreporter.section("skipped")
            for report in skipped:
                terminalreporter.write_line(f"SKIPPED {report.nodeid}: {report.longrepr[2].removeprefix('Skipped: ')}")
        if self.lines:
            terminalreporter.section("measured")
            for line in self.lines:
                terminalreporter.write_line(line)
        tables = {}
        for _, table, row in sorted(self.rows, key=lambda r: r[0]) if self.config.option.tables else []:
            tables.setdefault(table, []).append(row)
        for table, rows in tables.items():
            path = os.path.join(lib.OBJDIR, table)
            with open(path, "w") as f:
                f.writelines(row + "\n" for row in rows)
            path = os.path.relpath(path)
            terminalreporter.section(f"{len(rows)} rows in {path}")
            terminalreporter.write_line(f"{TABLES[table].format(path)} makes docs/SUPPORT.md's table of it"
                                        if table in TABLES else "\n".join(rows))
