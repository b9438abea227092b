"""Reads docs/cookbook.md: each recipe's rows, labels, and who sees what. Knows nothing of how ragward decides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "cookbook.md"
TODAY = "2026-06-01"
_HEAD = re.compile(r"^## (\d+)\. (.+)$", re.MULTILINE)
_FENCE = re.compile(r"```csv( refused)?\n(.*?)```", re.DOTALL)
_WHAT = re.compile(
    r"(?P<reads>reads)(?: on (?P<day>\d{4}-\d\d-\d\d))?"
    r"|shows (?P<shown>[A-Z_]+)(?: for (?P<purpose>[a-z]+))?"
    r"|(?P<act>[a-z]+:[a-z]+)"
)
_COLUMNS = {
    "document": {
        "document",
        "tenant",
        "corpus",
        "level",
        "compartments",
        "granted",
        "denied",
        "valid",
    },
    "application": {"application", "corpora", "ceiling"},
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One cell: who asks what about which document, and what the page says of it."""

    who: str
    what: str
    document: str
    says: bool

    @property
    def parsed(self) -> dict[str, str | None]:
        """The parts of `what`. Raises ValueError for what no reader would understand."""
        found = _WHAT.fullmatch(self.what)
        if found is None:
            raise ValueError(f"what is {self.what!r}?")
        return found.groupdict()

    @property
    def now(self) -> int:
        return seconds(self.parsed["day"] or TODAY)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One section."""

    number: int
    title: str
    question: str
    story: str
    policy: str
    refused: tuple[str, ...]
    documents: dict[str, dict[str, str]]
    applications: dict[str, dict[str, str]] = field(default_factory=dict)
    cells: tuple[Asked, ...]

    def lines(self) -> list[list[str]]:
        """The policy's lines as plain fields, split at commas."""
        return [
            [part.strip() for part in line.split(",")]
            for line in self.policy.splitlines()
            if line.strip()
        ]


def seconds(day: str) -> int:
    """Midnight UTC."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def window(valid: str) -> tuple[int | None, int | None]:
    """`from DAY`, `until DAY`, `DAY to DAY`, or nothing."""
    if not valid:
        return None, None
    word, _, day = valid.partition(" ")
    if word == "from":
        return seconds(day), None
    if word == "until":
        return None, seconds(day)
    begin, _, end = valid.partition(" to ")
    return seconds(begin), seconds(end)


def listed(cell: str) -> frozenset[str]:
    """A cell with names, separated by commas."""
    return frozenset(name.strip() for name in cell.split(",") if name.strip())


def load(text: str) -> list[Recipe]:
    """All recipes of a page."""
    heads = list(_HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    return [_recipe(head, text[head.end() : end]) for head, end in zip(heads, ends, strict=True)]


def _recipe(head, body):
    blocks = _FENCE.findall(body)
    (policy,) = [text for refused, text in blocks if not refused]
    tables = {rows[0][0]: rows for rows in _tables(_FENCE.sub("", body))}
    if unknown := tables.keys() - {"document", "application", "who"}:
        raise ValueError(f"{head[1]}: a table of {unknown}")
    question = re.search(r"\*\*Question:\*\* (.+\?)\n", body)
    return Recipe(
        number=int(head[1]),
        title=head[2],
        question=question[1] if question else "",
        story=body.strip().partition("\n\n")[0],
        policy=policy,
        refused=tuple(text for refused, text in blocks if refused),
        documents=_named(tables["document"]),
        applications=_named(tables["application"]) if "application" in tables else {},
        cells=tuple(_cells(tables["who"])),
    )


def _tables(body):
    """Every Markdown table: its rows without the ruled line."""
    for block in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()]
        if any(len(row) != len(rows[0]) for row in rows):
            raise ValueError(f"a ragged table: {rows[0]}")
        yield [rows[0], *rows[2:]]


def _named(rows):
    head, *body = rows
    if unknown := set(head) - _COLUMNS[head[0]]:
        raise ValueError(f"columns {unknown}")
    found = {row[0]: dict(zip(head, row, strict=True)) for row in body}
    if len(found) != len(body):
        raise ValueError("a name twice")
    return found


def _cells(rows):
    head, *body = rows
    if head[:2] != ["who", "what"]:
        raise ValueError(f"columns {head}")
    for who, what, *cells in body:
        for document, cell in zip(head[2:], cells, strict=True):
            if cell not in ("yes", "no"):
                raise ValueError(f"{who} {what} {document}: {cell!r}")
            yield Asked(who=who, what=what, document=document, says=cell == "yes")
