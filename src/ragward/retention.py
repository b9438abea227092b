"""Retention: what is older than its rule says is shredded, page by page, each with a receipt.

A run is resumed by running it again: what is gone is gone, and what was begun is finished as any shredding is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ragward.acts import Acts
from ragward.domain.access import Action, Subject
from ragward.domain.corpus import DocumentRecord
from ragward.domain.errors import InvalidRequestError
from ragward.domain.retention import RetentionRule, rule_of
from ragward.evidence import Recorder
from ragward.ports import Catalog, Clock, PolicyDecisionPoint
from ragward.shredding import Shredding

MAX_DOCUMENTS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPorts:
    """Everything a run touches."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    shredding: Shredding
    rules: Sequence[RetentionRule]
    recorder: Recorder
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRun:
    """Documents looked at; those due, by rule; those of them that legal holds keep; receipts; where to go on."""

    looked_at: int
    due: tuple[tuple[str, int], ...]
    held: int
    receipts: tuple[str, ...]
    next_after: tuple[str, str] | None


class Retention:
    """Sweeps."""

    def __init__(self, ports: RetentionPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def run(
        self,
        subject: Subject,
        *,
        dry_run: bool = False,
        limit: int = MAX_DOCUMENTS,
        after: tuple[str, str] | None = None,
    ) -> RetentionRun:
        """The next `limit` documents, by corpus and source. Needs `document:delete` on the whole tenant, and under each label:
        what it may not delete is not counted.

        Raises `access.denied`, `request.invalid`, every `UnavailableError`."""
        if not 1 <= limit <= MAX_DOCUMENTS:
            raise InvalidRequestError(f"limit is between 1 and {MAX_DOCUMENTS}")
        self._acts.require_on_tenant(subject, Action.DOCUMENT_DELETE)
        page = self._ports.catalog.documents(subject.tenant, limit=limit, after=after)
        due = self._due(subject, page)
        held = self._ports.catalog.held(
            subject.tenant, [name for names in due.values() for name in names]
        )
        receipts = []
        for rule, names in due.items():
            going = [name for name in names if name not in held]
            if going and not dry_run:
                reason = f"retention: due under the rule {rule}"
                done = self._ports.shredding.shred_due(subject, rule, going, reason)
                receipts.append(done.receipt_id)
        return RetentionRun(
            looked_at=len(page),
            due=tuple((rule, len(names)) for rule, names in due.items()),
            held=len(held),
            receipts=tuple(receipts),
            next_after=(page[-1].corpus, page[-1].source) if len(page) == limit else None,
        )

    def _due(self, subject: Subject, page: Sequence[DocumentRecord]) -> dict[str, list[str]]:
        """Rule -> documents."""
        now = self._ports.clock.now()
        since = self._ports.catalog.content_since(
            subject.tenant, [record.document_id for record in page]
        )
        may: dict[int, bool] = {}
        due: defaultdict[str, list[str]] = defaultdict(list)
        for record in page:
            rule = rule_of(
                self._ports.rules,
                record.tenant,
                record.corpus,
                record.source,
                record.label.classification,
            )
            if rule is None or not rule.is_due(since.get(record.document_id, now), now):
                continue
            if record.label_id not in may:
                may[record.label_id] = self._acts.may(subject, Action.DOCUMENT_DELETE, record.label)
            if may[record.label_id]:
                due[rule.name].append(record.document_id)
        return dict(due)
