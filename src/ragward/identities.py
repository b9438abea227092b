"""Identities that are no persons: registered by somebody who answers for them, renewed, rotated, reported.

Nothing is registered without an owner, a purpose and an end; keys end with what they are of. Two keys of one identity
overlap for days at most. Who uses what is known to the hour.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from ragward.acts import Acts
from ragward.domain.access import Action, Application, Subject
from ragward.domain.audit import EventType
from ragward.domain.errors import InvalidRequestError, NotFoundError
from ragward.domain.identities import (
    MAX_OVERLAP_SECONDS,
    OVERLAP_SECONDS,
    Agent,
    Custody,
    Identity,
    IdentityKind,
    NewKey,
    Reported,
    Use,
    by_principal,
    findings_of,
    require_lifetime,
)
from ragward.domain.labels import Classification, require_principal, tenant_of
from ragward.evidence import Recorder
from ragward.ports import AuditLog, Catalog, Clock, PolicyDecisionPoint

#: How far back the report looks for what was answered through an identity.
LOOKED_AT: Final = 5_000
_DOCUMENTS: Final = 2_000
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentitiesPorts:
    """Everything this flow talks to. `new_key` makes an API key: (text, lookup prefix, SHA-256)."""

    catalog: Catalog
    pdp: PolicyDecisionPoint
    audit: AuditLog
    recorder: Recorder
    clock: Clock
    new_key: Callable[[], tuple[str, str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A new key, shown this once. `earlier_end_at`: until when the one before it is good; None if there is none."""

    principal: str
    key: str
    key_id: str
    expires_at: int
    earlier_end_at: int | None


