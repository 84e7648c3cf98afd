"""The command line."""

from lib import *


def test_help_and_version():
    r = grf("--help")
    for word in "TARGET", "EXE", "--max-depth", "--timeout", "--force", "HOST:PORT", "unix:", "-o", "-p", "-v", "-q":
        check(word in r.out, f"nothing about {word}:", r)
    check(r.err == "", r)
    r = grf("--version")
    check(r.out.startswith("grf-rsp ") and r.out.count("\n") == 1, r)


def test_usage_errors():
    for args in ([], ["--no-such-option", "x:1"], ["-o"], ["x:1", "exe", "more"], ["--max-depth", "x", "x:1"],
                 ["--max-depth", "0", "x:1"], ["--max-depth=-3", "x:1"], ["-p", "0", "x:1"],
                 ["-p", "12x", "x:1"], ["--timeout", "x", "x:1"], ["--timeout", "-1", "x:1"],
                 ["nonsense"], ["localhost:99999"], ["localhost:"], [":x"], ["unix:"], ["|"], ["[::1"]):
        r = grf(*args, rc=2)
        check(r.err.startswith("grf-rsp: ") or "Usage" in r.err, "says nothing:", r)
        check(r.out == "", r)


def test_options_after_arguments():
    r = grf(f"localhost:{free_port()}", build("zoo"), "--timeout", "1", "-q", rc=1)
    check("refused" in r.err, r)
