"""Frameworks that are installed by `make prove` only: a test of one is skipped without it, and fails there."""

from __future__ import annotations

import importlib

import pytest

from tests.conftest import PROVE


def framework(module):
    """The module of a framework, or of our adapter for it."""
    if PROVE:
        return importlib.import_module(module)
    return pytest.importorskip(module, exc_type=ImportError, reason="run `make prove`")
