"""What officers see of an answer, and deciding it again from that alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ragward.domain.access import Application, Context, Decision, Permit, TenantHead
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.explanation import AskedAbout
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot, TimedMembership
from ragward.domain.policy_csv import line_of, read_csv
from ragward.domain.receipts import HeldReceipt
from ragward.domain.task_grants import TaskGrantRecord


class Decides(Protocol):
    """The part of a PDP that is needed."""

    def decide_about(self, about: AskedAbout, context: Context) -> Decision:
        """As `ports.PolicyDecisionPoint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBundle:
    """A receipt with what decided it: the officer's part, the policy that was in force, the labels as they were.

    It is also what a decision point reads: `head`, `policy` and `labels` are those of that moment.
    """

    held: HeldReceipt
    officer: Mapping[str, Any]
    snapshot: PolicySnapshot | None
    """None where the answer was empty, or no version has that digest"""
    label_rows: Mapping[int, AccessLabel] = field(default_factory=dict)

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether a file is a bundle, and not a receipt alone. Raises `request.invalid` for what is neither."""
        try:
            return "officer" in json.loads(text)
        except (ValueError, TypeError, RecursionError):
            raise InvalidRequestError("neither a receipt nor a bundle") from None

    def body(self) -> dict[str, Any]:
        """As a file holds it."""
        snapshot = self.snapshot
        items: tuple[PolicyRow | Membership, ...] = ()
        if snapshot is not None:
            items = (*snapshot.rows, *snapshot.memberships)
        return {
            **json.loads(self.held.text()),
            "officer": dict(self.officer),
            "policy": None
            if snapshot is None
            else {
                "version": snapshot.version,
                "lines": [line_of(item) for item in items],
                "timed": [dataclasses.asdict(each) for each in snapshot.timed],
            },
            "labels": [
                {
                    "label": label_id,
                    "corpus": label.corpus,
                    "classification": label.classification.name,
                    "compartments": sorted(label.compartments),
                    "granted": sorted(label.granted),
                    "denied": sorted(label.denied),
                    "valid_from": label.valid_from,
                    "valid_until": label.valid_until,
                }
                for label_id, label in sorted(self.label_rows.items())
            ],
        }

    @classmethod
    def parse(cls, text: str) -> ReceiptBundle:
        """The inverse. Raises `request.invalid`, `policy.invalid`."""
        held = HeldReceipt.parse(text)
        tenant = str(held.body()["tenant"])
        try:
            body = json.loads(text)
            policy, snapshot = body["policy"], None
            if policy is not None:
                rows, memberships = read_csv(policy["lines"])
                version = int(policy["version"])
                snapshot = PolicySnapshot(
                    tenant,
                    version,
                    tuple(sorted(rows)),
                    tuple(sorted(memberships)),
                    version,
                    tuple(TimedMembership(**each) for each in policy["timed"]),
                )
            labels = {int(item["label"]): _label(tenant, item) for item in body["labels"]}
            made = cls(
                held=held, officer=dict(body["officer"]), snapshot=snapshot, label_rows=labels
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InvalidRequestError("not an officer's bundle") from None
        return made

    # What a decision point reads. -----------------------------------------------------------------------------------

    def head(self, tenant: str) -> TenantHead:  # noqa: ARG002 - there is one
        """Of the policy of that moment."""
        epoch = 0 if self.snapshot is None else self.snapshot.epoch
        last = max(self.label_rows, default=0)
        return TenantHead(epoch=epoch, policy_epoch=epoch, last_label_id=last)

    def policy(self, tenant: str) -> PolicySnapshot:  # noqa: ARG002 - there is one
        """The policy of that moment. Raises `request.invalid` where it is not known."""
        if self.snapshot is None:
            raise InvalidRequestError("the bundle has no policy")
        return self.snapshot

    def labels(self, tenant: str, *, after: int = 0) -> Mapping[int, AccessLabel]:  # noqa: ARG002 - the signature of the port
        """Labels of the answer's chunks."""
        return {i: label for i, label in sorted(self.label_rows.items()) if i > after}

    def task_grant(self, tenant: str, grant_id: str) -> TaskGrantRecord:  # noqa: ARG002 - there is none
        """None: a task only takes away, and what was given is looked at without it."""
        raise NotFoundError

    # Deciding again. ------------------------------------------------------------------------------------------------

    def problem(self, pdp: Decides) -> str:
        """Why the policy does not permit what was given; nothing if it does. `pdp` decides by this bundle."""
        body = self.held.body()
        try:
            chunks = list(self.officer["chunks"])
            if len(chunks) != len(body["details"]["passages"]):
                return "the officer's part is of another answer"
            if not chunks:
                return ""
            if self.snapshot is None or self.snapshot.digest() != self.officer["policy"]:
                return "the policy is not the one that decided"
            for chunk in chunks:
                label = self.label_rows.get(chunk["label"])
                if label is None or label.digest().hex() != chunk["digest"]:
                    return f"label {chunk['label']} is not the one that was decided on"
            decision = pdp.decide_about(self._about(body), self._context(body))
            refused = [
                chunk["chunk"]
                for chunk in chunks
                if not (isinstance(decision, Permit) and decision.admits(chunk["label"]))
            ]
        except (KeyError, TypeError, ValueError):
            raise InvalidRequestError("not an officer's bundle") from None
        return f"the policy does not permit {', '.join(refused)}" if refused else ""

    def _about(self, body: Mapping[str, Any]) -> AskedAbout:
        """Whoever asked. What they had proven is not asked for again."""
        actor, application = body["actor"], self.officer["application"]
        return AskedAbout(
            principal=actor["principal"],
            application=Application(
                principal=actor["application"],
                tenant=body["tenant"],
                client_id=application["client_id"],
                corpora=frozenset(application["corpora"]),
                ceiling=Classification.parse(application["ceiling"]),
            ),
            agents=tuple(actor["agents"]),
        )

    def _context(self, body: Mapping[str, Any]) -> Context:
        return Context(now=int(body["ts"]) // 1000, purpose=self.officer["purpose"])


def _label(tenant: str, item: Mapping[str, Any]) -> AccessLabel:
    return AccessLabel(
        tenant=tenant,
        corpus=item["corpus"],
        classification=Classification.parse(item["classification"]),
        compartments=frozenset(item["compartments"]),
        granted=frozenset(item["granted"]),
        denied=frozenset(item["denied"]),
        valid_from=item["valid_from"],
        valid_until=item["valid_until"],
    )
