"""presidio, imported without the libraries of models that nothing here asks it for.

spaCy, thinc and presidio import torch and transformers wherever they are installed, and do without them where they are not. With
them the first answer of a process waits seconds longer and the process holds 400 MB more (docs/performance.md); they are
installed for embedding models of other architectures only.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Final

_LEFT_OUT: Final = frozenset({"torch", "transformers"})
_PACKAGES: Final = ("presidio_analyzer", "presidio_anonymizer.operators")


def import_presidio(*, with_models: bool = False) -> None:
    """Imports it; `with_models` also for engines that run models of their own. What a process imports first holds for it."""
    if with_models:
        _import()
    else:
        with _left_out():
            _import()


def _import() -> None:
    for name in _PACKAGES:
        import_module(name)


class _Absent(MetaPathFinder):
    """Says of some packages that they are not installed, to one thread: others import what they like meanwhile."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the signature of the protocol
        target: ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> None:
        if threading.get_ident() == self._thread and fullname.partition(".")[0] in _LEFT_OUT:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextmanager
def _left_out() -> Iterator[None]:
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)
