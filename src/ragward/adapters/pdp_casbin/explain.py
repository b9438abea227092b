"""The model's terms one by one, in the order a person checks them, beside the decision itself."""

from __future__ import annotations

from collections.abc import Iterable

from ragward.adapters.pdp_casbin.fast import row_matches
from ragward.adapters.pdp_casbin.model import Ctx, Sub, cleared, current
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import Action
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import PolicyRow


def terms(
    rules: RuleIndex, sub: Sub, label: AccessLabel, ctx: Ctx
) -> tuple[tuple[str, bool, str], ...]:
    """(term, held, what decided it), six of them."""
    rows = [row for row in rules.rows(sub, Action.CORPUS_RETRIEVE) if row_matches(row, label)]
    allows = [row for row in rows if row.effect == "allow"]
    denies = [row for row in rows if row.effect == "deny"]
    missing = [
        c for c in label.compartments if f"compartment:{label.tenant}/{c}" not in sub.reached
    ]
    through = label.granted & sub.reached
    refused = label.denied & sub.reached
    valid = current(label, ctx)
    return (
        ("an allow row", bool(allows), _rows(allows) or "no allow row matches"),
        ("no deny row", not denies, _rows(denies) or "no deny row matches"),
        (
            "cleared",
            cleared(sub, label, ctx),
            f"lacks {_names(missing)}" if missing else "holds every compartment",
        ),
        (
            "granted",
            ctx.delegate or bool(through),
            f"through {_names(through)}" if through else "not among the granted",
        ),
        (
            "not denied",
            not refused,
            f"denied through {_names(refused)}" if refused else "not among the denied",
        ),
        ("current", valid, "within validity" if valid else "outside validity"),
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _rows(rows: list[PolicyRow]) -> str:
    return "; ".join(", ".join(row.fields()) for row in rows)
