"""What somebody gets hold of who steals an installation's files, as `ragward leak-test` attacks it. No text is opened for it:
whether a stolen row is recognised is judged by vectors, of which the owner has the key."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from ragward.adapters.cipher_aesgcm import AESGCMCipher
from ragward.adapters.leak_attacks import Floats, as_floats, match_rates
from ragward.domain.content import pack_vector, packed_parts
from ragward.domain.corpus import IndexPoint, KeyReference, StoredVector, Vector
from ragward.domain.envelope import Suite
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.ports import Embedder
from ragward.vectors import VectorOpener

_SCROLL: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakResult:
    """One kind of copy under attack: the share of rows recognised, by attack; `chance` is what blind guessing gives."""

    mode: str
    rows: int
    guesses: int
    rates: dict[str, float] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """One right guess among all."""
        return 1 / self.guesses if self.guesses else 0.0


def plain_rows(index_dir: Path) -> dict[str, Floats]:
    """Point id -> vector, of a copy of the embedded index's files: no key is needed for it."""
    from qdrant_edge import EdgeShard, ScrollRequest

    found: dict[str, Floats] = {}
    with tempfile.TemporaryDirectory() as directory:
        for shard_dir in sorted(index_dir.glob("shard*")):
            copy = Path(directory) / shard_dir.name
            shutil.copytree(shard_dir, copy)
            shard: Any = EdgeShard.load(str(copy))
            offset = None
            while True:
                records, offset = shard.scroll(
                    ScrollRequest(offset=offset, limit=_SCROLL, with_vector=True)
                )
                found |= {str(r.id): np.array(_dense(r.vector), dtype=np.float32) for r in records}
                if offset is None:
                    break
            shard.close()
    return found


def _dense(vector: Any) -> Any:
    """A point with words has two."""
    return vector[""] if isinstance(vector, dict) else vector


def true_rows(
    opener: VectorOpener, stored: Sequence[StoredVector], dimension: int
) -> dict[str, Floats]:
    """Point id -> what the model makes of the point's text. Raises `unavailable.keys`."""
    found: dict[str, Floats] = {}
    for item, opened in zip(stored, opener.opened(stored), strict=True):
        if isinstance(opened, UnavailableError):
            raise opened
        if not isinstance(opened, RagwardError):
            packed = packed_parts(opened, dimension).vector
            found[item.point_id] = np.frombuffer(packed, dtype="<f4")
    return found


def attacked(
    stored: Sequence[StoredVector], truth: dict[str, Floats], plain: dict[str, Floats]
) -> list[LeakResult]:
    """The attacks on the index's copy and on the catalog's, of the points whose text the thief guesses among others."""
    known = [item for item in stored if item.point_id in truth]
    if not known:
        return []
    guesses = np.array([truth[item.point_id] for item in known])
    results = []
    there = [i for i, item in enumerate(known) if item.point_id in plain]
    if there:
        rest = [i for i in range(len(known)) if i not in set(there)]
        stolen = np.array([plain[known[i].point_id] for i in there])
        results.append(_result("in the index", stolen, guesses[[*there, *rest]]))
    dimension = guesses.shape[1]
    blobs = as_floats([item.vector_blob for item in known], dimension)
    results.append(_result("in the catalog", blobs, guesses))
    return results


def _result(mode: str, stolen: Floats, guesses: Floats) -> LeakResult:
    rates = match_rates(stolen, guesses)
    return LeakResult(mode=mode, rows=len(stolen), guesses=len(guesses), rates=rates)


def sample_copies(
    embedder: Embedder, directory: Path, size: int
) -> tuple[list[StoredVector], dict[str, Floats], dict[str, Floats]]:
    """What would be stored of made-up sentences, and what stands in the index if they are kept in plain: for a look at the
    modes without an installation."""
    from ragward.adapters.index_edge import EdgeChunkIndex

    texts = [_sentence(number) for number in range(size)]
    vectors = embedder.embed(texts)
    names = [str(uuid.UUID(int=number + 1)) for number in range(size)]
    cipher, dek = AESGCMCipher(), os.urandom(32)
    index = EdgeChunkIndex.open(
        directory, dimension=embedder.dimension, model_digest=embedder.model_digest
    )
    index.upsert(
        [
            IndexPoint(point_id=name, scope_id=1, vector=vector)
            for name, vector in zip(names, vectors, strict=True)
        ]
    )
    index.close()
    stored = [_encrypted(cipher, dek, *pair) for pair in zip(names, vectors, strict=True)]
    truth = {n: np.array(v, dtype=np.float32) for n, v in zip(names, vectors, strict=True)}
    return stored, truth, plain_rows(directory)


def _encrypted(cipher: AESGCMCipher, dek: bytes, name: str, vector: Vector) -> StoredVector:
    key = KeyReference(dek_id=str(uuid.UUID(int=0)), kek_id="", kek_version=0, wrapped_dek=b"")
    made = StoredVector(
        point_id=name,
        scope_id=1,
        tenant="sample",
        document_id=name,
        version=1,
        label_digest=b"",
        key=key,
        vector_blob=b"",
    )
    blob = cipher.encrypt(
        pack_vector(vector, {}),
        dek=dek,
        dek_id=key.dek_id,
        context=made.vector_context(),
        suite=Suite.ENCRYPTED,
    )
    return dataclasses.replace(made, vector_blob=blob)


def _sentence(number: int) -> str:
    first, rest = divmod(number, len(_WHAT))
    second, third = divmod(first, len(_WHO))
    when = _WHEN[second % len(_WHEN)]
    return f"The {_WHO[third]} {_WHAT[rest]} {when}, as item {number} of the list says."


_WHO: Final = (
    "finance office",
    "night shift",
    "laboratory in Lyon",
    "chief engineer",
    "works council",
    "supplier of valves",
    "audit committee",
    "sales team",
)
_WHAT: Final = (
    "postponed the merger",
    "found a crack in the third turbine",
    "asked for higher wages",
    "lost the contract with the ministry",
    "recalls the faulty batteries",
    "plans to close the northern plant",
    "pays a settlement out of court",
    "tests the new vaccine on volunteers",
    "changed every password after the break-in",
    "hired a second accountant",
)
_WHEN: Final = ("in March", "last year", "before the board met", "on Friday", "without notice")
