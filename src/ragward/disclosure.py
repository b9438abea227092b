"""How personal data is shown to whom: the treatment per type that rows, purpose and `redaction.toml` leave, and pseudonyms back to values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.acts import Acts, require_proof, require_reason
from ragward.domain.access import Action, Context, Grant, Subject, entitling_action
from ragward.domain.audit import EventType
from ragward.domain.content import ChunkContent
from ragward.domain.disclosure import (
    GENERALISATIONS,
    DisclosureRules,
    Pseudonyms,
    Stale,
    Treatment,
)
from ragward.domain.errors import (
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    RequestRefusedError,
    UnavailableError,
)
from ragward.domain.findings import Span
from ragward.domain.keys import Reading
from ragward.domain.labels import administrative
from ragward.domain.passages import AuthorizedChunk
from ragward.domain.pseudonyms import (
    FoundToken,
    Payload,
    PseudonymErasure,
    TypedValue,
    is_vaulted,
)
from ragward.evidence import Recorder
from ragward.ports import Clock, Finder, PolicyDecisionPoint, PseudonymTokens
from ragward.vault import PseudonymVault

MAX_TOKENS: Final = 200
MAX_TEXT_CHARACTERS: Final = 100_000
Show = Callable[[str], str | None]


def _not_yet(_value: str) -> None:
    """How a value of the vault's types is shown until `with_tokens` has its token: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealedText:
    """A text with the pseudonyms in it turned back, where the subject may; `revealed` and `refused` count by type."""

    text: str = field(repr=False)
    revealed: Mapping[str, int]
    refused: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """The rules and what they need. Thread-safe."""

    rules: DisclosureRules
    tokens: PseudonymTokens
    vault: PseudonymVault
    finder: Finder
    pdp: PolicyDecisionPoint
    recorder: Recorder
    clock: Clock

    def purpose_of(self, subject: Subject, requested: str) -> str:
        """The purpose a request is for: the token's, if it has one, which no request changes.

        Raises `request.invalid` for an unknown purpose, or one that is not the token's."""
        bound = subject.purpose or ""
        if bound and requested and requested != bound:
            raise InvalidRequestError("the purpose is not the one the credentials are for")
        purpose = bound or requested
        self.rules.most_for(purpose)
        return purpose

    def shown_as(self, tenant: str, purpose: str, grant: Grant) -> dict[str, Show]:
        """Per type that is neither shown nor removed: what makes of a value what may be shown."""
        shows: dict[str, Show] = {}
        for entity_type in grant.generalised | grant.pseudonymised:
            permitted = grant.treatments(entity_type)
            treatment = self.rules.treatment(entity_type, permitted, purpose)
            if treatment is Treatment.GENERALISED:
                shows[entity_type] = GENERALISATIONS[self.rules.types[entity_type].generalise]
            elif treatment is Treatment.PSEUDONYMISED:
                shows[entity_type] = self._pseudonymiser(tenant, purpose, entity_type)
        return shows

    def _pseudonymiser(self, tenant: str, purpose: str, entity_type: str) -> Show:
        if self.rules.types[entity_type].pseudonyms is Pseudonyms.VAULT:
            return _not_yet

        def show(value: str) -> str:
            same = TypedValue.of(entity_type, value).value
            return self.tokens.issue(tenant, purpose, entity_type, Payload(value=same))

        return show

    def with_tokens(
        self, tenant: str, purpose: str, chunks: Sequence[AuthorizedChunk]
    ) -> list[AuthorizedChunk]:
        """The chunks with the vault's tokens for what is shown by them; written at once, where there are new ones.

        Where the vault cannot be read or written those values are removed: an answer without them, and none with them."""
        wanted = {
            TypedValue.of(span.entity_type, chunk.text[span.start : span.end])
            for chunk in chunks
            for span in chunk.spans
            if chunk.shown_as.get(span.entity_type) is _not_yet
        }
        if not wanted:
            return list(chunks)
        try:
            tokens = self.vault.tokens(tenant, purpose, wanted)
        except (UnavailableError, ConflictError):
            return list(chunks)

        def looked_up(entity_type: str) -> Show:
            return lambda text: tokens.get(TypedValue.of(entity_type, text))

        return [
            dataclasses.replace(
                chunk,
                shown_as={
                    kind: looked_up(kind) if show is _not_yet else show
                    for kind, show in chunk.shown_as.items()
                },
            )
            for chunk in chunks
        ]

    def current_spans(self, content: ChunkContent, stale: Stale) -> tuple[Span, ...] | None:
        """The spans of a chunk: those stored if this detector found them, else as `stale` says; None means withhold.

        What was found before stays hidden too: a detector that finds less does not show more until the document is scanned."""
        if content.detector_version == self.finder.version:
            return content.spans
        if stale is Stale.WITHHOLD:
            return None
        return merged((*content.spans, *self.finder.find(content.text)))

    def reveal(self, subject: Subject, text: str, *, purpose: str, reason: str) -> RevealedText:
        """Turns back the pseudonyms in `text` that this subject may see the values of, wherever they stand in it.

        Decided per type by the rows that show it, over the whole tenant up to RESTRICTED: a token does not say where its value
        was read. Every value is on record before it is shown. Raises `auth.step_up`, `request.invalid`, `unavailable.*`.
        """
        require_reason(reason)
        if len(text) > MAX_TEXT_CHARACTERS:
            raise InvalidRequestError(f"a text has at most {MAX_TEXT_CHARACTERS} characters")
        purpose = self.purpose_of(subject, purpose)
        found = list(self.tokens.found(text))
        if len(found) > MAX_TOKENS:
            raise InvalidRequestError(f"a text has at most {MAX_TOKENS} pseudonyms")
        revealed: Counter[str] = Counter()
        refused: Counter[str] = Counter()
        parts: list[str] = []
        at = 0
        for token in found:
            value = self._value(subject, token, purpose, reason)
            (refused if value is None else revealed)[token.entity_type] += 1
            parts += [text[at : token.start], token.token if value is None else value]
            at = token.end
        return RevealedText(
            text="".join([*parts, text[at:]]), revealed=dict(revealed), refused=dict(refused)
        )

    def _value(self, subject: Subject, token: FoundToken, purpose: str, reason: str) -> str | None:
        """None for what may not be shown, was changed or is of elsewhere: the asker is not told which."""
        may = self._may(subject, token.entity_type, purpose)
        value: str | None = None
        if may:
            try:
                value = self._read(subject, purpose, token.token).value
            except RequestRefusedError:
                value = None
            except IntegrityError as damaged:
                details = {"code": damaged.code, "token_sha256": _digest(token.token)}
                self.recorder.record(EventType.INTEGRITY_FAILURE, subject, "dropped", details)
        details = {
            "token_sha256": _digest(token.token),
            "type": token.entity_type,
            "purpose": purpose,
            "reason": reason,
        }
        decision = "permit" if value is not None else "deny"
        self.recorder.record(EventType.PSEUDONYM_REVEALED, subject, decision, details, durable=True)
        return value

    def _read(self, subject: Subject, purpose: str, token: str) -> Payload:
        if is_vaulted(token):
            return self.vault.read(subject.tenant, purpose, token, Reading(subject=subject))
        return self.tokens.read(subject.tenant, purpose, token)

    def erase(self, subject: Subject, erasure: PseudonymErasure, reason: str) -> int:
        """Erases the vault's pseudonyms of a value, or one by its token; returns how many there were.

        Nobody turns them back afterwards, and the value gets a new one. Needs `pseudonym:erase` in the whole tenant. Raises
        `access.denied`, `request.invalid`, `unavailable.*`."""
        acts = Acts(pdp=self.pdp, recorder=self.recorder, clock=self.clock)
        acts.require_on_tenant(subject, Action.PSEUDONYM_ERASE)
        require_reason(reason)
        erasure.check()
        tokens = self.vault.meant(subject.tenant, erasure)
        details = {
            "by": "token" if erasure.token else "value",
            "token_sha256": [_digest(token) for token in tokens],
            "reason": reason,
        }
        self.recorder.record(EventType.PSEUDONYM_ERASED, subject, "permit", details, durable=True)
        return self.vault.store.erase_pseudonyms(subject.tenant, tokens)

    def _may(self, subject: Subject, entity_type: str, purpose: str) -> bool:
        if entity_type not in self.rules.types:
            return False
        if self.rules.most_for(purpose) < Treatment.PSEUDONYMISED:
            return False
        action = entitling_action(Treatment.SHOWN, entity_type, purpose)
        context = Context(now=self.clock.now(), purpose=purpose)
        label = administrative(subject.tenant)
        if self.pdp.decide(subject, action, label, context):
            return True
        require_proof(self.pdp, subject, action, label, context)
        return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def merged(spans: tuple[Span, ...]) -> tuple[Span, ...]:
    """Overlapping spans as one, of the surer's type."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start < joined[-1].end:
            before = joined[-1]
            surer = max(before, span, key=lambda s: s.score)
            end = max(before.end, span.end)
            joined[-1] = Span(before.start, end, surer.entity_type, surer.score)
        else:
            joined.append(span)
    return tuple(joined)
