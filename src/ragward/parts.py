"""What the flows of an installation share, opened together: innermost first, closed in reverse."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragward.canary import require_accepted
from ragward.disclosure import Disclosure
from ragward.domain.assurance import Assuring
from ragward.domain.classification import Thresholds
from ragward.domain.generations import FIRST, Generation
from ragward.domain.handling import Handling, sealed_levels
from ragward.domain.keys import KeyUse
from ragward.domain.labels import Classification
from ragward.evidence import Recorder
from ragward.index_sync import IndexSync
from ragward.opening import (
    Doubles,
    closing,
    disclosure_rules,
    entity_types,
    open_assuring,
    open_audit,
    open_catalog,
    open_chunker,
    open_classifiers,
    open_embedder,
    open_extractor,
    open_finder,
    open_identity,
    open_index,
    open_keyring,
    open_ledger,
    open_limiter,
    open_pdp,
    open_search_embedders,
    open_signed_authority,
    open_tracing,
    remove_dropped,
    resource,
)
from ragward.ports import (
    AuditLog,
    Catalog,
    Chunker,
    ChunkIndex,
    ChunkSearch,
    Cipher,
    Classifier,
    Clock,
    Embedder,
    EpochTokens,
    Finder,
    GenerationalIndex,
    KeyLedger,
    Keyring,
    Limiter,
    PolicyDecisionPoint,
    Reader,
    ReceiptSecrets,
    ScopeDirectory,
    Screener,
    TextExtractor,
    TrainedClassifier,
    Watch,
)
from ragward.protection import Protection
from ragward.settings import Settings
from ragward.vault import PseudonymVault
from ragward.vectors import VectorOpener
from ragward.watching import Watching, open_watch

if TYPE_CHECKING:
    from ragward.adapters.identity_tasks import TaskGrantVerifier
    from ragward.adapters.models_live import ModelGenerations
    from ragward.adapters.owner_client import Owner
    from ragward.adapters.signed_authority import SignedAuthority
    from ragward.adapters.tracing_otel import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one process must hold for all: here, or with the process that was first."""

    audit: AuditLog
    index: ChunkIndex
    limiter: Limiter
    owner: Owner | None
    generational: bool
    """Whether there is, or may be, more than one generation of vectors."""

    @property
    def is_ours(self) -> bool:
        """Whether this process is the one that holds it."""
        return self.owner is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What stands by itself."""

    settings: Settings
    policies: Path
    clock: Clock
    keyring: Keyring
    catalog: Catalog
    ledger: KeyLedger
    embedder: Embedder
    models: ModelGenerations
    held: Held
    cipher: Cipher
    finder: Finder
    classifier: Classifier
    thresholds: Thresholds
    trained: Mapping[str, TrainedClassifier]
    """by tenant"""
    screener: Screener
    signed: SignedAuthority | None
    """None where a test brought its own catalog"""
    pdp: PolicyDecisionPoint
    identity: TaskGrantVerifier
    extractor: TextExtractor
    chunker: Chunker

    def keys(self, *uses: KeyUse) -> Keyring:
        """The keyring for these uses only."""
        from ragward.adapters.keyring_limited import LimitedKeyring

        return LimitedKeyring(self.keyring, frozenset(uses))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What is made of it."""

    opened: Opened
    recorder: Recorder
    watch: Watch
    limiter: Limiter
    """The one that was opened, and restrictions"""
    protection: Protection
    sealed_levels: frozenset[Classification]
    sealed: ChunkSearch
    index: GenerationalIndex
    index_sync: IndexSync
    scopes: ScopeDirectory
    epoch_tokens: EpochTokens
    receipt_secrets: ReceiptSecrets
    disclosure: Disclosure
    assuring: Assuring
    open_reader: Callable[[], Reader] | None
    tracing: Tracing | None

    @property
    def answering(self) -> Protection:
        """Protection whose embedder is that of the generation that answers."""
        from ragward.adapters.models_live import ServingEmbedder

        if self.protection.models is None:
            return self.protection
        return dataclasses.replace(self.protection, embedder=ServingEmbedder(self.opened.models))

    def protection_with(self, *uses: KeyUse) -> Protection:
        """Protection with a keyring for these uses only."""
        return dataclasses.replace(self.protection, keyring=self.opened.keys(*uses))


