"""Reads the shapes in `shapes/*.yaml`: one hostile policy, label or row each, with what a person expects of it.

`docs/conformance.md` says how a shape is written. Nothing here knows ragward beyond its plain values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

SHAPES = Path(__file__).parent / "shapes"
NOW = 1_000_000
_DECISION = {"policy", "labels", "subjects", "now", "permitted", "revealed", "acts", "degenerate"}
_KINDS = {
    "decision": _DECISION | {"repeat"},
    "policy": {"policy", "repeat", "refused"},
    "label": {"label", "refused"},
    "manifest": {"manifest", "refused"},
    "csv": {"csv", "refused"},
    "stored": {"stored", "refused"},
    "stored_label": {"stored_label", "refused"},
}
#: `<a*199>` stands for 199 times the letter a.
_RUN = re.compile(r"<(\w)\*(\d+)>")
_COMMON = {"id", "title", "why"}
_LABEL_DEFAULTS = {"tenant": "acme", "corpus": "hr", "level": "INTERNAL"}
_LABEL_FIELDS = {
    *_LABEL_DEFAULTS,
    "compartments",
    "granted",
    "denied",
    "valid_from",
    "valid_until",
}
_SUBJECT_FIELDS = {"person", "alone", "corpora", "ceiling", "agents", "application"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """One shape. `kind` says which of the fields it has."""

    theme: str
    kind: str
    id: str
    title: str
    why: str
    policy: tuple[tuple[str, ...], ...] = ()
    """Lines as Casbin writes them, split at commas: ("p", ...) and ("g", member, group)."""
    labels: dict[str, dict] = field(default_factory=dict)
    subjects: dict[str, dict] = field(default_factory=dict)
    now: int = NOW
    permitted: dict[str, list[str]] = field(default_factory=dict)
    revealed: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    acts: dict[str, list[str]] = field(default_factory=dict)
    degenerate: str = ""
    refused: str = ""
    given: object = None
    """What is refused, for kinds other than `policy`."""

    def rows(self):
        """The fields of the p lines."""
        return [line[1:] for line in self.policy if line[0] == "p"]

    def memberships(self):
        """The fields of the g lines."""
        return [line[1:] for line in self.policy if line[0] == "g"]


@cache
@cache
def load_shapes() -> list[Shape]:
    """All shapes, in the order of files and lines. Raises ValueError for anything a reader could misunderstand."""
    shapes = [shape for path in sorted(SHAPES.glob("*.yaml")) for shape in _load_file(path)]
    names = [shape.id for shape in shapes]
    if len(names) != len(set(names)):
        raise ValueError(f"ids twice: {sorted({n for n in names if names.count(n) > 1})}")
    return shapes


def _load_file(path):
    text = _RUN.sub(lambda run: run[1] * int(run[2]), path.read_text(encoding="utf-8"))
    document = yaml.load(text, Loader=_StrictLoader)
    return [_shape(path.stem, entry) for entry in document]


def _shape(theme, entry):
    where = f"{theme}: {entry.get('id')}"
    kind = next(
        (k for k in ("label", "manifest", "csv", "stored", "stored_label") if k in entry), ""
    )
    kind = kind or ("policy" if "refused" in entry else "decision")
    fields = set(entry) - _COMMON
    if set(entry) & _COMMON != _COMMON or not fields <= _KINDS[kind]:
        raise ValueError(f"{where}: a {kind} shape cannot have exactly {sorted(entry)}")
    if kind != "decision" and "refused" not in entry:
        raise ValueError(f"{where}: says not how it is refused")
    repeat = entry.get("repeat") or {}
    labels = (entry.get("labels") or {}) | dict(_repeated_labels(repeat.get("labels") or []))
    shape = Shape(
        theme=theme,
        kind=kind,
        id=entry["id"],
        title=entry["title"],
        why=entry["why"],
        policy=_lines(entry.get("policy", "")) + _repeated_lines(repeat.get("policy") or []),
        labels={name: _LABEL_DEFAULTS | _listed(given) for name, given in labels.items()},
        subjects=entry.get("subjects") or {},
        now=entry.get("now", NOW),
        permitted=entry.get("permitted") or {},
        revealed=entry.get("revealed") or {},
        acts=entry.get("acts") or {},
        degenerate=entry.get("degenerate", ""),
        refused=entry.get("refused", ""),
        given=entry.get(kind) if kind not in ("decision", "policy") else None,
    )
    _require_sense(where, shape)
    return shape


def _require_sense(where, shape):
    """A name that is misspelt would make an expectation vacuous."""
    for name, label in shape.labels.items():
        if not set(label) <= _LABEL_FIELDS:
            raise ValueError(f"{where}: label {name} has {sorted(label)}")
    for name, subject in shape.subjects.items():
        if not set(subject) <= _SUBJECT_FIELDS or name not in shape.permitted:
            raise ValueError(f"{where}: subject {name}")
    for asker in shape.permitted:
        if ":" not in asker and asker not in shape.subjects:
            raise ValueError(f"{where}: who is {asker}?")
    named = [name for names in (*shape.permitted.values(), *shape.acts.values()) for name in names]
    named += [name for shown in shape.revealed.values() for name in shown]
    if unknown := set(named) - set(shape.labels):
        raise ValueError(f"{where}: no label {sorted(unknown)}")
    if shape.kind == "decision" and not (shape.permitted or shape.acts):
        raise ValueError(f"{where}: expects nothing")
    if unknown := set(shape.revealed) - set(shape.permitted):
        raise ValueError(f"{where}: reveals to {sorted(unknown)}")


def _lines(given):
    """A block of lines, or a list of them where a line holds characters that a block cannot show."""
    lines = given.split("\n") if isinstance(given, str) else given
    return tuple(
        tuple(part.strip(" ") for part in line.strip(" ").split(","))
        for line in lines
        if line.strip(" ")
    )


def _repeated_lines(items):
    """`{count: 3, from: 0, line: "g, user:acme/ann, group:acme/g{n}"}`; `{m}` is the number before `{n}`."""
    return tuple(
        line
        for item in items
        for n in _numbers(item)
        for line in _lines(item["line"].replace("{n}", str(n)).replace("{m}", str(n - 1)))
    )


def _repeated_labels(items):
    for item in items:
        for n in _numbers(item):
            given = {
                key: [part.replace("{n}", str(n)) for part in value]
                if isinstance(value, list)
                else value
                for key, value in item["label"].items()
            }
            yield item["name"].replace("{n}", str(n)), given


def _listed(given):
    """`{count: 1000, each: "group:acme/g{n}"}` is a list."""
    return {
        key: [value["each"].replace("{n}", str(n)) for n in _numbers(value)]
        if isinstance(value, dict)
        else value
        for key, value in given.items()
    }


def _numbers(item):
    first = item.get("from", 0)
    return range(first, first + item["count"])


class _StrictLoader(yaml.CSafeLoader):
    """Refuses a key that is there twice: the second would silently win."""


def _mapping(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if len(keys) != len(set(keys)):
        raise ValueError(f"a key twice, line {node.start_mark.line + 1}: {keys}")
    return yaml.CSafeLoader.construct_mapping(loader, node, deep=True)


_StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)
