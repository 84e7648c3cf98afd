"""The source tree's own rules."""

import os
import subprocess

import pytest

from lib import *


def run(*argv):
    r = subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(r.returncode == 0, r.stdout)


@pytest.mark.timeout(300)
def test_source():
    """Layers, headers alone, circles, heads, widths, lengths."""
    run("python3", "tests/check_source.py", OBJDIR)


@pytest.mark.timeout(120)
@pytest.mark.needs("clang-format-14", "git")
def test_format():
    """clang-format has nothing to change."""
    files = subprocess.run(["git", "ls-files", "*.c", "*.h"], cwd=TOP, stdout=subprocess.PIPE, text=True).stdout.split()
    if not files:
        pytest.skip("no git checkout")
    run("clang-format-14", "--dry-run", "-Werror", *files)


@pytest.mark.timeout(300)
@pytest.mark.needs("cppcheck")
def test_lint():
    """cppcheck finds nothing that is not explained."""
    run("make", "lint")