class Identities:
    """The inventory. All of it needs `application:write`, and raises `access.denied` without."""

    def __init__(self, ports: IdentitiesPorts) -> None:
        self._ports = ports
        self._acts = Acts(pdp=ports.pdp, recorder=ports.recorder, clock=ports.clock)

    def register_application(
        self,
        subject: Subject,
        application: Application,
        custody: Custody,
        *,
        with_key: bool,
        replace_keys: bool = False,
    ) -> str | None:
        """Creates or renews an application; returns its new API key, which is shown this once.

        Earlier keys stay good for a day beside it, unless `replace_keys`: for a leaked one.
        """
        self._require(subject)
        require_principal(application.principal)
        if application.tenant != subject.tenant or tenant_of(application.principal) != (
            subject.tenant
        ):
            raise InvalidRequestError("an application belongs to your tenant")
        ends = self._checked(subject, custody, application.expires_at)
        text, key = self._key(ends) if with_key else (None, None)
        self._record(subject, "register_application", application.principal, custody, ends)
        self._ports.catalog.save_application(
            application,
            key_prefix=None if key is None else key.key_id,
            key_sha256=None if key is None else key.sha256,
            replace_keys=replace_keys,
            custody=custody,
            key_expires_at=ends,
            earlier_keys_end_at=self._ports.clock.now() + OVERLAP_SECONDS,
        )
        return text

    def register_agent(
        self, subject: Subject, agent: Agent, custody: Custody, *, with_key: bool
    ) -> str | None:
        """Creates or renews an agent of one application; returns its new API key, which is shown this once."""
        self._require(subject)
        require_principal(agent.principal)
        if (
            not agent.principal.startswith("agent:")
            or tenant_of(agent.principal) != subject.tenant
            or agent.tenant != subject.tenant
        ):
            raise InvalidRequestError(
                "an agent of your tenant is agent:TENANT/NAME", code="principal.invalid"
            )
        ends = self._checked(subject, custody, agent.expires_at)
        text, key = self._key(ends) if with_key else (None, None)
        self._record(subject, "register_agent", agent.principal, custody, ends)
        soon = self._ports.clock.now() + OVERLAP_SECONDS
        self._ports.catalog.save_agent(agent, custody, key, earlier_keys_end_at=soon)
        return text

    def rotate(
        self, subject: Subject, principal: str, *, overlap_seconds: int = OVERLAP_SECONDS
    ) -> Rotated:
        """A new key beside the newest one, which stays good for `overlap_seconds` (0: not at all) and no older one does.

        Raises `access.not_found`, `request.invalid` for what is ownerless or has no end: register it again first.
        """
        identity = self.identity(subject, principal)
        if not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
            raise InvalidRequestError(f"an overlap is 0 to {MAX_OVERLAP_SECONDS} seconds")
        custody = Custody(owner=identity.owner, purpose=identity.purpose)
        ends = self._checked(subject, custody, identity.expires_at)
        if identity.public_client:
            raise InvalidRequestError("a public client has no key")
        text, key = self._key(ends)
        until = self._ports.clock.now() + overlap_seconds if overlap_seconds else None
        self._record(subject, "rotate_key", principal, custody, ends)
        kept = self._ports.catalog.rotate_key(subject.tenant, principal, key, earlier_ends_at=until)
        return Rotated(
            principal=principal,
            key=text,
            key_id=key.key_id,
            expires_at=ends,
            earlier_end_at=until if kept else None,
        )

    def identities(self, subject: Subject) -> Sequence[Identity]:
        """Applications and agents, with their keys; also agents that only the policy or a token names."""
        self._require(subject)
        found = by_principal(self._ports.catalog.identities(subject.tenant))
        policy = self._ports.catalog.policy(subject.tenant)
        named = {row.subject for row in policy.rows}
        named |= {membership.member for membership in policy.memberships}
        for name in named:
            if name.startswith("agent:") and name not in found:
                found[name] = Identity(kind=IdentityKind.AGENT, principal=name, registered=False)
        applications = {
            one.client_id: one for one in found.values() if one.kind is IdentityKind.APPLICATION
        }
        return [
            _within(identity, applications.get(identity.client_id))
            for _, identity in sorted(found.items())
        ]

    def identity(self, subject: Subject, principal: str) -> Identity:
        """One of them. Raises `access.not_found`."""
        found = by_principal(self.identities(subject)).get(principal)
        if found is None:
            raise NotFoundError
        return found

    def report(self, subject: Subject) -> Sequence[Reported]:
        """Those that somebody should look at: ownerless, unused, old, without an end, or granted more than they use."""
        rows = self._ports.catalog.policy(subject.tenant).rows
        uses, now = self._uses(subject.tenant), self._ports.clock.now()
        told = [
            Reported(
                identity=identity,
                findings=tuple(
                    findings_of(identity, rows, uses.get(identity.principal, Use()), now)
                ),
            )
            for identity in self.identities(subject)
        ]
        return [each for each in told if each.findings]

    # How. -----------------------------------------------------------------------------------------------------------

    def _require(self, subject: Subject) -> None:
        self._acts.require_on_tenant(subject, Action.APPLICATION_WRITE)

    def _checked(self, subject: Subject, custody: Custody, expires_at: int | None) -> int:
        custody.check(subject.tenant)
        return require_lifetime(expires_at, self._ports.clock.now())

    def _key(self, ends: int) -> tuple[str, NewKey]:
        text, prefix, digest = self._ports.new_key()
        return text, NewKey(key_id=prefix, sha256=digest, expires_at=ends)

    def _record(self, subject: Subject, act: str, target: str, custody: Custody, ends: int) -> None:
        details = {"act": act, "target": target, "owner": custody.owner, "expires_at": ends}
        self._ports.recorder.record(EventType.ADMIN_ACT, subject, "permit", details, durable=True)

    def _uses(self, tenant: str) -> dict[str, Use]:
        """What the last answers carried, by application and agent; corpora as the catalog has the documents now."""
        answers: Counter[str] = Counter()
        highest: dict[str, Classification] = {}
        documents: dict[str, set[str]] = {}
        for event in self._answers(tenant):
            actor = event["actor"]
            passages = event["details"].get("passages", ())
            for name in (actor["application"], *actor["agents"]):
                answers[name] += 1
                for passage in passages:
                    level = Classification.parse(passage["classification"])
                    highest[name] = max(level, highest.get(name, level))
                    documents.setdefault(name, set()).add(passage["document"])
        corpora = self._corpora(tenant, set().union(*documents.values()))
        return {
            name: Use(
                answers=count,
                highest=highest.get(name),
                corpora=frozenset(
                    corpora[document] for document in documents.get(name, ()) if document in corpora
                ),
            )
            for name, count in answers.items()
        }

    def _answers(self, tenant: str) -> Iterator[dict[str, Any]]:
        """The tenant's among the log's last entries."""
        size = int(self._ports.audit.checkpoint().splitlines()[1])
        for start in range(max(0, size - LOOKED_AT), size, _AT_ONCE):
            for entry in self._ports.audit.entries(start=start, limit=_AT_ONCE):
                event: dict[str, Any] = json.loads(entry.data)
                answered = event.get("type") == EventType.RETRIEVAL_ANSWERED.value
                if answered and event.get("tenant") == tenant:
                    yield event

    def _corpora(self, tenant: str, document_ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for document_id in islice(document_ids, _DOCUMENTS):
            try:
                found[document_id] = self._ports.catalog.get_document(tenant, document_id).corpus
            except NotFoundError:
                continue
        return found


def _within(identity: Identity, application: Identity | None) -> Identity:
    """An agent reaches no further than its application."""
    if identity.kind is not IdentityKind.AGENT or application is None:
        return identity
    return replace(identity, corpora=application.corpora, ceiling=application.ceiling)
