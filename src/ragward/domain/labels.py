"""What a decision may depend on: classification, principals, and the access label they form."""

from __future__ import annotations

import hashlib
import re
import struct
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from typing import Final

from ragward.domain.errors import InvalidRequestError

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PRINCIPAL: Final = re.compile(
    r"(user|group|role|app|agent|compartment):([a-z0-9][a-z0-9._-]{0,62})/([^\s,\"'/\\]{1,200})"
)

#: Controls, format characters, halves of surrogate pairs, private use and unassigned.
_UNPRINTABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
#: Letters, marks and symbols that show nothing: default-ignorable code points of other categories, and blank Braille.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class Classification(IntEnum):
    """How sensitive a document is; the order is the meaning."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    RESTRICTED = 3

    @classmethod
    def parse(cls, text: str) -> Classification:
        """The classification named `text` (case-sensitive). Raises `label.unknown_classification`."""
        try:
            return cls[text]
        except KeyError:
            raise InvalidRequestError(
                f"{text!r} is not one of {', '.join(cls.__members__)}",
                code="label.unknown_classification",
            ) from None


def join(levels: Iterable[Classification]) -> Classification:
    """The least upper bound; of nothing it is RESTRICTED, because what nobody classified is not known to be less."""
    return max(levels, default=Classification.RESTRICTED)


def require_name(text: str, what: str) -> str:
    """`text` if it may name a tenant, corpus or compartment. Raises `label.invalid`."""
    if not _NAME.fullmatch(text):
        raise InvalidRequestError(
            f"{what} {text!r} must match {_NAME.pattern}", code="label.invalid"
        )
    return text


@lru_cache(maxsize=1 << 16)  # a policy names the same few thousand again and again
def require_principal(text: str) -> str:
    """`text` if it is `kind:tenant/id` in Unicode form NFKC. Raises `principal.invalid`.

    Look-alikes are refused rather than folded: a name that normalises to another one is not that other one.
    """
    if not _PRINCIPAL.fullmatch(text) or unicodedata.normalize("NFKC", text) != text:
        raise InvalidRequestError(
            f"{text!r} is not kind:tenant/id with kind one of user, group, role, app, agent, compartment",
            code="principal.invalid",
        )
    if _BLANK.search(text) or any(unicodedata.category(c) in _UNPRINTABLE for c in text):
        raise InvalidRequestError(
            f"{text!r} contains invisible characters", code="principal.invalid"
        )
    return text


def tenant_of(principal: str) -> str:
    """The tenant part of a valid principal."""
    return principal.partition(":")[2].partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLabel:
    """Everything about a chunk that a decision may depend on. Immutable; equal labels are one row with one id.

    `granted` empty means nobody. `valid_from` and `valid_until` are Unix seconds, half open; None means unbounded.
    """

    tenant: str
    corpus: str
    classification: Classification
    compartments: frozenset[str] = frozenset()
    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    valid_from: int | None = None
    valid_until: int | None = None
    _digest: bytes = field(default=b"", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_name(self.tenant, "tenant")
        require_name(self.corpus, "corpus")
        if not isinstance(self.classification, Classification):
            raise InvalidRequestError(code="label.unknown_classification")
        for compartment in self.compartments:
            require_name(compartment, "compartment")
        for principal in self.granted | self.denied:
            require_principal(principal)
            if tenant_of(principal) != self.tenant:
                raise InvalidRequestError(
                    f"{principal!r} is not of tenant {self.tenant!r}", code="label.invalid"
                )
        for bound in (self.valid_from, self.valid_until):
            if bound is not None and (type(bound) is not int or not -(2**53) < bound < 2**53):
                raise InvalidRequestError("validity is in whole Unix seconds", code="label.invalid")
        if (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from >= self.valid_until
        ):
            raise InvalidRequestError("valid_from must be before valid_until", code="label.invalid")

    def is_valid_at(self, now: int) -> bool:
        """Whether `now` (Unix seconds) lies within the validity window."""
        return (self.valid_from is None or self.valid_from <= now) and (
            self.valid_until is None or now < self.valid_until
        )

    def canonical(self) -> bytes:
        """One byte string per label: every field length-prefixed, sets sorted. The format of `digest`; never reorder."""
        sets = (sorted(self.compartments), sorted(self.granted), sorted(self.denied))
        out = [b"ragward.label.v1\0", _text(self.tenant), _text(self.corpus)]
        out.append(struct.pack(">B", self.classification))
        for items in sets:
            out.append(struct.pack(">I", len(items)))
            out.extend(_text(item) for item in items)
        for bound in (self.valid_from, self.valid_until):
            out.append(b"\0" if bound is None else struct.pack(">Bq", 1, bound))
        return b"".join(out)

    def digest(self) -> bytes:
        """SHA-256 of `canonical`, 32 bytes: what wrapped keys are bound to."""
        if not self._digest:  # a label never changes, and is asked for with every chunk under it
            object.__setattr__(self, "_digest", hashlib.sha256(self.canonical()).digest())
        return self._digest


#: The compartment of honey documents. No policy can clear anybody for it.
HONEY: Final = "ragward-honey"


def is_honey(label: AccessLabel) -> bool:
    """Whether what is under this label is there to be touched by nobody."""
    return HONEY in label.compartments


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """What of a label is to be different; None keeps it. `unbounded` takes both ends off its validity first."""

    classification: Classification | None = None
    compartments: frozenset[str] | None = None
    granted: frozenset[str] | None = None
    denied: frozenset[str] | None = None
    valid_from: int | None = None
    valid_until: int | None = None
    unbounded: bool = False

    def of(self, before: AccessLabel) -> AccessLabel:
        """The label afterwards. Raises `label.*`, `principal.invalid`."""
        if self.unbounded:
            before = replace(before, valid_from=None, valid_until=None)
        names = ("classification", "compartments", "granted", "denied", "valid_from", "valid_until")
        changes = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(before, **changes)


def narrowed_by(
    decided: AccessLabel, claimed_before: AccessLabel, claimed: AccessLabel
) -> AccessLabel:
    """A person's label after the source changed its claim: what the source takes away is gone, what it adds waits for a
    person. The classification stays as decided; windows that have no instant in common grant nobody."""
    granted = decided.granted - (claimed_before.granted - claimed.granted)
    begin, end = decided.valid_from, decided.valid_until
    if claimed.valid_from is not None and claimed.valid_from != claimed_before.valid_from:
        begin = claimed.valid_from if begin is None else max(begin, claimed.valid_from)
    if claimed.valid_until is not None and claimed.valid_until != claimed_before.valid_until:
        end = claimed.valid_until if end is None else min(end, claimed.valid_until)
    if begin is not None and end is not None and begin >= end:
        begin, end, granted = decided.valid_from, decided.valid_until, frozenset()
    return AccessLabel(
        tenant=decided.tenant,
        corpus=decided.corpus,
        classification=decided.classification,
        compartments=decided.compartments | (claimed.compartments - claimed_before.compartments),
        granted=granted,
        denied=decided.denied | (claimed.denied - claimed_before.denied),
        valid_from=begin,
        valid_until=end,
    )


def administrative(
    tenant: str, classification: Classification = Classification.RESTRICTED
) -> AccessLabel:
    """What an act on the tenant as a whole is decided on: a row must cover all corpora up to this level."""
    return AccessLabel(tenant=tenant, corpus="all-corpora", classification=classification)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">I", len(data)) + data
