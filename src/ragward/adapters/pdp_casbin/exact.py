"""Decides label by label with Casbin's own `enforce`: for models that `compiler.py` does not recognise, and the meaning
that everything faster is held equal to."""

from __future__ import annotations

from typing import Any, Final

from pyroaring import BitMap

from ragward.adapters.pdp_casbin.label_index import LabelIndex
from ragward.adapters.pdp_casbin.model import Ctx, enforcer
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import Action
from ragward.domain.errors import UnavailableError
from ragward.domain.labels import AccessLabel

#: Labels x rows that may be decided for one subject: about a second. A model that needs more must use the shipped terms.
EXACT_LIMIT: Final = 250_000


class ExactPolicy:
    """One policy version under any model. Not thread-safe: `pdp.py` holds the tenant's lock."""

    def __init__(self, rules: RuleIndex, model_text: str) -> None:
        self._rules = rules
        self._enforcer: Any = enforcer(rules.snapshot, model_text)

    def readable(self, principal: str, index: LabelIndex, within: BitMap, ctx: Ctx) -> BitMap:
        """Labels, of the signatures `within`, that the principal may retrieve under.

        Raises `unavailable.policy` above the limit: half an answer is worse than none."""
        wanted = index.labels_of(within)
        if len(wanted) * len(self._rules.snapshot.rows) > EXACT_LIMIT:
            raise UnavailableError(
                f"this model decides label by label, and {len(wanted)} labels x "
                f"{len(self._rules.snapshot.rows)} rows are more than {EXACT_LIMIT}",
                code="unavailable.policy",
            )
        return BitMap(
            label_id
            for label_id in wanted
            if self.permits(principal, Action.CORPUS_RETRIEVE, index.labels[label_id], ctx)
        )

    def signatures(self, principal: str, action: str, index: LabelIndex) -> BitMap:
        """Signatures under which an administrative action is permitted."""
        ctx = Ctx(now=0, delegate=False, administrative=True)
        return BitMap(
            position
            for position, (corpus, classification, compartments) in enumerate(index.signatures)
            if self.permits(
                principal,
                action,
                AccessLabel(
                    tenant=index.tenant,
                    corpus=corpus,
                    classification=classification,
                    compartments=compartments,
                ),
                ctx,
            )
        )

    def permits(self, principal: str, action: str, label: AccessLabel, ctx: Ctx) -> bool:
        """Casbin's verdict; anything it raises is a no."""
        if not self._rules.knows(principal):
            return False  # and Casbin's role map must not grow by names that strangers bring
        try:
            return bool(self._enforcer.enforce(self._rules.sub(principal), str(action), label, ctx))
        except Exception:  # noqa: BLE001 - whatever a model raises while deciding is a Deny (DESIGN 4.2)
            return False