def open_parts(settings: Settings, given: Doubles, stack: ExitStack) -> Parts:
    """Everything; what was opened is closed when the stack is. Raises `config.*`, `integrity.*`, `unavailable.*`."""
    from ragward.adapters.epoch_tokens_aessiv import AESSIVEpochTokens
    from ragward.adapters.handling_toml import load_handling
    from ragward.adapters.receipts_aesgcm import AESGCMReceiptSecrets
    from ragward.adapters.redactor_presidio import PresidioRedactor
    from ragward.adapters.scope_directory import MemoryScopeDirectory

    opened = _opened(settings, given, stack)
    keyring = opened.keyring
    handling = load_handling(opened.policies / "handling.toml")
    watched = open_watch(_watching(opened, handling), given, stack)
    recorder = watched.recorder
    protection = Protection(
        keyring=opened.keys(KeyUse.UNWRAP),
        cipher=opened.cipher,
        embedder=opened.embedder,
        redactor=PresidioRedactor(),
        handling=handling,
        models=opened.models if opened.held.generational else None,
    )
    levels = sealed_levels(protection.handling)
    opener = VectorOpener(keyring=opened.keys(KeyUse.VECTORS), cipher=opened.cipher)
    sealed = _sealed(opened, opener, recorder, levels, stack)
    index = _whole_index(opened.held.index, sealed)
    index_sync = IndexSync(
        catalog=opened.catalog, index=index, opener=opener, sealed=levels, recorder=recorder
    )
    if opened.held.is_ours:
        index_sync.adopt()
    return Parts(
        opened=opened,
        recorder=recorder,
        watch=watched.watch,
        limiter=watched.limiter,
        protection=protection,
        sealed_levels=levels,
        sealed=sealed,
        index=index,
        index_sync=index_sync,
        scopes=MemoryScopeDirectory(opened.catalog),
        epoch_tokens=AESSIVEpochTokens(lambda: keyring.mac_key("epoch-token")),
        receipt_secrets=AESGCMReceiptSecrets(lambda: keyring.mac_key("receipt")),
        disclosure=_disclosure(opened, recorder),
        assuring=open_assuring(opened.policies),
        open_reader=_reader_opener(settings, given.reader, stack),
        tracing=open_tracing(settings, stack),
    )


def _watching(opened: Opened, handling: Handling) -> Watching:
    return Watching(
        catalog=opened.catalog,
        keyring=opened.keys(),
        audit=opened.held.audit,
        limiter=opened.held.limiter,
        pdp=opened.pdp,
        policies=opened.policies,
        clock=opened.clock,
        handling=handling,
    )


def _opened(settings: Settings, given: Doubles, stack: ExitStack) -> Opened:
    from ragward.adapters.cipher_aesgcm import AESGCMCipher
    from ragward.adapters.classifier_rules import RuleClassifier
    from ragward.adapters.clock_system import SystemClock
    from ragward.adapters.egress import stay_offline
    from ragward.adapters.identity_tasks import TaskGrantVerifier
    from ragward.adapters.screener_rules import RuleScreener

    stay_offline()
    policies = settings.policies_dir or resource("policies")
    clock = given.clock or SystemClock()
    keyring = given.keyring or closing(open_keyring(settings), stack)
    catalog = given.catalog or open_catalog(settings, stack)
    embedder = given.embedder or open_embedder(settings)
    models = _models(settings, given, catalog, embedder, clock)
    require_accepted(catalog, models.serving()[1].model_digest)
    held = _held(settings, given, keyring, models, catalog, clock, stack)
    signed = None
    if given.catalog is None:
        signed = open_signed_authority(settings, catalog, held.audit, clock, stack)
    if held.is_ours:
        catalog.recover()  # whoever left something died: the log has one writer, and that is us
    rules = RuleClassifier.from_file(policies / "classification.yaml", entity_types())
    return Opened(
        settings=settings,
        policies=policies,
        clock=clock,
        keyring=keyring,
        catalog=catalog,
        ledger=open_ledger(settings, clock, stack),
        embedder=embedder,
        models=models,
        held=held,
        cipher=AESGCMCipher(),
        finder=given.finder or open_finder(settings, embedder, disclosure_rules(policies)),
        classifier=rules,
        thresholds=rules.thresholds,
        trained=open_classifiers(settings, embedder),
        screener=RuleScreener.from_file(policies / "injection.yaml"),
        signed=signed,
        pdp=given.pdp or open_pdp(signed or catalog, policies, catalog),
        identity=closing(
            TaskGrantVerifier(
                given.identity or open_identity(settings, signed or catalog, clock),
                catalog,
                clock,
                agents=signed or catalog,
                required=settings.agents_need_task_grant,
            ),
            stack,
        ),
        extractor=given.extractor or open_extractor(settings, stack),
        chunker=given.chunker or open_chunker(settings),
    )


def _models(
    settings: Settings, given: Doubles, catalog: Catalog, embedder: Embedder, clock: Clock
) -> ModelGenerations:
    """Raises `config.model_mismatch` where a live generation is of a model that is not here."""
    from ragward.adapters.models_live import ModelGenerations

    further = given.search_embedders
    if further is None:
        further = open_search_embedders(settings)
    models = ModelGenerations(catalog, [embedder, *further], clock)
    models.live()
    return models


