"""Encrypting a document version and opening what was stored of it: the one place of each, shared by all flows."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ragward.domain.content import ChunkContent, pack_vector, unpack_vector
from ragward.domain.corpus import (
    KeyReference,
    ScannedChunk,
    StagedChunk,
    StagedPoint,
    StoredChunk,
    Vector,
    View,
    wrapping_context,
)
from ragward.domain.envelope import EncryptionContext, Kind, Suite, WrappingContext
from ragward.domain.errors import ConflictError, IntegrityError, RagwardError, UnavailableError
from ragward.domain.fingerprints import fingerprints, tenant_key
from ragward.domain.generations import FIRST, vector_name
from ragward.domain.handling import Handling
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.labels import AccessLabel
from ragward.domain.words import query_words, word_weights, words_key
from ragward.ports import Cipher, Embedder, Keyring, LiveModels, Redactor

Place = tuple[int, View]
"""A chunk's ordinal and one of its views."""
_NAMESPACE: Final = uuid.UUID("5d2f1f0c-2f0a-5d0e-9f53-7261677761d2")


def point_id_of(chunk_id: str, view: View) -> str:
    """The index point of one view of a chunk; every chunk has a full view."""
    return str(uuid.uuid5(_NAMESPACE, f"{chunk_id}/{view.name}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Keys, cipher and what the classifications demand."""

    keyring: Keyring
    cipher: Cipher
    embedder: Embedder
    redactor: Redactor
    handling: Handling
    models: LiveModels | None = None
    """of all generations that a write makes vectors for; without, `embedder` alone for the first"""

    def live(self) -> Mapping[int, Embedder]:
        """By generation. Raises `config.model_mismatch`."""
        return {FIRST: self.embedder} if self.models is None else self.models.live()

    def open(self, stored: StoredChunk, reading: Reading | None = None) -> ChunkContent:
        """The content of one stored chunk. Raises what `opened` gives instead."""
        return contents(self.opened([stored], reading))[0]

    def opened(
        self, stored: Sequence[StoredChunk], reading: Reading | None
    ) -> Iterator[ChunkContent | RagwardError]:
        """Per chunk its content, verified against the label it stands under, or why not: `integrity.*`, `unavailable.keys`,
        `access.not_found`. The keys of all are unwrapped at once, each text is decrypted when it is taken."""
        places = [
            (s.key.wrapped_dek, s.label_id, s.document_id, s.version, s.key.dek_id) for s in stored
        ]
        firsts = dict(zip(places, stored, strict=True))
        wraps = [
            WrappedDEK(wrapped=chunk.key.wrapped_dek, context=chunk.wrapping_context())
            for chunk in firsts.values()
        ]
        given = self.keyring.unwrap_all(wraps, reading) if wraps else ()
        deks = dict(zip(firsts, given, strict=True))
        for place, chunk in zip(places, stored, strict=True):
            dek = deks[place]
            yield dek if isinstance(dek, RagwardError) else self._decrypted(chunk, dek)

    def open_vector(
        self,
        stored: StoredChunk,
        blob: bytes,
        reading: Reading | None,
        generation: int = FIRST,
    ) -> list[float]:
        """A point's vector, verified as its content is. Raises `integrity.*`, `unavailable.keys`."""
        item = WrappedDEK(wrapped=stored.key.wrapped_dek, context=stored.wrapping_context())
        (dek,) = self.keyring.unwrap_all([item], reading)
        if isinstance(dek, RagwardError):
            raise dek
        context = EncryptionContext(
            tenant=stored.label.tenant,
            document_id=stored.document_id,
            chunk_id=vector_name(stored.point_id, generation),
            kind=Kind.VECTOR,
            revision=stored.version,
        )
        opened = self.cipher.decrypt(blob, dek=dek, dek_id=stored.key.dek_id, context=context)
        return unpack_vector(opened)[0]

    def fingerprint_key(self, tenant: str) -> bytes:
        """The key of a tenant's fingerprints. Raises `unavailable.keys`."""
        return tenant_key(self.keyring.mac_key("fingerprint"), tenant)

    def words_key(self, tenant: str) -> bytes:
        """The key of a tenant's words. Raises `unavailable.keys`."""
        return words_key(self.keyring.mac_key("words"), tenant)

    def words_asked(self, tenant: str, query: str) -> frozenset[int]:
        """A question's words as the tenant's points have them. Raises `unavailable.keys`."""
        return query_words(query, self.words_key(tenant))

    def version_of(self, stored: StoredChunk, reading: Reading | None) -> VersionEncryption:
        """The key of a version that is there, for more of the same. Raises `integrity.*`, `unavailable.keys`."""
        item = WrappedDEK(wrapped=stored.key.wrapped_dek, context=stored.wrapping_context())
        (dek,) = self.keyring.unwrap_all([item], reading)
        if isinstance(dek, RagwardError):
            raise dek
        return VersionEncryption(
            protection=self,
            label=stored.label,
            document_id=stored.document_id,
            version=stored.version,
            dek=dek,
            key=stored.key,
        )

    def new_version(self, document_id: str, version: int, label: AccessLabel) -> VersionEncryption:
        """A fresh DEK for one document version, wrapped under the KEK of its classification and bound to its label."""
        dek = self.cipher.new_dek()
        return VersionEncryption(
            protection=self,
            label=label,
            document_id=document_id,
            version=version,
            dek=dek,
            key=self.wrap(dek, str(uuid.uuid4()), document_id, version, label),
        )

    def wrap(
        self, dek: bytes, dek_id: str, document_id: str, version: int, label: AccessLabel
    ) -> KeyReference:
        """`dek` wrapped for `label`."""

        def wrapped(context: WrappingContext) -> bytes:
            return self.keyring.wrap(dek, context)

        return self._wrapped(dek_id, document_id, version, label, wrapped)

    def rewrap(
        self,
        key: KeyReference,
        document_id: str,
        version: int,
        *,
        bound: AccessLabel,
        label: AccessLabel,
        reading: Reading | None,
    ) -> KeyReference:
        """The same DEK, so far wrapped for the label `bound`, wrapped for `label`. Raises `integrity.*`, `unavailable.keys`."""
        before = wrapping_context(key, bound.tenant, document_id, version, bound.digest())
        item = WrappedDEK(wrapped=key.wrapped_dek, context=before)

        def wrapped(context: WrappingContext) -> bytes:
            (given,) = self.keyring.rewrap_all([(item, context)], reading)
            if isinstance(given, RagwardError):
                raise given
            return given

        return self._wrapped(key.dek_id, document_id, version, label, wrapped)

    def _wrapped(
        self,
        dek_id: str,
        document_id: str,
        version: int,
        label: AccessLabel,
        wrapped: Callable[[WrappingContext], bytes],
    ) -> KeyReference:
        """Under the active KEK; once more where it was rotated meanwhile."""
        for _ in range(2):
            kek = self.keyring.active_kek(label.tenant, label.classification)
            key = KeyReference(dek_id=dek_id, kek_id=kek[0], kek_version=kek[1], wrapped_dek=b"")
            context = wrapping_context(key, label.tenant, document_id, version, label.digest())
            try:
                return dataclasses.replace(key, wrapped_dek=wrapped(context))
            except ConflictError:
                continue
        raise UnavailableError("keys are being rotated", code="unavailable.keys")

    def _decrypted(self, stored: StoredChunk, dek: bytes) -> ChunkContent | RagwardError:
        try:
            plaintext = self.cipher.decrypt(
                stored.blob, dek=dek, dek_id=stored.key.dek_id, context=stored.content_context()
            )
            return ChunkContent.from_bytes(plaintext)
        except IntegrityError as damaged:
            return damaged


def embedded(
    embedder: Embedder, texts: Mapping[Place, str], known: Mapping[Place, Vector]
) -> dict[Place, Vector]:
    """The vectors of these views, those that are not known made in one batch."""
    wanted = [place for place in texts if place not in known]
    made = embedder.embed([texts[place] for place in wanted])
    return {**known, **dict(zip(wanted, made, strict=True))}


def views(item: ScannedChunk, redactor: Redactor) -> list[tuple[View, str]]:
    """The texts of a chunk to embed: its own, and where it has personal data, the one without."""
    made = [(View.FULL, item.chunk.text)]
    if item.spans:
        made.append((View.REDACTED, redactor.redact(item.chunk.text, item.spans, frozenset()).text))
    return made


def contents(opened: Iterable[ChunkContent | RagwardError]) -> list[ChunkContent]:
    """All of them. Raises the first error among them."""
    out = []
    for content in opened:
        if isinstance(content, RagwardError):
            raise content
        out.append(content)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEncryption:
    """One document version's key at work."""

    protection: Protection
    label: AccessLabel
    document_id: str
    version: int
    dek: bytes = field(repr=False)
    key: KeyReference

    def staged_chunks(
        self,
        scanned: Sequence[ScannedChunk],
        detector_version: str,
        kept: Mapping[str, Mapping[Place, Vector]] | None = None,
    ) -> tuple[StagedChunk, ...]:
        """Embeds in one batch per live generation all views of all chunks but those in `kept`, which has vectors by their
        model's digest; encrypts contents and vectors."""
        redactor = self.protection.redactor
        texts = [views(item, redactor) for item in scanned]
        places = {
            (item.chunk.ordinal, view): text
            for item, chunk_views in zip(scanned, texts, strict=True)
            for view, text in chunk_views
        }
        given = {
            generation: embedded(embedder, places, (kept or {}).get(embedder.model_digest, {}))
            for generation, embedder in self.protection.live().items()
        }
        key = self.protection.fingerprint_key(self.label.tenant)
        words_key = self.protection.words_key(self.label.tenant)
        chunks = []
        for item, chunk_views in zip(scanned, texts, strict=True):
            name = f"{self.document_id}/{self.version}/{item.chunk.ordinal}"
            chunk_id = str(uuid.uuid5(_NAMESPACE, name))
            points = tuple(
                self._point(
                    chunk_id,
                    view,
                    {g: vectors[item.chunk.ordinal, view] for g, vectors in given.items()},
                    word_weights(text, words_key),
                )
                for view, text in chunk_views
            )
            content = ChunkContent.of(item.chunk.text, item.spans, detector_version)
            chunks.append(
                StagedChunk(
                    chunk_id=chunk_id,
                    ordinal=item.chunk.ordinal,
                    blob=self._encrypt(content.to_bytes(), chunk_id, Kind.TEXT),
                    entity_types=item.entity_types,
                    verdict=item.screening.verdict.value,
                    points=points,
                    rules=item.screening.rules,
                    rule_set=item.screening.rule_set,
                    fingerprints=fingerprints(item.chunk.text, key),
                )
            )
        return tuple(chunks)

    def vector_blob(
        self, point_id: str, generation: int, vector: Vector, words: Mapping[int, float]
    ) -> bytes:
        """A point's vector of one generation, encrypted as handling says."""
        name = vector_name(point_id, generation)
        return self._encrypt(pack_vector(vector, words), name, Kind.VECTOR)

    def _point(
        self,
        chunk_id: str,
        view: View,
        vectors: Mapping[int, Vector],
        words: Mapping[int, float],
    ) -> StagedPoint:
        point_id = point_id_of(chunk_id, view)
        blobs = {
            generation: self.vector_blob(point_id, generation, vector, words)
            for generation, vector in vectors.items()
        }
        return StagedPoint(
            point_id=point_id,
            view=view,
            vector=next(iter(vectors.values())),
            vector_blob=blobs.pop(FIRST, b""),
            further=blobs,
        )

    def _encrypt(self, plaintext: bytes, name: str, kind: Kind) -> bytes:
        handling = self.protection.handling[self.label.classification]
        return self.protection.cipher.encrypt(
            plaintext,
            dek=self.dek,
            dek_id=self.key.dek_id,
            context=EncryptionContext(
                tenant=self.label.tenant,
                document_id=self.document_id,
                chunk_id=name,
                kind=kind,
                revision=self.version,
            ),
            suite=Suite.ENCRYPTED if handling.encrypt else Suite.AUTHENTICATED,
        )
