"""Calls a loader that another distribution brought, in a process that reads nothing else: it can only spoil its own file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from ragward.adapters.extraction.limits import (
    Extracted,
    RefusedFileError,
    hidden_pieces,
    kept_properties,
)
from ragward.domain.corpus import ExtractedText
from ragward.domain.errors import InvalidRequestError


def loader_from(place: str, target: str) -> Callable[[str, bytes], Extracted]:
    """What reads a file by the plug-in `module:attribute` that lies in `place`. Whatever it does wrong is `document.loader`."""

    def read(filename: str, data: bytes) -> Extracted:
        try:
            return _checked(_made(place, target).load(filename, data))
        except InvalidRequestError as refused:
            raise RefusedFileError(refused.code) from None
        except (RefusedFileError, MemoryError):
            raise
        except BaseException:  # noqa: BLE001 - it may raise anything, SystemExit included
            raise RefusedFileError("document.loader") from None

    return read


def _made(place: str, target: str) -> Any:
    if place not in sys.path:
        sys.path.append(place)  # behind everything: it replaces no module of ours
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)()


def _checked(found: object) -> Extracted:
    if not isinstance(found, ExtractedText):
        raise TypeError
    return Extracted(
        text=found.text,
        media_type=found.media_type,
        title=found.title[:200],
        hidden=hidden_pieces(found.hidden),
        warnings=[warning[:500] for warning in found.warnings[:20]],
        properties=kept_properties(found.properties.items()),
    )
