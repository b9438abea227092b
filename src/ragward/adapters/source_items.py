"""What is to be ingested from a place: the lines of a JSONL manifest, or every file; with the label their source claims."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn, Protocol

from ragward.domain.corpus import SourceDocument, SourcePlace
from ragward.domain.errors import InvalidRequestError, RagwardError
from ragward.domain.jobs import JobItem, SourceClaim
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.lineage import without_credentials
from ragward.domain.source_acl import (
    Lookup,
    NamedAccess,
    PosixStep,
    SourceAccess,
    named,
    posix_named,
    resolved,
)

MAX_FILE: Final = 64 * 2**20
MAX_LINE: Final = 1024 * 1024
_FIELDS: Final = frozenset(
    {
        "uri",
        "corpus",
        "classification",
        "compartments",
        "acl",
        "granted",
        "denied",
        "valid_from",
        "valid_until",
        "metadata",
        "signature",
    }
)
#: What a document is taken for when nobody says: a person can lower it.
UNCLASSIFIED: Final = Classification.CONFIDENTIAL


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a place by its name there, or why it is not read. `unlisted`: what lies below the name could not be seen."""

    name: str
    error: RagwardError | None = None
    unlisted: bool = False


class Place(Protocol):
    """Where documents lie. Names are relative, with `/`; none leads out of it."""

    @property
    def location(self) -> str:
        """Its URL, by which another process finds it."""

    def names(self) -> Iterable[Found]:
        """Every file, sorted; hidden ones are left out."""

    def lines(self, name: str) -> Iterator[bytes]:
        """A manifest's lines; one that is too long is cut, and cannot be read as JSON. Raises `source.invalid`."""

    def read(self, name: str) -> bytes:
        """Raises `document.*`, `unavailable.egress`."""

    def uri(self, name: str) -> str:
        """The full address of what has this name, for lineage."""

    def require_inside(self, name: str) -> None:
        """Raises `manifest.invalid` for a name that leads elsewhere."""

    def read_owned(self, name: str) -> tuple[bytes, list[PosixStep]]:
        """The same, with owners and modes on the way to that very file. Raises `source.invalid` where there are none."""

    def owned(self, name: str) -> list[PosixStep]:
        """Owners and modes alone. Raises as `read_owned`."""


