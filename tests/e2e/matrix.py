"""Cells of the big matrices: all are collected, and markers say who runs which."""

import pytest

from lib import RELEASES, minor


def cell(*values, id, mark, every=True, sample=False, more=()):
    """A set of parameters, or None if it is in neither.

    every: the make target of the matrix runs it (marker `mark`); sample: `make check` does (marker `sample`).
    """
    marks = [*([getattr(pytest.mark, mark)] if every else []), *([pytest.mark.sample] if sample else []), *more]
    return pytest.param(*values, id=id, marks=marks) if every or sample else None


def releases(sample, only=None):
    """A parameter `version`: every release (or those of the minor releases named), and the sample's."""
    every = [v for v in RELEASES if not only or minor(v) in only.split()]
    return [cell(v, id=f"go{v}", mark="releases", every=v in every, sample=v in sample)
            for v in dict.fromkeys([*every, *sample])]
