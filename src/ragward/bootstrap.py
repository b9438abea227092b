"""The composition root: settings in, a wired `Ragward` out. The only place that knows which adapter stands behind a port.

Adapters are imported where they are opened, because several of them load seconds' worth of libraries.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar

from ragward.adapters.model_manifest import ModelFiles, ModelManifest
from ragward.canary import ModelCanary, require_accepted
from ragward.disclosure import Disclosure
from ragward.domain.access import Credentials, Subject
from ragward.domain.disclosure import DisclosureRules
from ragward.domain.errors import ConfigurationError, RagwardError, UnavailableError
from ragward.domain.handling import Handling, sealed_levels
from ragward.domain.jobs import JobItem
from ragward.domain.keys import USES_OF, KeyRole, KeyUse
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import Answer, RetrievalRequest
from ragward.domain.policy_review import SeparatedDuties
from ragward.evaluation import Evaluation, EvaluationPorts
from ragward.evidence import Recorder
from ragward.explanation import Explainer, ExplainerPorts
from ragward.index_sync import IndexSync
from ragward.ingestion import Ingestion, IngestionPorts
from ragward.labelling import Labelling
from ragward.learning import Learning, LearningPorts
from ragward.outputs import Outputs, OutputsPorts
from ragward.policy_administration import PolicyAdministration, PolicyAdministrationPorts
from ragward.ports import (
    AuditLog,
    Catalog,
    Chunker,
    ChunkIndex,
    ChunkSearch,
    Clock,
    Embedder,
    EpochTokens,
    Finder,
    IdentityVerifier,
    KeyLedger,
    Keyring,
    Limiter,
    PolicyDecisionPoint,
    TextExtractor,
    TrainedClassifier,
)
from ragward.protection import Protection
from ragward.provisioning import Provisioning, ProvisioningPorts
from ragward.relabelling import Relabelling, RelabellingPorts
from ragward.rescanning import Rescanning, RescanningPorts
from ragward.rescreening import Rescreening, RescreeningPorts
from ragward.retrieval import Retrieval, RetrievalPorts
from ragward.reviewing import Reviewing, ReviewingPorts
from ragward.rotation import Rotation, RotationPorts
from ragward.settings import Settings, outgoing_hosts
from ragward.shredding import Shredding, ShreddingPorts
from ragward.stewardship import Stewardship, StewardshipPorts
from ragward.vault import PseudonymVault
from ragward.vectors import VectorOpener

if TYPE_CHECKING:
    from ragward.adapters.owner_client import Owner

#: The application behind the command line and in-process use; people's tokens come through it without a second credential.
CLI_CLIENT_ID: Final = "ragward-cli"


class _Closes(Protocol):
    def close(self) -> None: ...


_Closeable = TypeVar("_Closeable", bound=_Closes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubles:
    """Ports given instead of opened, for tests and benchmarks; None means the real one."""

    embedder: Embedder | None = None
    chunker: Chunker | None = None
    index: ChunkIndex | None = None
    catalog: Catalog | None = None
    keyring: Keyring | None = None
    finder: Finder | None = None
    extractor: TextExtractor | None = None
    identity: IdentityVerifier | None = None
    limiter: Limiter | None = None
    pdp: PolicyDecisionPoint | None = None
    audit: AuditLog | None = None
    clock: Clock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragward:
    """A wired installation: the flows and what operators look at. Close it, or use it as a context manager."""

    settings: Settings
    retrieval: Retrieval
    disclosure: Disclosure
    rescanning: Rescanning
    rescreening: Rescreening
    ingestion: Ingestion
    stewardship: Stewardship
    relabelling: Relabelling
    reviewing: Reviewing
    learning: Learning
    rotation: Rotation
    shredding: Shredding
    evaluation: Evaluation
    outputs: Outputs
    explainer: Explainer
    policy_administration: PolicyAdministration
    provisioning: Provisioning
    catalog: Catalog
    index: ChunkIndex
    sealed: ChunkSearch
    index_sync: IndexSync
    keyring: Keyring
    epoch_tokens: EpochTokens
    embedder: Embedder
    handling: Handling
    model_files: ModelFiles
    audit: AuditLog
    limiter: Limiter
    identity: IdentityVerifier
    pdp: PolicyDecisionPoint
    clock: Clock
    _resources: ExitStack = field(repr=False)

    @classmethod
    def open(cls, settings: Settings, doubles: Doubles | None = None) -> Ragward:
        """Opens everything. Raises `config.*`, `integrity.model`, `integrity.keyring`, `unavailable.catalog`."""
        with ExitStack() as stack:
            wired = _wire(settings, doubles or Doubles(), stack)
            return cls(settings=settings, _resources=stack.pop_all(), **wired)

    def close(self) -> None:
        """Flushes and releases the index, the catalog, the log and the parser process."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def retrieve(self, credentials: Credentials, request: RetrievalRequest | str) -> Answer:
        """Answers a question, as `POST /v1/retrieve` does."""
        if isinstance(request, str):
            request = RetrievalRequest(query=request)
        return self.retrieval.retrieve(credentials, request)

    def identify(self, credentials: Credentials) -> Subject:
        """The verified subject behind a token; needed for everything but `retrieve`."""
        return self.retrieval.identify(credentials)

    def epoch_token(self, tenant: str) -> str:
        """A token of the tenant's present epoch, for `RetrievalRequest.min_epoch`."""
        return self.epoch_tokens.issue(tenant, self.catalog.epoch(tenant))

    def share(self) -> None:
        """Lets other processes of this user open the same installation, for as long as this one is open."""
        from ragward.adapters.owner_server import OwnerServer

        server = OwnerServer(
            self.settings.data_dir,
            index=self.index,
            sealed=self.sealed,
            audit=self.audit,
            limiter=self.limiter,
            model_digest=self.embedder.model_digest,
        )
        self._resources.callback(server.close)

    def readiness(self) -> dict[str, str]:
        """Per part: `ok`, or the code of what is wrong."""
        checks: dict[str, Callable[[], object]] = {
            "catalog": self.catalog.check_ready,
            "index": self.index.count,
            "keys": lambda: self.keyring.mac_key("query-tag"),
            "audit": lambda: self.audit.entries(limit=1),
            "model": self.model_files.require,
        }
        return {name: _outcome(check) for name, check in checks.items()}

    def degraded(self) -> list[str]:
        """What works only in part: `rewrap_pending` while documents wait for their key, and cannot be read; or is under way:
        `rotation_pending`, while everything can be read."""
        try:
            found = [f"{pending.value}_pending" for pending in sorted(self.catalog.count_pending())]
        except UnavailableError:
            return []  # `readiness` says so
        return found + (["rotation_pending"] if self.rotations_waiting() else [])

    def rotations_waiting(self) -> int:
        """KEKs that are being rotated; 0 for a process that may not look."""
        try:
            return self.rotation.waiting()
        except UnavailableError:
            return 0


