"""Names beyond goref's: generic instances, inlined functions' locals, spilled slots, closures."""

import pytest

from exactness import exact_process
from lib import *
from matrix import releases


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", releases(["1.21.13", GO_VERSION], only=" ".join(f"1.{n}" for n in range(18, 100))))
def test_names(version):
    """Releases since 1.18: generics."""
    p = Prog([build("names", version)])
    exact_process(p, p.exe)
