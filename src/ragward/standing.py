"""Holds on a person, as what is ingested meets them: a document that names them is held before it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ragward.domain.access import Subject
from ragward.domain.audit import EventType
from ragward.domain.corpus import ScannedChunk, SourceDocument
from ragward.domain.mentions import form_of, value_tags
from ragward.evidence import Recorder
from ragward.ports import HoldStore, Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingHolds:
    """Recognises people by keyed tags of values, as the detector finds them: names are not kept."""

    store: HoldStore
    keyring: Keyring
    recorder: Recorder

    def meet(
        self,
        subject: Subject,
        document_id: str,
        source: SourceDocument,
        scanned: Iterable[ScannedChunk],
    ) -> None:
        """Before a version is committed. Raises `unavailable.*`."""
        tenant = source.label.tenant
        standing = self.store.standing_tags(tenant)
        if not standing:
            return
        key = self.keyring.mac_key("subject-tag")
        forms = {form_of(value) for value in _values(source, scanned)}
        tags = value_tags(key, tenant, forms)
        for hold_id in _matching(standing, tags):
            details = {"act": "met", "hold": hold_id, "document": document_id}
            self.recorder.record(EventType.HOLD_CHANGED, subject, "permit", details)
            self.store.also_hold(tenant, hold_id, [document_id])


def _matching(standing: Mapping[str, frozenset[str]], tags: frozenset[str]) -> list[str]:
    return sorted(hold_id for hold_id, theirs in standing.items() if theirs & tags)


def _values(source: SourceDocument, scanned: Iterable[ScannedChunk]) -> Iterable[str]:
    """What may name a person: spans, the attributes that say whose it is, and who alone may read it."""
    for item in scanned:
        yield from (item.chunk.text[span.start : span.end] for span in item.spans)
    for name in ("data_subject", "owner"):
        if isinstance(value := source.attributes.get(name), str):
            yield value
    if len(source.label.granted) == 1:
        yield from source.label.granted
