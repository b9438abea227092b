"""What a decision rests on, term by term and obstacle by obstacle, in the order a person checks them.

The terms are those of the shipped model. Under a model of one's own they are hints; the verdict beside them is the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ragward.adapters.pdp_casbin.fast import row_matches
from ragward.adapters.pdp_casbin.model import Ctx
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import ALL_CORPORA, Action, Application
from ragward.domain.explanation import AskedAbout, Hurdle, Obstacle, Reader, Term
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow


def terms(
    rules: RuleIndex, about: AskedAbout, label: AccessLabel, now: int, ctx_of: Callable[[str], Ctx]
) -> tuple[Term, ...]:
    """The application's, the principal's, every agent's, the label's."""
    told: list[Term] = []
    if about.application is not None:
        told += _application(rules, about.application, label)
    if about.is_application_alone:
        told.append(_alone(about.principal, label))
    for who in (about.principal, *about.agents):
        told += _principal(rules, who, label, ctx_of(who))
    told.append(_current(label, now))
    return tuple(told)


def reader(rules: RuleIndex, principal: str, label: AccessLabel) -> Reader:
    """The way that a principal who may read has to an allow row and to a grant."""
    rows = _rows(rules, principal, label, "allow")
    ways = [(rules.path(principal, {row.subject}), row) for row in rows]
    allowed, row = min(ways, key=lambda way: (len(way[0]), way[1]), default=((), None))
    return Reader(
        principal=principal,
        row=row,
        allowed=allowed,
        granted=rules.path(principal, label.granted),
    )


def _application(rules: RuleIndex, application: Application, label: AccessLabel) -> list[Term]:
    name = application.principal
    corpora = ", ".join(sorted(application.corpora)) or "none"
    open_to = ALL_CORPORA in application.corpora or label.corpus in application.corpora
    under = label.classification <= application.ceiling
    foreign = Term(
        name, "of this tenant", False, "another tenant's", (Obstacle(Hurdle.REFUSED, name),)
    )
    return [
        *([] if application.tenant == label.tenant else [foreign]),
        Term(
            name,
            "lets the corpus through",
            open_to,
            f"its corpora: {corpora}",
            _unless(open_to, Obstacle(Hurdle.APPLICATION_CORPUS, name, label.corpus)),
        ),
        Term(
            name,
            "lets the classification through",
            under,
            f"its ceiling: {application.ceiling.name}",
            _unless(under, Obstacle(Hurdle.APPLICATION_CEILING, name, label.classification.name)),
        ),
        _not_denied(rules, name, label),
    ]


def _alone(name: str, label: AccessLabel) -> Term:
    public = label.classification is Classification.PUBLIC
    because = "it is PUBLIC" if public else "without a person, an application gets PUBLIC only"
    obstacle = Obstacle(Hurdle.APPLICATION_ALONE, name)
    return Term(name, "may ask without a person", public, because, _unless(public, obstacle))


def _principal(rules: RuleIndex, who: str, label: AccessLabel, ctx: Ctx) -> list[Term]:
    allows = _rows(rules, who, label, "allow")
    denies = _rows(rules, who, label, "deny")
    told = [
        Term(
            who,
            "an allow row",
            bool(allows),
            _told(rules, who, allows) or "no allow row matches",
            _unless(bool(allows), Obstacle(Hurdle.NO_ALLOW_ROW, who)),
        ),
        Term(
            who,
            "no deny row",
            not denies,
            _told(rules, who, denies) or "no deny row matches",
            tuple(Obstacle(Hurdle.DENY_ROW, who, row.subject, row) for row in denies),
        ),
        _cleared(rules, who, label),
    ]
    if not ctx.delegate:
        way = rules.path(who, label.granted)
        because = _way(way) if way else f"granted: {_names(label.granted) or 'nobody'}"
        obstacle = Obstacle(Hurdle.NOT_GRANTED, who)
        told.append(Term(who, "granted", bool(way), because, _unless(bool(way), obstacle)))
    told.append(_not_denied(rules, who, label))
    return told


def _cleared(rules: RuleIndex, who: str, label: AccessLabel) -> Term:
    missing = []
    said = []
    for compartment in sorted(label.compartments):
        way = rules.path(who, {f"compartment:{label.tenant}/{compartment}"})
        said.append(f"{compartment}: {_way(way) if way else 'not cleared'}")
        if not way:
            missing.append(Obstacle(Hurdle.NOT_CLEARED, who, compartment))
    because = "; ".join(said) or "the label has no compartment"
    return Term(who, "cleared", not missing, because, tuple(missing))


def _not_denied(rules: RuleIndex, who: str, label: AccessLabel) -> Term:
    refused = sorted(label.denied & rules.sub(who).reached)
    ways = "; ".join(_way(rules.path(who, {name})) for name in refused)
    return Term(
        who,
        "not denied",
        not refused,
        f"denied: {ways}" if refused else "not among the denied",
        tuple(Obstacle(Hurdle.DENIED_ON_LABEL, who, name) for name in refused),
    )


def _current(label: AccessLabel, now: int) -> Term:
    begun = label.valid_from is None or label.valid_from <= now
    over = label.valid_until is not None and now >= label.valid_until
    window = [
        f"{word} {_date(bound)}"
        for word, bound in (("from", label.valid_from), ("until", label.valid_until))
        if bound is not None
    ]
    hurdles = [Hurdle.NOT_YET_VALID] * (not begun) + [Hurdle.NO_LONGER_VALID] * over
    return Term(
        "label",
        "current",
        begun and not over,
        f"valid {' '.join(window)}" if window else "valid without end",
        tuple(Obstacle(hurdle, "label") for hurdle in hurdles),
    )


def _rows(rules: RuleIndex, who: str, label: AccessLabel, effect: str) -> list[PolicyRow]:
    found = rules.rows(rules.sub(who), Action.CORPUS_RETRIEVE)
    return sorted(row for row in found if row.effect == effect and row_matches(row, label))


def _told(rules: RuleIndex, who: str, rows: Iterable[PolicyRow]) -> str:
    return "; ".join(
        f"{', '.join(row.fields()[1:])} for {_way(rules.path(who, {row.subject}))}" for row in rows
    )


def _way(path: tuple[str, ...]) -> str:
    return " > ".join(path)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # a label may say a year that no calendar has
        return str(seconds)


def _unless(held: bool, obstacle: Obstacle) -> tuple[Obstacle, ...]:
    return () if held else (obstacle,)
