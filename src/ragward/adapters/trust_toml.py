"""Which sources are curated, must be signed, or flood, from `policies/trust.toml`."""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ragward.domain.errors import ConfigurationError
from ragward.domain.marking import CuratedSource, SourceTrust
from ragward.domain.sources import Demands, FloodLimit, SignedSource

_TABLES: Final = frozenset({"curated", "signed", "flood"})


def load_trust(path: Path) -> SourceTrust:
    """The curated sources; without a file there are none. Raises `config.invalid`."""
    try:
        items = _document(path).get("curated", [])
        if not all(isinstance(value, str) and value for item in items for value in item.values()):
            raise ValueError("[[curated]] tables have tenant, corpus and source")
        return SourceTrust(tuple(CuratedSource(**item) for item in items))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"trust.toml: {error}") from error


def load_demands(path: Path) -> Demands:
    """What is demanded of sources; without a file nothing. Raises `config.invalid`."""
    try:
        document = _document(path)
        flood = document.get("flood")
        return Demands(
            signed=tuple(_signed(dict(table)) for table in document.get("signed", [])),
            flood=None if flood is None else FloodLimit(**flood),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"trust.toml: {error.detail}") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"trust.toml: {error}") from error


def _document(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    if document.keys() - _TABLES:
        raise ValueError("only [[curated]], [[signed]] and [flood]")
    return document


def _signed(table: dict[str, Any]) -> SignedSource:
    keys = table.pop("keys", None)
    texts = table.values()
    if not isinstance(keys, list) or not all(isinstance(text, str) and text for text in texts):
        raise ValueError("[[signed]] tables have tenant, corpus, source and a list of keys")
    try:
        public = tuple(base64.b64decode(key, validate=True) for key in keys)
    except (binascii.Error, TypeError, ValueError):
        raise ValueError("keys are in base64") from None
    return SignedSource(keys=public, **table)
