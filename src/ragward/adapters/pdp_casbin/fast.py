"""Decides all labels at once, for matchers that `compiler.py` recognised. Held equal to `exact.py` by generated tests.

A decision is (rows over signatures) and (access lists over labels): Casbin's terms, each as set algebra.
"""

from __future__ import annotations

from pyroaring import BitMap

from ragward.adapters.pdp_casbin.compiler import CompiledMatcher, Term
from ragward.adapters.pdp_casbin.label_index import LabelIndex, union
from ragward.adapters.pdp_casbin.model import (
    Ctx,
    acl,
    cleared,
    current,
    in_compartment,
    in_corpus,
    in_levels,
)
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import Action
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import PolicyRow


class FastPolicy:
    """One policy version under a compiled matcher. `pdp.py` has the methods' contract."""

    def __init__(self, rules: RuleIndex, matcher: CompiledMatcher) -> None:
        self._rules = rules
        self._terms = matcher.terms
        self._deny_overrides = matcher.deny_overrides

    def readable(self, principal: str, index: LabelIndex, within: BitMap, ctx: Ctx) -> BitMap:
        """Labels, of the signatures `within`, that the principal may retrieve under."""
        if not self._rules.knows(principal):
            return BitMap()
        reached = self._rules.sub(principal).reached
        signatures = within & self.signatures(principal, Action.CORPUS_RETRIEVE, index)
        if Term.CLEARED in self._terms:
            signatures -= index.uncleared(reached)
        found = index.labels_of(signatures)
        if Term.ACL in self._terms:
            if not ctx.delegate:
                found &= index.granted_to(reached)
            found -= index.denied_to(reached)
        if Term.CURRENT in self._terms:
            found -= index.validity.outside(ctx.now)
        return found

    def signatures(self, principal: str, action: str, index: LabelIndex) -> BitMap:
        """Signatures under which the rows alone permit an action: all there is to an administrative one."""
        if not self._rules.knows(principal):
            return BitMap()
        rows = self._rules.rows(self._rules.sub(principal), action)
        found = union(index.signatures_of(row) for row in rows if row.effect == "allow")
        if self._deny_overrides:
            found -= union(index.signatures_of(row) for row in rows if row.effect == "deny")
        return found

    def permits(self, principal: str, action: str, label: AccessLabel, ctx: Ctx) -> bool:
        """One decision, on any label, interned or not."""
        if not self._rules.knows(principal):
            return False
        sub = self._rules.sub(principal)
        holds = (
            (Term.CLEARED not in self._terms or cleared(sub, label, ctx))
            and (Term.ACL not in self._terms or acl(sub, label, ctx))
            and (Term.CURRENT not in self._terms or current(label, ctx))
        )
        if not holds:
            return False
        rows = [row for row in self._rules.rows(sub, action) if row_matches(row, label)]
        denied = self._deny_overrides and any(row.effect == "deny" for row in rows)
        return not denied and any(row.effect == "allow" for row in rows)


def row_matches(row: PolicyRow, label: AccessLabel) -> bool:
    """Whether a row is about things under this label."""
    return (
        in_corpus(label, row.corpus)
        and in_levels(label, row.levels)
        and in_compartment(label, row.compartment)
    )
