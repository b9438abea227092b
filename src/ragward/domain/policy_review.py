"""What is wrong, or looks wrong, with a policy: findings with stable codes, for people who are about to put it in force.

An error is what a write would be refused for, and has the refusal's code; a warning is a row that does nothing or rights
that should not meet in one person; a note may be as it should be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Final

from ragward.domain.access import Action
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification, administrative, tenant_of
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, Reach, parse_levels
from ragward.domain.policy_change import (
    ASKING_KINDS,
    AccessChange,
    NamedByLabels,
    PolicyDiff,
    asking_principals,
)
from ragward.domain.policy_csv import PolicyLine, line_of

_SHOWN: Final = 5


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


#: Codes of warnings and notes, sorted; errors have the code of the refusal they announce.
FINDING_CODES: Final = {
    "administrator.none": "No person may write policy; `ragward init` and `tenant add` add one, other writes refuse it.",
    "administrator.single": "One person alone may write policy: nobody else can approve what they propose.",
    "duties.joined": "Two duties that should be separate are held together.",
    "group.unused": "A group or role has members, but no row and no access label names it.",
    "row.application": "A deny row on an application counts only where it asks by itself, not for people who ask through it.",
    "row.duplicate": "A row says the same as another one.",
    "row.shadowed": "A row is covered by a deny row, or by a broader row of the same effect.",
    "row.unreachable": "Nobody is, or belongs to, the row's subject.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at. `where` is the line it is about, or the line number in a file that cannot be read."""

    code: str
    severity: Severity
    where: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparatedDuties:
    """Actions of which one principal should hold those of one side only."""

    name: str
    one: frozenset[str]
    other: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a write would do. `changes` holds only those who gain or lose; `principals` is how many were asked about."""

    base_version: int
    diff: PolicyDiff
    touching_restricted: tuple[str, ...]
    needs_approval: bool
    new_findings: tuple[Finding, ...]
    principals: int
    changes: tuple[AccessChange, ...]
    gained: Mapping[Classification, int]
    lost: Mapping[Classification, int]


def review_lines(
    lines: Iterable[PolicyLine],
    duties: Sequence[SeparatedDuties],
    named: NamedByLabels | None = None,
    *,
    tenant: str | None = None,
) -> list[Finding]:
    """Findings of a policy that may not even be well-formed: malformed lines first, then those of the rest.

    Without `tenant` it is taken to be that of the first row."""
    findings: list[Finding] = []
    rows: list[PolicyRow] = []
    memberships: list[Membership] = []
    for line in lines:
        try:
            parsed = line.parsed()
        except InvalidRequestError as error:
            findings.append(_error(error, f"line {line.number}"))
            continue
        if isinstance(parsed, PolicyRow):
            rows.append(parsed)
        else:
            memberships.append(parsed)
    if not rows and findings:
        return findings
    of = tenant or (tenant_of(rows[0].subject) if rows else "")
    snapshot = PolicySnapshot(of, 0, tuple(rows), tuple(memberships))
    return findings + review(snapshot, duties, named)


def review(
    snapshot: PolicySnapshot,
    duties: Sequence[SeparatedDuties],
    named: NamedByLabels | None = None,
) -> list[Finding]:
    """All findings, worst first.

    Without `named` it is a file to begin with: what labels name is not known, and `init` will add an administrator.
    """
    try:
        snapshot.validate()
        if named is not None:
            require_acceptable(snapshot)
    except InvalidRequestError as error:
        return [_error(error, "the whole")]
    reach = Reach(snapshot.memberships)
    reached = set().union(*(reach.of(name) for name in asking_principals(snapshot)))
    findings = _duplicates(snapshot)
    for row in sorted(set(snapshot.rows)):
        if row.subject not in reached and not row.subject.startswith(ASKING_KINDS):
            detail = f"nobody is {row.subject}, or belongs to it"
            findings.append(_warning("row.unreachable", line_of(row), detail))
    findings += _denied_applications(snapshot)
    findings += _shadowed(snapshot, reach)
    findings += _joined_duties(snapshot, reach, duties)
    findings += _few_administrators(snapshot)
    findings += _unused_groups(snapshot, named)
    order = list(Severity)
    return sorted(findings, key=lambda found: order.index(found.severity))


def require_acceptable(snapshot: PolicySnapshot) -> None:
    """Raises `policy.invalid` unless it is valid and leaves somebody who may write policy."""
    snapshot.validate()
    if not administrators(snapshot):
        raise InvalidRequestError(
            "nobody could write policy any more: an allow row for policy:write over TENANT/* and RESTRICTED "
            "must reach a person",
            code="policy.invalid",
        )


def administrators(snapshot: PolicySnapshot) -> list[str]:
    """The people who may write policy, as far as rows tell."""
    reach = Reach(snapshot.memberships)
    decided_on = administrative(snapshot.tenant)
    writing = [
        row
        for row in snapshot.rows
        if _action_covers(row.action, Action.POLICY_WRITE)
        and row.corpus.partition("/")[2] in ("*", decided_on.corpus)
        and row.compartment == "*"
        and parse_levels(row.levels)[1] >= decided_on.classification
    ]
    allowed = {row.subject for row in writing if row.effect == "allow"}
    denied = {row.subject for row in writing if row.effect == "deny"}
    return [
        name
        for name in asking_principals(snapshot)
        if name.startswith("user:") and allowed & reach.of(name) and not denied & reach.of(name)
    ]


def covers(broad: PolicyRow, narrow: PolicyRow) -> bool:
    """Whether `broad` applies wherever `narrow` does, given that whoever is the one's subject is the other's."""
    low, high = parse_levels(broad.levels)
    narrow_low, narrow_high = parse_levels(narrow.levels)
    return (
        _action_covers(broad.action, narrow.action)
        and broad.corpus in (narrow.corpus, _all_corpora(narrow))
        and low <= narrow_low
        and narrow_high <= high
        and broad.compartment in ("*", narrow.compartment)
    )


# How. ---------------------------------------------------------------------------------------------------------------


def _error(error: InvalidRequestError, where: str) -> Finding:
    return Finding(code=error.code, severity=Severity.ERROR, where=where, detail=error.detail)


def _warning(code: str, where: str, detail: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, where=where, detail=detail)


def _action_covers(pattern: str, action: str) -> bool:
    """Casbin's keyMatch for the patterns a row may have: `kind:*` or one action."""
    return pattern == action or (pattern.endswith(":*") and action.startswith(pattern[:-1]))


