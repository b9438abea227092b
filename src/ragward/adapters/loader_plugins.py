"""Loaders of other formats, brought by other distributions as entry points of the group `ragward.loaders`.

An entry point is named after the suffix it reads, without the dot, and leads to a class of the protocol `ports.Loader`. Only
what the settings name is used, by suffix and distribution. Nothing of a plug-in is imported here: its metadata is read, and
the parser process gets to know where its module lies.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ragward.domain.errors import ConfigurationError

GROUP: Final = "ragward.loaders"
#: What ragward reads by itself; nobody else reads it for ragward.
BUILT_IN: Final = frozenset(
    {
        *("", ".txt", ".md", ".markdown", ".rst", ".log", ".html", ".htm", ".xhtml", ".pdf"),
        *(".docx", ".xlsx", ".pptx", ".eml", ".csv", ".json", ".jsonl", ".ipynb", ".zip"),
    }
)
_SUFFIX: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderPlugin:
    """A loader that may be used: what reads it, and where that lies."""

    suffix: str
    """With its dot."""
    target: str
    """`module:attribute`."""
    place: str
    """The directory to import it from."""
    name: str
    """Distribution and version, for the evidence."""


def find_loaders(wanted: Mapping[str, str]) -> dict[str, LoaderPlugin]:
    """The loaders that settings name, SUFFIX = DISTRIBUTION, by suffix with its dot.

    Raises `config.invalid` for a suffix that is built in, and for a distribution that is not there or does not bring it.
    """
    return {f".{suffix}": _found(suffix, wanted[suffix]) for suffix in sorted(wanted)}


def _found(suffix: str, distribution: str) -> LoaderPlugin:
    if not _SUFFIX.fullmatch(suffix):
        raise ConfigurationError(f"loaders: {suffix!r} is no suffix without its dot")
    if f".{suffix}" in BUILT_IN:
        raise ConfigurationError(f"loaders: .{suffix} is built in and cannot be replaced")
    try:
        found = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise ConfigurationError(f"loaders: {distribution!r} is not installed") from None
    points = [p for p in found.entry_points if p.group == GROUP and p.name == suffix]
    if len(points) != 1:
        raise ConfigurationError(f"loaders: {distribution!r} brings no loader of .{suffix}")
    return LoaderPlugin(
        suffix=f".{suffix}",
        target=points[0].value,
        place=str(found.locate_file("")),
        name=f"{distribution} {found.version}",
    )
