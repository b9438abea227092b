"""A policy as Casbin's CSV: `p, sub, act, ...` and `g, member, group`, one row a line, `#` begins a comment line.

What is written here is read by pycasbin's own file adapter, which splits at commas outside of brackets and knows no quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ragward.domain.errors import InvalidRequestError
from ragward.domain.policy import Membership, PolicyRow


@dataclass(frozen=True, slots=True)
class PolicyLine:
    """One line as it stands: its number, `p` or `g` (or something wrong), and the fields after it."""

    number: int
    kind: str
    fields: tuple[str, ...]

    def parsed(self) -> PolicyRow | Membership:
        """The row or membership. Raises `policy.invalid`, `principal.invalid`, `label.invalid`."""
        if self.kind == "p":
            return PolicyRow.from_fields(self.fields)
        if self.kind == "g":
            return Membership.from_fields(self.fields)
        raise InvalidRequestError(f"{self.kind!r} is neither p nor g", code="policy.invalid")


def split_csv(lines: Iterable[str]) -> Iterator[PolicyLine]:
    """The lines that are neither empty nor comments. Raises `policy.invalid` for what is not CSV."""
    reader = csv.reader(lines, skipinitialspace=True)
    try:
        for fields in reader:
            values = tuple(value.strip(" \t") for value in fields)
            if any(values) and not values[0].startswith("#"):
                yield PolicyLine(reader.line_num, values[0], values[1:])
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            f"line {reader.line_num}: not CSV in UTF-8: {type(error).__name__}",
            code="policy.invalid",
        ) from error


def read_csv(lines: Iterable[str]) -> tuple[tuple[PolicyRow, ...], tuple[Membership, ...]]:
    """(rows, memberships) in the order of the lines. Raises `policy.invalid` with the line's number."""
    rows: list[PolicyRow] = []
    memberships: list[Membership] = []
    for line in split_csv(lines):
        try:
            parsed = line.parsed()
        except InvalidRequestError as error:
            raise InvalidRequestError(
                f"line {line.number}: {error.detail}", code="policy.invalid"
            ) from error
        if isinstance(parsed, PolicyRow):
            rows.append(parsed)
        else:
            memberships.append(parsed)
    return tuple(rows), tuple(memberships)


def write_csv(rows: Iterable[PolicyRow], memberships: Iterable[Membership]) -> str:
    """The lines. Raises `policy.invalid` for a name whose brackets would make Casbin split the line elsewhere."""
    lines = [*map(line_of, rows), *map(line_of, memberships)]
    for line in lines:
        for field in line.split(", "):
            if not _is_closed(field):
                raise InvalidRequestError(
                    f"{field!r} cannot be written as Casbin CSV: its brackets do not close",
                    code="policy.invalid",
                )
    return "".join(f"{line}\n" for line in lines)


def line_of(item: PolicyRow | Membership) -> str:
    """One row or membership, as people read and write it."""
    if isinstance(item, PolicyRow):
        return ", ".join(("p", *item.fields()))
    return f"g, {item.member}, {item.group}"


def _is_closed(field: str) -> bool:
    depth = 0
    for character in field:
        depth += (character in "([") - (character in ")]")
        if depth < 0:
            return False
    return depth == 0
