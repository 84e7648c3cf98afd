"""The source tree's own rules."""

import os
import subprocess

import pytest

from lib import *


@pytest.mark.timeout(300)
def test_layers():
    """Includes go downwards only; every header compiles alone."""
    r = subprocess.run(["sh", os.path.join(TOP, "tests/check_layers.sh")], env=dict(os.environ, OBJDIR=OBJDIR),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(r.returncode == 0, r.stdout)
