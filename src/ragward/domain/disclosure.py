"""How a piece of personal data may appear to somebody: shown, less exact, as a pseudonym, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from ragward.domain.errors import ConfigurationError, InvalidRequestError


class Treatment(IntEnum):
    """What somebody is shown of a value, the least first."""

    REMOVED = 0
    PSEUDONYMISED = 1
    GENERALISED = 2
    SHOWN = 3


#: The verb of the policy rows that entitle to a treatment.
VERBS: Final = {
    Treatment.SHOWN: "reveal",
    Treatment.GENERALISED: "generalise",
    Treatment.PSEUDONYMISED: "pseudonymise",
}


class Pseudonyms(StrEnum):
    """Where a type's pseudonyms come from."""

    NONE = "none"
    DERIVED = "derived"
    VAULT = "vault"


class Stale(StrEnum):
    """What to do with spans that another detector, or another version of it, found."""

    DETECT = "detect"
    WITHHOLD = "withhold"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRules:
    """One type's: whether it is looked for, how it is made less exact, where its pseudonyms come from."""

    detect: bool
    generalise: str = ""
    pseudonyms: Pseudonyms = Pseudonyms.NONE

    def offers(self, treatment: Treatment) -> bool:
        """Whether there is such a treatment of this type."""
        if treatment is Treatment.GENERALISED:
            return bool(self.generalise)
        return treatment is not Treatment.PSEUDONYMISED or self.pseudonyms is not Pseudonyms.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosureRules:
    """`policies/redaction.toml`."""

    types: Mapping[str, TypeRules]
    purposes: Mapping[str, Treatment]
    strict: bool = False

    def __post_init__(self) -> None:
        for name, rules in self.types.items():
            if rules.generalise and rules.generalise not in GENERALISATIONS:
                raise ConfigurationError(
                    f"redaction.toml: {name} cannot be generalised to {rules.generalise!r}"
                )

    def detected(self) -> frozenset[str]:
        """The types to look for."""
        return frozenset(name for name, rules in self.types.items() if rules.detect)

    def most_for(self, purpose: str) -> Treatment:
        """The most a purpose may be shown. Raises `request.invalid` for one that is not known."""
        if not purpose:
            return Treatment.SHOWN
        if purpose not in self.purposes:
            raise InvalidRequestError("the purpose is none of those this installation knows")
        return self.purposes[purpose]

    def treatment(
        self, entity_type: str, permitted: frozenset[Treatment], purpose: str
    ) -> Treatment:
        """The most of what is permitted that the purpose and the type allow; REMOVED if nothing is."""
        rules = self.types.get(entity_type)
        most = self.most_for(purpose)
        possible = [
            each for each in permitted if each <= most and rules is not None and rules.offers(each)
        ]
        return max(possible, default=Treatment.REMOVED)


# Less exact. --------------------------------------------------------------------------------------------------------

_YEAR: Final = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
_TOWN: Final = re.compile(r"[,\n]\s*(?:\d{4,6}\s+)?([^\W\d][^,\n\d]*)")


def _year(value: str) -> str | None:
    found = _YEAR.search(value)
    return found[0] if found else None


def _last_four(value: str) -> str | None:
    kept = [c for c in value if c.isalnum()]
    return f"…{''.join(kept[-4:])}" if len(kept) >= 8 else None


def _decade(value: str) -> str | None:
    return f"{int(value) // 10 * 10}s" if value.isdecimal() and len(value) <= 3 else None


def _initials(value: str) -> str | None:
    letters = [word[0].upper() for word in value.split() if word[0].isalpha()]
    return "".join(f"{letter}." for letter in letters) or None


def _town(value: str) -> str | None:
    found = _TOWN.search(value)
    return found[1].strip() if found else None


def _domain(value: str) -> str | None:
    host = value.rpartition("@")[2] if "@" in value else value.partition("://")[2].partition("/")[0]
    return host.lower() or None


def _area(value: str) -> str | None:
    parts = value.split(".")
    if len(parts) == 4:
        return f"{parts[0]}.{parts[1]}.*.*"
    return f"{value[:2]}…" if value[:2].isalnum() and len(value) >= 4 else None


#: Each makes a value less exact, or None where it cannot: then nothing of it is shown.
GENERALISATIONS: Final[Mapping[str, Callable[[str], str | None]]] = {
    "year": _year,
    "last_four": _last_four,
    "decade": _decade,
    "initials": _initials,
    "town": _town,
    "domain": _domain,
    "area": _area,
}
