"""Every door between the flows and the outside. Adapters implement these; `tests/fakes` too.

    asking    who asks, what they may do, how often, the record of it
    policy    policies, labels, applications, people
    catalog   documents, the index's due, jobs, reviews, pseudonyms
    index     vectors and words, to be searched
    content   reading, cutting, embedding, scanning, judging, redacting
    keys      keys and ciphers
    lineage   where chunks came from
    generations   vectors of several models

Nothing an adapter's library raises passes through a port: adapters raise the errors of `domain.errors`.
"""

from __future__ import annotations

from ragward.ports.asking import (
    AuditLog,
    Clock,
    EpochTokens,
    IdentityVerifier,
    Limiter,
    PolicyDecisionPoint,
)
from ragward.ports.catalog import (
    Catalog,
    DocumentStore,
    JobStore,
    KeyLedger,
    Outbox,
    PseudonymStore,
    ReviewStore,
    VectorStore,
)
from ragward.ports.content import (
    Analyser,
    Chunker,
    Classifier,
    Embedder,
    Finder,
    Loader,
    PseudonymTokens,
    Reader,
    Redactor,
    Screener,
    SignatureVerifier,
    TextExtractor,
    TrainedClassifier,
)
from ragward.ports.elevation import Alarm, ElevationStore
from ragward.ports.generations import (
    GenerationalIndex,
    GenerationStore,
    Lacking,
    LiveModels,
)
from ragward.ports.holds import HoldStore
from ragward.ports.identities import IdentityStore
from ragward.ports.index import ChunkIndex, ChunkSearch, ScopeDirectory
from ragward.ports.keys import Cipher, Keyring
from ragward.ports.lineage import LineageStore
from ragward.ports.policy import (
    ApplicationsAndDirectory,
    ApplicationStore,
    DirectoryStore,
    LabelStore,
    PolicyHistory,
    PolicyStore,
)
from ragward.ports.task_grants import TaskGrantStore

__all__ = [
    "Alarm",
    "Analyser",
    "ApplicationStore",
    "ApplicationsAndDirectory",
    "AuditLog",
    "Catalog",
    "ChunkIndex",
    "ChunkSearch",
    "Chunker",
    "Cipher",
    "Classifier",
    "Clock",
    "DirectoryStore",
    "DocumentStore",
    "ElevationStore",
    "Embedder",
    "EpochTokens",
    "Finder",
    "GenerationStore",
    "GenerationalIndex",
    "HoldStore",
    "IdentityStore",
    "IdentityVerifier",
    "JobStore",
    "KeyLedger",
    "Keyring",
    "LabelStore",
    "Lacking",
    "Limiter",
    "LineageStore",
    "LiveModels",
    "Loader",
    "Outbox",
    "PolicyDecisionPoint",
    "PolicyHistory",
    "PolicyStore",
    "PseudonymStore",
    "PseudonymTokens",
    "Reader",
    "Redactor",
    "ReviewStore",
    "ScopeDirectory",
    "Screener",
    "SignatureVerifier",
    "TaskGrantStore",
    "TextExtractor",
    "TrainedClassifier",
    "VectorStore",
]