def _held(
    settings: Settings,
    given: Doubles,
    keyring: Keyring,
    models: ModelGenerations,
    catalog: Catalog,
    clock: Clock,
    stack: ExitStack,
) -> Held:
    from ragward.adapters.owner_client import Owner, OwnerAuditLog, OwnerChunkIndex, OwnerLimiter

    several = models.several or catalog.generations() is not None
    owner = Owner.find(settings.data_dir, models.digests())
    if owner is None:
        return Held(
            audit=given.audit or open_audit(settings, keyring, stack),
            index=_index(settings, given, models, stack, several=several),
            limiter=given.limiter or open_limiter(settings, catalog, clock),
            owner=None,
            generational=several,
        )
    stack.callback(owner.close)
    own_index = None
    if settings.qdrant_url:
        own_index = _index(settings, given, models, stack, several=several)
    return Held(
        audit=given.audit or closing(OwnerAuditLog(owner, settings.audit_spools), stack),
        index=given.index or own_index or OwnerChunkIndex(owner),
        limiter=given.limiter or OwnerLimiter(owner),
        owner=owner,
        generational=several,
    )


def _index(
    settings: Settings, given: Doubles, models: ModelGenerations, stack: ExitStack, *, several: bool
) -> ChunkIndex:
    """One index, or a part for each generation of vectors."""
    from ragward.adapters.index_generations import GenerationalChunkIndex

    def opened(part: Generation) -> ChunkIndex:
        if part.number == FIRST and given.index is not None:
            return given.index
        return open_index(settings, part.dimension, part.model, part.number)

    if not several:
        return given.index or closing(opened(models.read().serving), stack)
    if not settings.qdrant_url:
        remove_dropped(settings, models.read())
    index = closing(GenerationalChunkIndex(models, opened), stack)
    index.count()  # so that an owned or a damaged one is refused now
    return index


def _sealed(
    opened: Opened,
    opener: VectorOpener,
    recorder: Recorder,
    levels: frozenset[Classification],
    stack: ExitStack,
) -> ChunkSearch:
    """Decrypted vectors are in the memory of one process only, the owner's."""
    if opened.held.owner is not None:
        from ragward.adapters.owner_client import OwnerChunkSearch

        return OwnerChunkSearch(opened.held.owner)
    from ragward.adapters.index_generations import GenerationalSearch
    from ragward.adapters.index_sealed import SealedChunkIndex

    def part(generation: Generation) -> SealedChunkIndex:
        return SealedChunkIndex(
            opened.catalog,
            opener,
            recorder,
            opened.clock,
            opened.keyring.status,
            sealed=levels,
            dimension=generation.dimension,
            max_bytes=opened.settings.sealed_memory_mb * 2**20,
            idle_seconds=opened.settings.sealed_idle_seconds,
            generation=generation.number,
        )

    if opened.held.generational:
        return closing(GenerationalSearch(opened.models, part), stack)
    return closing(part(opened.models.read().serving), stack)


def _whole_index(index: ChunkIndex, sealed: ChunkSearch) -> GenerationalIndex:
    """The index that flows use; the owner's is whole already."""
    from ragward.adapters.index_merged import MergedChunkIndex
    from ragward.adapters.owner_client import OwnerChunkIndex

    return index if isinstance(index, OwnerChunkIndex) else MergedChunkIndex(index, sealed)


def _disclosure(opened: Opened, recorder: Recorder) -> Disclosure:
    from ragward.adapters.pseudonyms_aessiv import AESSIVPseudonyms

    keyring = opened.keyring
    return Disclosure(
        rules=disclosure_rules(opened.policies),
        tokens=AESSIVPseudonyms(lambda: keyring.mac_key("pseudonym")),
        vault=PseudonymVault(
            store=opened.catalog,
            keyring=opened.keys(KeyUse.WRAP, KeyUse.UNWRAP),
            cipher=opened.cipher,
            clock=opened.clock,
        ),
        finder=opened.finder,
        pdp=opened.pdp,
        recorder=recorder,
        clock=opened.clock,
    )


def _reader_opener(
    settings: Settings, given: Callable[[], Reader] | None, stack: ExitStack
) -> Callable[[], Reader] | None:
    """Opens what reads ahead, once, when it is first needed; None where the process reads by itself: threads beside the model
    make it wait for Python's lock at each of its steps."""
    if given is None and settings.ingest_engine == "local":
        return None
    held = ExitStack()  # what is opened later is closed with everything else
    stack.callback(held.close)
    opened: list[Reader] = []

    def once() -> Reader:
        if not opened:
            opened.append(given() if given else _reader(settings, held))
        return opened[0]

    return once


def _reader(settings: Settings, stack: ExitStack) -> Reader:
    from ragward.adapters.reading_dask import connected
    from ragward.reading_worker import Setup, read_document

    workers = settings.dask_workers
    return connected(
        settings.dask_scheduler,
        workers=workers,
        tls=settings.dask_tls,
        setup=Setup.of(settings, max(1, (os.cpu_count() or 1) // workers)),
        read=read_document,
        stack=stack,
    )
