"""Encrypted vectors as the catalog has them, without the catalog, and a keyring that can be taken away."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.domain.content import pack_vector
from ragward.domain.corpus import IndexScope, KeyReference, StoredVector, View
from ragward.domain.envelope import KeyPurpose, Suite, purpose_key
from ragward.domain.errors import UnavailableError
from ragward.domain.keys import KEKState
from ragward.domain.labels import AccessLabel, Classification

TENANT = "acme"
LEVELS = (Classification.CONFIDENTIAL, Classification.RESTRICTED)


class FakeKeyring:
    """One DEK for everything; `away` and `destroyed` are what tests set. One KEK per classification."""

    def __init__(self):
        self.away = set()
        self.destroyed = set()
        self.unwrapped = Counter()

    def vector_keys(self, wraps):
        return [self._key(each.wrapped, each.context) for each in wraps]

    def _key(self, wrapped, context):
        self.unwrapped[context.kek_id] += 1
        if context.kek_id in self.away:
            return UnavailableError(code="unavailable.keys")
        return purpose_key(wrapped, KeyPurpose.VECTOR)

    def status(self):
        if self.away:
            raise UnavailableError(code="unavailable.keys")
        return [
            SimpleNamespace(
                kek_id=level.name,
                version=1,
                state=KEKState.DESTROYED if level.name in self.destroyed else KEKState.ACTIVE,
            )
            for level in LEVELS
        ]


class FakeVectorStore:
    """`ports.VectorStore` and the labels and scopes it goes with.

    Scope n is of label n; labels 1 to 50 are CONFIDENTIAL, 51 to 100 RESTRICTED with the compartment that has their last
    digit. A point is a document of its own unless it is told which.
    """

    LABELS = 100

    def __init__(self):
        self._cipher = AESGCMCipher()
        self._lock = threading.RLock()
        self._points = {}
        self._moved = {}
        self._mark = 0
        self.reads = Counter()
        self.on_read = lambda: None

    def put(self, point_id, scope_id, vector, document=None, words=None):
        """A point as the catalog has it from now on."""
        level = self.label(scope_id).classification
        stored = StoredVector(
            point_id=point_id,
            scope_id=scope_id,
            tenant=TENANT,
            document_id=document or f"d{point_id}",
            version=1,
            label_digest=b"",
            key=KeyReference(
                dek_id="00000000-0000-0000-0000-000000000001",
                kek_id=level.name,
                kek_version=1,
                wrapped_dek=bytes(32),
            ),
            vector_blob=b"",
        )
        blob = self._cipher.encrypt(
            pack_vector(vector, words or {}),
            dek=bytes(32),
            dek_id=stored.key.dek_id,
            context=stored.vector_context(),
            suite=Suite.ENCRYPTED,
        )
        with self._lock:
            self._points[point_id] = SimpleNamespace(stored=stored, blob=blob)
            self._touch(stored.document_id)

    def remove(self, point_id):
        with self._lock:
            at = self._points.pop(point_id, None)
            if at is not None:
                self._touch(at.stored.document_id)

    def _touch(self, document):
        self._mark += 1
        self._moved[document] = self._mark

    def clear(self):
        with self._lock:
            for point_id in tuple(self._points):
                self.remove(point_id)

    @staticmethod
    def label(number):
        restricted = number > 50
        return AccessLabel(
            tenant=TENANT,
            corpus="hr",
            classification=LEVELS[restricted],
            compartments=frozenset([f"c{number % 10}"] if restricted else []),
            granted=frozenset({f"user:acme/u{number}"}),
        )

    def labels(self, tenant, *, after=0):
        return {n: self.label(n) for n in range(after + 1, self.LABELS + 1)}

    def scopes(self, tenant, *, after=0):
        return [
            IndexScope(
                scope_id=n, label_id=n, corpus="hr", view=View.FULL, entity_types=frozenset()
            )
            for n in range(after + 1, self.LABELS + 1)
        ]

    def tenant_of_scope(self, scope_id):
        return TENANT if scope_id <= self.LABELS else None

    def vector_mark(self, tenant):
        return self._mark

    def documents_moved(self, tenant, *, since):
        with self._lock:
            return self._mark, [d for d, mark in self._moved.items() if mark > since]

    def documents_answering(self, tenant, label_ids):
        self.reads["segment"] += 1
        with self._lock:
            found = {
                p.stored.document_id
                for p in self._points.values()
                if p.stored.scope_id in label_ids
            }
        return sorted(found)

    def vectors_of(self, tenant, document_ids, label_ids, *, generation=1):
        self.on_read()
        with self._lock:
            return [
                self._full(p)
                for p in self._points.values()
                if p.stored.document_id in document_ids and p.stored.scope_id in label_ids
            ]

    def vectors_named(self, point_ids, *, generation=1):
        with self._lock:
            return [self._full(self._points[n]) for n in point_ids if n in self._points]

    @staticmethod
    def _full(at):
        return replace(at.stored, vector_blob=at.blob)

    def scope_of(self, point_id):
        return self._points[point_id].stored.scope_id

    def __contains__(self, point_id):
        return point_id in self._points
