"""Documents in a directory, by a JSONL manifest or as they lie: names, bytes, and the label their source claims."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import InvalidRequestError
from ragward.domain.jobs import JobItem
from ragward.domain.labels import AccessLabel, Classification

_MAX_LINE: Final = 64 * 1024
_MAX_FILE: Final = 64 * 2**20
_FIELDS: Final = frozenset(
    {
        "uri",
        "corpus",
        "classification",
        "compartments",
        "granted",
        "denied",
        "valid_from",
        "valid_until",
        "metadata",
    }
)
#: What a document is taken for when nobody says: a person can lower it.
UNCLASSIFIED: Final = Classification.CONFIDENTIAL


def manifest_items(manifest: Path, tenant: str) -> list[JobItem]:
    """One item per line of the manifest; a bad line is an item that fails with its code and line number."""
    root = manifest.parent.resolve()
    seen: set[tuple[str, str]] = set()
    items = []
    with manifest.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                items.append(_item(line, number, root, tenant, seen))
    return items


def directory_items(
    directory: Path, tenant: str, *, corpus: str, granted: Collection[str]
) -> list[JobItem]:
    """Every regular file below a directory, readable by `granted`, unclassified."""
    root = directory.resolve()
    label = AccessLabel(
        tenant=tenant, corpus=corpus, classification=UNCLASSIFIED, granted=frozenset(granted)
    )
    items = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(p.startswith(".") for p in name.split("/"))
        ):
            items.append(JobItem(source=name, load=_loader(name, path, label, {})))
    return items


def file_item(path: Path, label: AccessLabel) -> JobItem:
    """One file, by its path as it was given."""
    source = path.as_posix()
    return JobItem(source=source, load=_loader(source, path, label, {}))


def _item(line: str, number: int, root: Path, tenant: str, seen: set[tuple[str, str]]) -> JobItem:
    try:
        entry = _entry(line)
        label = _label(entry, tenant)
        path = _inside(root, entry["uri"])
        if (label.corpus, entry["uri"]) in seen:
            raise InvalidRequestError(
                "this corpus and uri were listed before", code="manifest.invalid"
            )
        seen.add((label.corpus, entry["uri"]))
    except InvalidRequestError as error:
        return JobItem(
            source=f"line {number}",
            load=_failing(InvalidRequestError(f"line {number}: {error.detail}", code=error.code)),
        )
    return JobItem(
        source=entry["uri"], load=_loader(entry["uri"], path, label, entry.get("metadata") or {})
    )


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line, object_pairs_hook=_once_each) if len(line) <= _MAX_LINE else None
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise InvalidRequestError(
            "not a JSON object with every field once", code="manifest.invalid"
        )
    unknown = entry.keys() - _FIELDS
    if unknown or not isinstance(entry.get("uri"), str) or not isinstance(entry.get("corpus"), str):
        raise InvalidRequestError(
            "needs uri and corpus, and knows no other field than the schema's",
            code="manifest.invalid",
        )
    metadata = entry.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidRequestError("metadata is an object", code="manifest.invalid")
    return entry


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers of JSON differ in which of two equal keys counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _label(entry: Mapping[str, Any], tenant: str) -> AccessLabel:
    level = entry.get("classification")
    if level is not None and not isinstance(level, str):
        raise InvalidRequestError(code="label.unknown_classification")
    return AccessLabel(
        tenant=tenant,
        corpus=entry["corpus"],
        classification=Classification.parse(level) if level is not None else UNCLASSIFIED,
        compartments=_names(entry, "compartments"),
        granted=_names(entry, "granted"),
        denied=_names(entry, "denied"),
        valid_from=_seconds(entry.get("valid_from")),
        valid_until=_seconds(entry.get("valid_until")),
    )


def _names(entry: Mapping[str, Any], field: str) -> frozenset[str]:
    values = entry.get(field)
    if values is None:
        return frozenset()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequestError(f"{field} is a list of names", code="manifest.invalid")
    return frozenset(values)


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidRequestError("times are RFC 3339", code="manifest.invalid") from None
    if moment.tzinfo is None:
        raise InvalidRequestError("times carry an offset", code="manifest.invalid")
    return int(moment.timestamp())


def _inside(root: Path, uri: str) -> Path:
    path = (root / uri).resolve()
    if uri.startswith("/") or not path.is_relative_to(root):
        raise InvalidRequestError("uri leaves the manifest's directory", code="manifest.invalid")
    return path


def _loader(
    source: str, path: Path, label: AccessLabel, attributes: Mapping[str, Any]
) -> Callable[[], SourceDocument]:
    def load() -> SourceDocument:
        return SourceDocument(
            source=source,
            filename=path.name,
            data=_bytes(path),
            label=label,
            attributes=dict(attributes),
        )

    return load


def _failing(error: InvalidRequestError) -> Callable[[], SourceDocument]:
    def load() -> SourceDocument:
        raise error

    return load


def _bytes(path: Path) -> bytes:
    """A regular file's bytes; links and devices are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise InvalidRequestError("the file cannot be opened", code="document.unreadable") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidRequestError("not a regular file", code="document.unreadable")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(_MAX_FILE + 1)
    except OSError:
        raise InvalidRequestError("the file cannot be read", code="document.unreadable") from None
    finally:
        os.close(descriptor)
    if len(data) > _MAX_FILE:
        raise InvalidRequestError(code="document.too_large")
    return data