def _all_corpora(row: PolicyRow) -> str:
    return f"{row.corpus.partition('/')[0]}/*"


def _duplicates(snapshot: PolicySnapshot) -> list[Finding]:
    """Rows and memberships that are there twice, levels compared by meaning."""
    seen: set[object] = set()
    findings = []
    items: list[PolicyRow | Membership] = [*snapshot.rows, *snapshot.memberships]
    for item in items:
        meaning: object = item
        if isinstance(item, PolicyRow):
            fields = item.fields()
            meaning = (*fields[:3], *parse_levels(item.levels), *fields[4:])
        if meaning in seen:
            findings.append(_warning("row.duplicate", line_of(item), "says what another one says"))
        seen.add(meaning)
    return findings


def _denied_applications(snapshot: PolicySnapshot) -> list[Finding]:
    detail = (
        "people who ask through it are not denied by this: narrow its corpora or its ceiling, "
        "or deny it in the access labels"
    )
    return [
        _warning("row.application", line_of(row), detail)
        for row in sorted(set(snapshot.rows))
        if row.effect == "deny" and row.subject.startswith("app:")
    ]


def _shadowed(snapshot: PolicySnapshot, reach: Reach) -> list[Finding]:
    """Rows are looked up by what could cover them, so that many rows cost little more than each alone."""
    at: dict[tuple[str, ...], list[PolicyRow]] = defaultdict(list)
    rows = sorted(set(snapshot.rows))
    for row in rows:
        at[row.subject, row.action, row.corpus, row.compartment].append(row)
    findings = []
    for row in rows:
        keys = product(
            sorted(reach.of(row.subject)),
            {row.action, f"{row.action.partition(':')[0]}:*"},
            {row.corpus, _all_corpora(row)},
            {row.compartment, "*"},
        )
        above = [found for key in keys for found in at.get(key, ()) if covers(found, row)]
        deny = next((found for found in above if found.effect == "deny"), None)
        same = next((found for found in above if _is_broader(found, row)), None)
        if row.effect == "allow" and deny is not None:
            detail = f"denied by: {line_of(deny)}"
            findings.append(_warning("row.shadowed", line_of(row), detail))
        elif same is not None:
            detail = f"nothing beyond: {line_of(same)}"
            findings.append(_warning("row.shadowed", line_of(row), detail))
    return findings