def _outcome(check: Callable[[], object]) -> str:
    try:
        check()
    except RagwardError as error:
        return error.code
    return "ok"


# Wiring. ------------------------------------------------------------------------------------------------------------


def _wire(settings: Settings, given: Doubles, stack: ExitStack) -> dict[str, Any]:
    """Everything, innermost first; what was opened is closed in reverse when the stack is."""
    from ragward.adapters.cipher_aesgcm import AESGCMCipher
    from ragward.adapters.classifier_rules import RuleClassifier
    from ragward.adapters.classifier_training import ScikitLearnTrainer
    from ragward.adapters.clock_system import SystemClock
    from ragward.adapters.egress import stay_offline
    from ragward.adapters.epoch_tokens_aessiv import AESSIVEpochTokens
    from ragward.adapters.handling_toml import load_handling
    from ragward.adapters.identity_keys import new_api_key
    from ragward.adapters.keyring_limited import LimitedKeyring
    from ragward.adapters.pseudonyms_aessiv import AESSIVPseudonyms
    from ragward.adapters.redactor_presidio import PresidioRedactor
    from ragward.adapters.scope_directory import MemoryScopeDirectory
    from ragward.adapters.screener_rules import RuleScreener
    from ragward.adapters.trust_toml import load_trust

    stay_offline()
    policies = settings.policies_dir or resource("policies")
    clock = given.clock or SystemClock()
    keyring = given.keyring or _closing(open_keyring(settings), stack)
    catalog = given.catalog or open_catalog(settings, stack)
    embedder = given.embedder or open_embedder(settings)
    require_accepted(catalog, embedder.model_digest)
    held = _held(settings, given, keyring, embedder, stack)
    if held.is_ours:
        catalog.recover()  # whoever left something died: the log has one writer, and that is us
    audit = held.audit
    cipher = AESGCMCipher()
    redactor = PresidioRedactor()
    classifier = RuleClassifier.from_file(policies / "classification.yaml", _entity_types())
    labelling = Labelling(classifier, classifier.thresholds, _trained(settings, embedder))
    rules = _disclosure_rules(policies)
    finder = given.finder or _finder(settings, embedder, rules)
    screener = RuleScreener.from_file(policies / "injection.yaml")
    pdp = given.pdp or _pdp(catalog, policies)
    scopes = MemoryScopeDirectory(catalog)
    epoch_tokens = AESSIVEpochTokens(lambda: keyring.mac_key("epoch-token"))
    recorder = Recorder(audit=audit, clock=clock)
    reading, writing, moving = (
        LimitedKeyring(keyring, uses)
        for uses in (
            {KeyUse.UNWRAP},
            {KeyUse.WRAP},
            {KeyUse.UNWRAP, KeyUse.WRAP, KeyUse.REWRAP},
        )
    )
    protection = Protection(
        keyring=reading,
        cipher=cipher,
        embedder=embedder,
        redactor=redactor,
        handling=load_handling(policies / "handling.toml"),
    )
    opener = VectorOpener(keyring=LimitedKeyring(keyring, {KeyUse.VECTORS}), cipher=cipher)
    barred = sealed_levels(protection.handling)
    sealed = _sealed(settings, held, catalog, opener, recorder, keyring, barred, stack)
    index = held.index_with(sealed)
    index_sync = IndexSync(
        catalog=catalog, index=index, opener=opener, sealed=barred, recorder=recorder
    )
    if held.is_ours:
        index_sync.adopt()
    identity = given.identity or _identity(settings, catalog, clock)
    disclosure = Disclosure(
        rules=rules,
        tokens=AESSIVPseudonyms(lambda: keyring.mac_key("pseudonym")),
        vault=PseudonymVault(
            store=catalog,
            keyring=LimitedKeyring(keyring, {KeyUse.WRAP, KeyUse.UNWRAP}),
            cipher=cipher,
            clock=clock,
        ),
        finder=finder,
        pdp=pdp,
        recorder=recorder,
        clock=clock,
    )
    retrieval = Retrieval(
        RetrievalPorts(
            identity=identity,
            limiter=held.limiter,
            screener=screener,
            trust=load_trust(policies / "trust.toml"),
            pdp=pdp,
            scopes=scopes,
            index=index,
            catalog=catalog,
            protection=protection,
            disclosure=disclosure,
            recorder=recorder,
            epoch_tokens=epoch_tokens,
            clock=clock,
        )
    )
    ingestion = Ingestion(
        IngestionPorts(
            extractor=given.extractor or _extractor(settings, stack),
            chunker=given.chunker or _chunker(settings),
            finder=finder,
            screener=screener,
            labelling=labelling,
            pdp=pdp,
            catalog=catalog,
            protection=dataclasses.replace(protection, keyring=writing),
            index_sync=index_sync,
            recorder=recorder,
            clock=clock,
        )
    )
    stewardship = Stewardship(
        StewardshipPorts(
            catalog=catalog,
            pdp=pdp,
            keyring=LimitedKeyring(keyring, ()),
            index_sync=index_sync,
            recorder=recorder,
            audit=audit,
            clock=clock,
            new_key=new_api_key,
        )
    )
    relabelling = Relabelling(
        RelabellingPorts(
            catalog=catalog,
            pdp=pdp,
            protection=dataclasses.replace(protection, keyring=moving),
            index_sync=index_sync,
            recorder=recorder,
            clock=clock,
            four_eyes=settings.four_eyes,
        )
    )
    reviewing = Reviewing(
        ReviewingPorts(
            catalog=catalog,
            pdp=pdp,
            relabelling=relabelling,
            keyring=LimitedKeyring(keyring, ()),
            recorder=recorder,
            clock=clock,
            four_eyes=settings.four_eyes,
        )
    )
    learning = Learning(
        LearningPorts(
            catalog=catalog,
            pdp=pdp,
            protection=protection,
            trainer=ScikitLearnTrainer(embedder.model_digest, classifier.thresholds),
            recorder=recorder,
            clock=clock,
        )
    )
    rescanning = Rescanning(
        RescanningPorts(
            catalog=catalog,
            pdp=pdp,
            finder=finder,
            classifier=classifier,
            protection=dataclasses.replace(protection, keyring=moving),
            index_sync=index_sync,
            recorder=recorder,
            clock=clock,
        )
    )
    rescreening = Rescreening(
        RescreeningPorts(
            catalog=catalog,
            pdp=pdp,
            screener=screener,
            protection=protection,
            index_sync=index_sync,
            recorder=recorder,
            clock=clock,
        )
    )
    ledger = open_ledger(settings, clock, stack)
    rotation = Rotation(
        RotationPorts(
            keyring=LimitedKeyring(keyring, {KeyUse.REWRAP, KeyUse.ADMINISTER}),
            ledger=ledger,
            pdp=pdp,
            recorder=recorder,
            clock=clock,
            rotate_after_days=settings.rotate_after_days,
            grace_seconds=settings.request_seconds,
        )
    )
    shredding = Shredding(
        ShreddingPorts(
            catalog=catalog,
            ledger=ledger,
            keyring=LimitedKeyring(keyring, {KeyUse.ADMINISTER}),
            rotation=rotation,
            index_sync=index_sync,
            pdp=pdp,
            recorder=recorder,
            audit=audit,
            clock=clock,
            handling=protection.handling,
            indexed_in_clear=frozenset(Classification) - barred,
        )
    )
    evaluation = Evaluation(
        EvaluationPorts(
            limiter=held.limiter,
            pdp=pdp,
            catalog=catalog,
            keyring=reading,
            epoch_tokens=epoch_tokens,
            handling=protection.handling,
            recorder=recorder,
            clock=clock,
            entity_types=_entity_types(),
        )
    )
    outputs = Outputs(
        OutputsPorts(
            pdp=pdp,
            catalog=catalog,
            finder=finder,
            screener=screener,
            protection=protection,
            disclosure=disclosure,
            audit=audit,
            limiter=held.limiter,
            recorder=recorder,
            clock=clock,
        )
    )
    explainer = Explainer(
        ExplainerPorts(
            pdp=pdp,
            catalog=catalog,
            index=index,
            retrieval=retrieval,
            keyring=reading,
            limiter=held.limiter,
            recorder=recorder,
            clock=clock,
        )
    )
    policy_administration = PolicyAdministration(
        PolicyAdministrationPorts(
            catalog=catalog,
            pdp=pdp,
            recorder=recorder,
            clock=clock,
            duties=policy_duties(settings.policies_dir),
            four_eyes=settings.four_eyes,
        )
    )
    provisioning = Provisioning(
        ProvisioningPorts(directory=catalog, pdp=pdp, recorder=recorder, clock=clock)
    )
    return {
        "retrieval": retrieval,
        "disclosure": disclosure,
        "rescanning": rescanning,
        "rescreening": rescreening,
        "ingestion": ingestion,
        "stewardship": stewardship,
        "relabelling": relabelling,
        "reviewing": reviewing,
        "learning": learning,
        "rotation": rotation,
        "shredding": shredding,
        "evaluation": evaluation,
        "outputs": outputs,
        "explainer": explainer,
        "policy_administration": policy_administration,
        "provisioning": provisioning,
        "catalog": catalog,
        "index": index,
        "sealed": sealed,
        "index_sync": index_sync,
        "keyring": keyring,
        "epoch_tokens": epoch_tokens,
        "embedder": embedder,
        "handling": protection.handling,
        "model_files": ModelFiles(*_model(settings, given)),
        "audit": audit,
        "limiter": held.limiter,
        "identity": identity,
        "pdp": pdp,
        "clock": clock,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What one process must hold for all: here, or with the process that was first."""

    audit: AuditLog
    index: ChunkIndex
    limiter: Limiter
    embedder: Embedder
    owner: Owner | None

    @property
    def is_ours(self) -> bool:
        """Whether this process is the one that holds it."""
        return self.owner is None

    def index_with(self, sealed: ChunkSearch) -> ChunkIndex:
        """The index that flows use; the owner's is whole already."""
        from ragward.adapters.index_merged import MergedChunkIndex
        from ragward.adapters.owner_client import OwnerChunkIndex

        if isinstance(self.index, OwnerChunkIndex):
            return self.index
        return MergedChunkIndex(self.index, sealed)


def _held(
    settings: Settings, given: Doubles, keyring: Keyring, embedder: Embedder, stack: ExitStack
) -> _Held:
    from ragward.adapters.owner_client import Owner, OwnerAuditLog, OwnerChunkIndex, OwnerLimiter

    owner = Owner.find(settings.data_dir, embedder.model_digest)
    if owner is None:
        return _Held(
            audit=given.audit or open_audit(settings, keyring, stack),
            index=given.index or _index(settings, embedder, stack),
            limiter=given.limiter or _limiter(settings),
            embedder=embedder,
            owner=None,
        )
    stack.callback(owner.close)
    own_index = _index(settings, embedder, stack) if settings.qdrant_url else None
    return _Held(
        audit=given.audit or OwnerAuditLog(owner),
        index=given.index or own_index or OwnerChunkIndex(owner),
        limiter=given.limiter or OwnerLimiter(owner),
        embedder=embedder,
        owner=owner,
    )


def _sealed(
    settings: Settings,
    held: _Held,
    catalog: Catalog,
    opener: VectorOpener,
    recorder: Recorder,
    keyring: Keyring,
    levels: frozenset[Classification],
    stack: ExitStack,
) -> ChunkSearch:
    """Decrypted vectors are in the memory of one process only, the owner's."""
    if held.owner is not None:
        from ragward.adapters.owner_client import OwnerChunkSearch

        return OwnerChunkSearch(held.owner)
    from ragward.adapters.index_sealed import SealedChunkIndex

    sealed = SealedChunkIndex(
        catalog,
        opener,
        recorder,
        recorder.clock,
        keyring.status,
        sealed=levels,
        dimension=held.embedder.dimension,
        max_bytes=settings.sealed_memory_mb * 2**20,
        idle_seconds=settings.sealed_idle_seconds,
    )
    return _closing(sealed, stack)


def policy_duties(policies_dir: Path | None = None) -> Sequence[SeparatedDuties]:
    """The duties to keep apart, without an installation. Raises `config.invalid`."""
    from ragward.adapters.duties_toml import load_duties

    return load_duties((policies_dir or resource("policies")) / "duties.toml")


def open_keyring(settings: Settings, passphrase: str | None = None) -> Keyring:
    """The keyrings of the settings as one, limited to the process's role. Raises `config.*`, `integrity.keyring`, `unavailable.keys`."""
    from ragward.adapters.keyring_limited import LimitedKeyring
    from ragward.adapters.keyring_routed import HoldingKeyring, RoutedKeyring
    from ragward.adapters.keyrings import open_keyring

    def opener(uri: str, path: Path) -> HoldingKeyring:
        return open_keyring(uri, path, lambda: passphrase or read_passphrase(settings))

    main = opener(settings.keys_uri, settings.keyring)
    others = {
        level: functools.partial(opener, uri, path)
        for level, (uri, path) in settings.other_keyrings.items()
    }
    keyring: Keyring = RoutedKeyring(main, others) if others else main
    role = KeyRole(settings.keys_role)
    return keyring if role is KeyRole.SERVICE else LimitedKeyring(keyring, USES_OF[role])


def create_keyrings(settings: Settings, passphrase: str | None = None) -> None:
    """Every keyring of the settings that is not there yet. Raises `config.*`, `unavailable.keys`."""
    from ragward.adapters.keyrings import create_keyring

    wanted = {"": (settings.keys_uri, settings.keyring)}
    wanted |= {level.name: found for level, found in settings.other_keyrings.items()}
    for uri, path in wanted.values():
        if not path.exists():
            create_keyring(uri, path, lambda: passphrase or read_passphrase(settings))


def read_passphrase(settings: Settings) -> str:
    """The keyring's passphrase, from where the settings say. Raises `config.passphrase`, `config.invalid`."""
    from ragward.adapters import keyring_file

    return keyring_file.read_passphrase(settings.passphrase, demo=settings.demo)


def protect_process_memory() -> None:
    """No core dumps, and no attaching; for processes that hold keys."""
    from ragward.adapters import process_memory

    process_memory.protect_process_memory()


def open_broker(settings: Settings, directory: Path) -> ExitStack:
    """A key broker on its sockets in `directory`, until the stack is closed. Raises `config.*`, `unavailable.*`."""
    from ragward.adapters.audit_sqlite import SQLiteAuditLog
    from ragward.adapters.broker_server import BrokerServer
    from ragward.adapters.clock_system import SystemClock
    from ragward.brokering import BrokerPorts, KeyBroker

    if settings.keys_uri.startswith("broker:"):
        raise ConfigurationError("a key broker holds its keys itself: keys_uri names a provider")
    with ExitStack() as stack:
        clock = SystemClock()
        keyring = _closing(open_keyring(settings), stack)
        catalog = open_catalog(settings, stack)
        key = keyring.mac_key("audit-chain")
        audit = _closing(SQLiteAuditLog.open(settings.broker_log, key), stack)
        ports = BrokerPorts(
            identity=_identity(settings, catalog, clock),
            pdp=_pdp(catalog, settings.policies_dir or resource("policies")),
            labels=catalog,
            keyring=keyring,
            recorder=Recorder(audit=audit, clock=clock),
            clock=clock,
        )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _closing(BrokerServer(directory, KeyBroker(ports), keyring), stack)
        return stack.pop_all()


def open_catalog(settings: Settings, stack: ExitStack | None = None) -> Catalog:
    """The catalog. Raises `config.not_initialised`, `config.newer_version`, `unavailable.catalog`."""
    from ragward.adapters.catalog_sql import SQLCatalog

    return _closing(SQLCatalog.open(settings.catalog_url), stack)


def open_ledger(settings: Settings, clock: Clock, stack: ExitStack | None = None) -> KeyLedger:
    """The catalog's side of keys. Raises `unavailable.catalog`."""
    from ragward.adapters.catalog_sql.key_ledger import SQLKeyLedger

    return _closing(SQLKeyLedger.open(settings.catalog_url, now=clock.now), stack)


def open_audit(settings: Settings, keyring: Keyring, stack: ExitStack | None = None) -> AuditLog:
    """The audit log's one writer. Raises `config.index_owned` when another process is it."""
    from ragward.adapters.audit_sqlite import SQLiteAuditLog

    log = SQLiteAuditLog.open(settings.data_dir / "audit.db", keyring.mac_key("audit-chain"))
    return _closing(log, stack)


def open_audit_reader(settings: Settings, keyring: Keyring, *, of_broker: bool = False) -> AuditLog:
    """The audit log, or a key broker's own, beside its writer, for reading and verifying."""
    from ragward.adapters.audit_sqlite import SQLiteAuditLog

    path = settings.broker_log if of_broker else settings.data_dir / "audit.db"
    return SQLiteAuditLog.open_reader(path, keyring.mac_key("audit-chain"))


def manifest_items(manifest: Path, tenant: str) -> list[JobItem]:
    """What a JSONL manifest lists."""
    from ragward.adapters import source_directory

    return source_directory.manifest_items(manifest, tenant)


def directory_items(
    directory: Path, tenant: str, *, corpus: str, granted: Sequence[str]
) -> list[JobItem]:
    """Every file below a directory."""
    from ragward.adapters import source_directory

    return source_directory.directory_items(directory, tenant, corpus=corpus, granted=granted)


def file_items(
    paths: Sequence[Path], tenant: str, *, corpus: str, classification: Classification
) -> list[JobItem]:
    """Single files, readable by nobody, claimed to be of this classification."""
    from ragward.adapters import source_directory

    label = AccessLabel(tenant=tenant, corpus=corpus, classification=classification)
    return [source_directory.file_item(path, label) for path in paths]


def _closing(part: _Closeable, stack: ExitStack | None) -> _Closeable:
    if stack is not None:
        stack.callback(part.close)
    return part


def _model_dir(settings: Settings) -> Path:
    from ragward.adapters.model_manifest import find_installed_model

    return settings.model_dir or find_installed_model()


def open_embedder(settings: Settings) -> Embedder:
    """The embedding model. Raises `config.*`, `integrity.model`."""
    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder
    from ragward.adapters.model_manifest import ModelManifest

    return SentenceTransformersEmbedder.load(
        _model_dir(settings), ModelManifest.shipped(), threads=settings.embedding_threads
    )


def _model(settings: Settings, given: Doubles) -> tuple[Path, ModelManifest]:
    """What to verify again while the model is used; nothing where tests brought one without files."""
    if given.embedder is not None:
        return Path(), ModelManifest({})
    return _model_dir(settings), ModelManifest.shipped()


def open_canary(
    settings: Settings, stack: ExitStack, doubles: Doubles | None = None
) -> ModelCanary:
    """The gate for models, without opening the installation: the model may not be the index's."""
    from ragward.adapters.clock_system import SystemClock

    given = doubles or Doubles()
    keyring = given.keyring or open_keyring(settings)
    catalog = given.catalog or open_catalog(settings, stack)
    audit = given.audit or open_audit(settings, keyring, stack)
    embedder = given.embedder or open_embedder(settings)
    rules = _disclosure_rules(settings.policies_dir or resource("policies"))
    return ModelCanary(
        catalog=catalog,
        embedder=embedder,
        finder=given.finder or _finder(settings, embedder, rules),
        recorder=Recorder(audit=audit, clock=given.clock or SystemClock()),
    )


def hold_to_allowed_hosts(settings: Settings) -> None:
    """Lets this process connect to what its settings name and to this machine only, for as long as it lives."""
    from ragward.adapters.egress import Egress

    Egress(outgoing_hosts(settings)).install()


def _trained(settings: Settings, embedder: Embedder) -> dict[str, TrainedClassifier]:
    """By tenant. Raises `integrity.model`, `config.*`."""
    from ragward.adapters.classifier_trained import LinearClassifier

    found: dict[str, TrainedClassifier] = {}
    for item in settings.classifiers:
        made = LinearClassifier.load(item.path, item.sha256, model_digest=embedder.model_digest)
        if made.tenant in found:
            raise ConfigurationError(f"there are two classifiers for tenant {made.tenant!r}")
        found[made.tenant] = made
    return found


def _chunker(settings: Settings) -> Chunker:
    from ragward.adapters.chunker_semchunk import SemchunkChunker

    return SemchunkChunker(_model_dir(settings) / "tokenizer.json")


def _index(settings: Settings, embedder: Embedder, stack: ExitStack) -> ChunkIndex:
    if settings.qdrant_url:
        from ragward.adapters.index_qdrant import QdrantChunkIndex

        key = settings.qdrant_api_key
        server = QdrantChunkIndex.connect(
            settings.qdrant_url,
            collection="ragward",
            dimension=embedder.dimension,
            model_digest=embedder.model_digest,
            api_key=key.get_secret_value() if key else None,
        )
        return _closing(server, stack)
    from ragward.adapters.index_edge import EdgeChunkIndex

    shard = EdgeChunkIndex.open(
        settings.data_dir / "index",
        dimension=embedder.dimension,
        model_digest=embedder.model_digest,
    )
    return _closing(shard, stack)


def _identity(settings: Settings, catalog: Catalog, clock: Clock) -> IdentityVerifier:
    from ragward.adapters.identity_dev import DEVELOPMENT_ISSUER, JWKS_FILE
    from ragward.adapters.identity_jwt import JWTIdentityVerifier, TrustedIssuer
    from ragward.adapters.identity_keys import JWKSURL, JWKSFile

    issuers = [
        TrustedIssuer(
            issuer=item.issuer,
            tenants=frozenset({item.tenant}),
            audience=settings.audience,
            keys=JWKSURL(item.jwks, clock) if "://" in item.jwks else JWKSFile(Path(item.jwks)),
            subject_claim=item.subject_claim,
            subject_prefix=item.subject_prefix,
            max_token_age_seconds=item.max_token_age_seconds,
        )
        for item in settings.issuers
    ]
    if settings.development_issuer is not None:
        issuers.append(
            TrustedIssuer(
                issuer=DEVELOPMENT_ISSUER,
                tenants=frozenset(settings.development_tenants),
                audience=settings.audience,
                keys=JWKSFile(settings.development_issuer / JWKS_FILE),
            )
        )
    pairs = frozenset(settings.allowed_client_pairs)
    return JWTIdentityVerifier(issuers, catalog, clock, allowed_pairs=pairs)


def development_token(
    settings: Settings,
    name: str,
    *,
    tenant: str,
    agent: str | None = None,
    client_id: str = CLI_CLIENT_ID,
    lifetime_seconds: int = 3600,
) -> str:
    """A token of the development issuer, which is made on first use. Raises `config.invalid` where none is set."""
    from ragward.adapters.clock_system import SystemClock
    from ragward.adapters.identity_dev import JWKS_FILE, DevelopmentIssuer

    directory = settings.development_issuer
    if directory is None or tenant not in settings.development_tenants:
        raise ConfigurationError("no development issuer is set for this tenant")
    made = (directory / JWKS_FILE).exists()
    issuer = DevelopmentIssuer.open(directory) if made else DevelopmentIssuer.create(directory)
    return issuer.token(
        name,
        tenant=tenant,
        audience=settings.audience,
        client_id=client_id,
        agent=agent,
        lifetime_seconds=lifetime_seconds,
        now=SystemClock().now(),
    )


def _finder(settings: Settings, embedder: Embedder, rules: DisclosureRules) -> Finder:
    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder
    from ragward.adapters.finder_presidio import NameReader, PresidioFinder
    from ragward.adapters.names import NamesDetector
    from ragward.adapters.names_presidio import PresidioNames

    names: NameReader | None = None
    if settings.names_engine is not None:
        names = PresidioNames(settings.names_engine)
    elif isinstance(embedder, SentenceTransformersEmbedder):  # another has no layers to read
        names = NamesDetector(embedder, _model_dir(settings), strict=rules.strict)
    return PresidioFinder.load(names, rules.detected())


def _disclosure_rules(policies: Path) -> DisclosureRules:
    from ragward.adapters.redaction_toml import load_redaction

    return load_redaction(policies / "redaction.toml", _entity_types())


def _pdp(catalog: Catalog, policies: Path) -> PolicyDecisionPoint:
    from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint

    model_text = (policies / "model.conf").read_text(encoding="utf-8")
    most_for = _disclosure_rules(policies).most_for
    return CasbinPolicyDecisionPoint(
        catalog, model_text=model_text, entity_types=_entity_types(), most_for=most_for
    )


def _entity_types() -> frozenset[str]:
    from ragward.adapters.finder_presidio import ENTITY_TYPES

    return frozenset(ENTITY_TYPES)


def _extractor(settings: Settings, stack: ExitStack) -> TextExtractor:
    from ragward.adapters.extractor_process import ProcessTextExtractor

    extractor = ProcessTextExtractor(
        time_limit_seconds=settings.parser_seconds, max_file_bytes=settings.max_file_bytes
    )
    return _closing(extractor, stack)


def _limiter(settings: Settings) -> Limiter:
    from ragward.adapters.limiter_memory import MemoryLimiter

    return MemoryLimiter(
        requests_per_minute=settings.requests_per_minute, concurrent=settings.concurrent_requests
    )


def resource(name: str) -> Path:
    """`policies`, `schemas` or `migrations`: from the wheel, or from the source checkout."""
    here = Path(__file__).parent
    for candidate in (here / "_resources" / name, here.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise ConfigurationError(f"the installation lacks its {name}")