def _nobody(_name: object) -> Collection[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRules:
    """How access lists of sources become principals of a tenant; as it stands, names are nobody's."""

    lookup: Lookup = _nobody
    everybody: str | None = None
    posix_principals: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def resolved(self, access: NamedAccess, tenant: str) -> SourceAccess:
        """`domain.source_acl.resolved` by these rules."""
        return resolved(access, tenant, self.lookup, self.everybody)


NO_NAMES: Final = AccessRules()


def manifest_items_of(place: Place, name: str, tenant: str, rules: AccessRules) -> list[JobItem]:
    """One item per line of the manifest; a bad line is an item that fails with its code and line number."""
    seen: set[tuple[str, str]] = set()
    return [
        _item(line, number, place, tenant, seen, rules)
        for number, line in enumerate(place.lines(name), start=1)
        if line.strip()
    ]


def folder_items_of(
    place: Place, tenant: str, *, corpus: str, granted: Collection[str], rules: AccessRules
) -> list[JobItem]:
    """Every file of a place, unclassified; readable by `granted` or, where nobody is, by whom its owner and mode let read."""
    label = AccessLabel(
        tenant=tenant, corpus=corpus, classification=UNCLASSIFIED, granted=frozenset(granted)
    )

    def owned(steps: Iterable[PosixStep]) -> SourceAccess:
        return rules.resolved(posix_named(steps, rules.posix_principals), tenant)

    def read(name: str) -> tuple[bytes, SourceAccess]:
        if granted:
            return place.read(name), SourceAccess(granted=label.granted)
        data, steps = place.read_owned(name)
        return data, owned(steps)

    def access(name: str) -> SourceAccess:
        return SourceAccess(granted=label.granted) if granted else owned(place.owned(name))

    return [
        _failing(found.name, found.error, corpus, unlisted=found.unlisted)
        if found.error is not None
        else _reading(
            found.name,
            label,
            read,
            access,
            {},
            # Bytes and mode have to be of the very same file: nobody else reads it.
            SourcePlace(location=place.location, name=found.name) if granted else None,
            place.uri,
        )
        for found in place.names()
    ]


def _item(
    line: bytes,
    number: int,
    place: Place,
    tenant: str,
    seen: set[tuple[str, str]],
    rules: AccessRules,
) -> JobItem:
    try:
        entry = _entry(line)
        label = _label(entry, tenant)
        signature = _signature(entry)
        place.require_inside(entry["uri"])
        if (label.corpus, entry["uri"]) in seen:
            raise InvalidRequestError(
                "this corpus and uri were listed before", code="manifest.invalid"
            )
        seen.add((label.corpus, entry["uri"]))
    except InvalidRequestError as error:
        told = InvalidRequestError(f"line {number}: {error.detail}", code=error.code)
        return _failing(f"line {number}", told, unlisted=True)  # nobody knows what it was to name

    def access(_name: str) -> SourceAccess:
        if "acl" in entry:
            return rules.resolved(named(entry["acl"]), tenant)
        return SourceAccess(granted=label.granted, denied=label.denied)

    def read(name: str) -> tuple[bytes, SourceAccess]:
        return place.read(name), access(name)

    at = SourcePlace(location=place.location, name=entry["uri"])
    metadata = entry.get("metadata") or {}
    return _reading(entry["uri"], label, read, access, metadata, at, place.uri, signature)


def _entry(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line, object_pairs_hook=_once_each) if len(line) <= MAX_LINE else None
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
    if "acl" in entry and {"granted", "denied"} & entry.keys():
        raise InvalidRequestError("has either acl, or granted and denied", code="manifest.invalid")
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


def _signature(entry: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(entry.get("signature") or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidRequestError("signature is base64", code="manifest.invalid") from None


def _names(entry: Mapping[str, Any], field_name: str) -> frozenset[str]:
    values = entry.get(field_name)
    if values is None:
        return frozenset()
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidRequestError(f"{field_name} is a list of names", code="manifest.invalid")
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


def _reading(
    source: str,
    label: AccessLabel,
    read: Callable[[str], tuple[bytes, SourceAccess]],
    access: Callable[[str], SourceAccess],
    attributes: Mapping[str, Any],
    place: SourcePlace | None,
    uri: Callable[[str], str],
    signature: bytes = b"",
) -> JobItem:
    """Reads the document and decides whom its access list means, both when it is its turn; or the access list alone."""

    def load() -> SourceDocument:
        data, found = read(source)
        return SourceDocument(
            source=source,
            filename=source.rpartition("/")[2],
            data=data,
            label=_with_access(label, found),
            attributes=dict(attributes),
            notes=found.notes,
            signature=signature,
            uri=without_credentials(uri(source)),
        )

    def claim() -> SourceClaim:
        found = access(source)
        address = without_credentials(uri(source))
        return SourceClaim(label=_with_access(label, found), notes=found.notes, uri=address)

    return JobItem(
        source=source,
        load=load,
        claim=claim,
        corpus=label.corpus,
        attributes=dict(attributes),
        place=place,
    )


def _with_access(label: AccessLabel, access: SourceAccess) -> AccessLabel:
    """A label with what its source's access list turned out to mean."""
    return AccessLabel(
        tenant=label.tenant,
        corpus=label.corpus,
        classification=label.classification,
        compartments=label.compartments,
        granted=access.granted,
        denied=access.denied,
        valid_from=label.valid_from,
        valid_until=label.valid_until,
    )


def _failing(
    source: str, error: RagwardError, corpus: str | None = None, *, unlisted: bool
) -> JobItem:
    def load() -> NoReturn:
        raise error

    return JobItem(source=source, load=load, claim=load, corpus=corpus, unlisted=unlisted)


def cut_lines(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Lines by a `readline(limit)`; of one that is longer than any manifest's may be, only so much is kept that it is refused."""
    while line := read(MAX_LINE + 1):
        yield line
        while line and len(line) > MAX_LINE and not line.endswith(b"\n"):
            line = read(MAX_LINE + 1)