def _is_broader(found: PolicyRow, row: PolicyRow) -> bool:
    """Of the same effect and not the same in other words: that is a duplicate."""
    if found.effect != row.effect or found == row:
        return False
    return found.subject != row.subject or not covers(row, found)


def _joined_duties(
    snapshot: PolicySnapshot, reach: Reach, duties: Sequence[SeparatedDuties]
) -> list[Finding]:
    held = _actions_held(snapshot, reach, {a for pair in duties for a in pair.one | pair.other})
    findings = []
    for pair in duties:
        joined = [name for name, acts in held.items() if acts & pair.one and acts & pair.other]
        if joined:
            shown = ", ".join(joined[:_SHOWN])
            more = f" and {len(joined) - _SHOWN} more" if len(joined) > _SHOWN else ""
            acts = sorted({a for name in joined for a in held[name] & (pair.one | pair.other)})
            detail = f"{', '.join(acts)} held together by {shown}{more}"
            findings.append(_warning("duties.joined", pair.name, detail))
    return findings


def _actions_held(
    snapshot: PolicySnapshot, reach: Reach, actions: Iterable[str]
) -> dict[str, frozenset[str]]:
    """principal -> those of `actions` that an allow row gives it anywhere and no deny row takes wholly away."""
    by_subject: Mapping[str, list[tuple[PolicyRow, str]]] = defaultdict(list)
    for row, action in product(set(snapshot.rows), sorted(actions)):
        if _action_covers(row.action, action):
            by_subject[row.subject].append((row, action))
    held = {}
    for name in asking_principals(snapshot):
        applying = [entry for subject in reach.of(name) for entry in by_subject.get(subject, ())]
        denies = [row for row, _ in applying if row.effect == "deny"]
        held[name] = frozenset(
            action
            for row, action in applying
            if row.effect == "allow"
            and not any(covers(deny, replace(row, action=action)) for deny in denies)
        )
    return held


def _few_administrators(snapshot: PolicySnapshot) -> list[Finding]:
    found = administrators(snapshot)
    if not found:
        return [_warning("administrator.none", "the whole", "no person may write policy")]
    if len(found) > 1:
        return []
    detail = f"{found[0]} alone may write policy: nobody can approve what touches RESTRICTED"
    return [_warning("administrator.single", "the whole", detail)]


def _unused_groups(snapshot: PolicySnapshot, named: NamedByLabels | None) -> list[Finding]:
    """Groups that lead nowhere: perhaps misspelt."""
    used = {row.subject for row in snapshot.rows} | {m.member for m in snapshot.memberships}
    if named is not None:
        used |= named.granted | named.denied
    severity = Severity.NOTE if named is None else Severity.WARNING
    groups = {m.group for m in snapshot.memberships} - used
    return [
        Finding(
            code="group.unused",
            severity=severity,
            where=group,
            detail="it has members, but no row names it and it belongs to nothing"
            + (" (access labels may)" if named is None else ", nor does any access label"),
        )
        for group in sorted(groups)
        if not group.startswith("compartment:")
    ]
