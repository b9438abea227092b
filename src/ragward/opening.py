"""Adapters, each opened from the settings: the only place that knows which one stands behind a port.

They are imported where they are opened, because several of them load seconds' worth of libraries.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from ragward.adapters.model_manifest import ModelManifest
from ragward.analysis import Analysis
from ragward.canary import ModelCanary
from ragward.domain.assurance import Assuring
from ragward.domain.checkpoints import Verify
from ragward.domain.disclosure import DisclosureRules
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.domain.generations import FIRST, Generations
from ragward.domain.handling import assuring
from ragward.domain.jobs import JobItem, SourceRequest
from ragward.domain.keys import USES_OF, KeyRole
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy_review import SeparatedDuties
from ragward.evidence import Recorder
from ragward.ports import (
    AuditLog,
    Catalog,
    Chunker,
    ChunkIndex,
    Clock,
    DirectoryStore,
    Embedder,
    Finder,
    IdentityVerifier,
    KeyLedger,
    Keyring,
    Limiter,
    PolicyDecisionPoint,
    Reader,
    TextExtractor,
    TrainedClassifier,
    Watch,
)
from ragward.settings import Settings, outgoing_hosts

if TYPE_CHECKING:
    from ragward.adapters.catalog_sql.authority import SQLAuthority
    from ragward.adapters.identity_jwt import Askers
    from ragward.adapters.pdp_casbin.pdp import PolicyAndLabels
    from ragward.adapters.pdp_restricted import RestrictionsAndPolicy
    from ragward.adapters.policy_keys_ed25519 import PolicyRootKeeper
    from ragward.adapters.signed_authority import SignedAuthority
    from ragward.adapters.signin_oidc import OpenIDSignIn
    from ragward.adapters.tracing_otel import Tracing

#: The application behind the command line and in-process use; people's tokens come through it without a second credential.
CLI_CLIENT_ID: Final = "ragward-cli"
_PART: Final = re.compile(r"index(?:-[1-9][0-9]*)?")


class Closes(Protocol):
    """What holds something open."""

    def close(self) -> None:
        """Lets go of it."""


Closeable = TypeVar("Closeable", bound=Closes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubles:
    """Ports given instead of opened, for tests and benchmarks; None means the real one."""

    embedder: Embedder | None = None
    search_embedders: Sequence[Embedder] | None = None
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
    reader: Callable[[], Reader] | None = None
    watch: Watch | None = None


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
    from ragward.adapters.identity_tasks import TaskGrantVerifier
    from ragward.brokering import BrokerPorts, KeyBroker

    if settings.keys_uri.startswith("broker:"):
        raise ConfigurationError("a key broker holds its keys itself: keys_uri names a provider")
    with ExitStack() as stack:
        clock = SystemClock()
        keyring = closing(open_keyring(settings), stack)
        catalog = open_catalog(settings, stack)
        key = keyring.mac_key("audit-chain")
        audit = closing(
            SQLiteAuditLog.open(settings.broker_log, key, origin=settings.broker_origin), stack
        )
        signed = open_signed_authority(settings, catalog, audit, clock, stack)
        ports = BrokerPorts(
            identity=TaskGrantVerifier(
                open_identity(settings, signed, clock, of_broker=True),
                catalog,
                clock,
                agents=signed,
                required=settings.agents_need_task_grant,
            ),
            pdp=open_pdp(signed, settings.policies_dir or resource("policies"), catalog),
            labels=catalog,
            keyring=keyring,
            recorder=Recorder(audit=audit, clock=clock),
            clock=clock,
        )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        closing(BrokerServer(directory, KeyBroker(ports), keyring), stack)
        return stack.pop_all()


def open_catalog(settings: Settings, stack: ExitStack | None = None) -> Catalog:
    """The catalog. Raises `config.not_initialised`, `config.newer_version`, `unavailable.catalog`."""
    from ragward.adapters.catalog_sql import SQLCatalog

    return closing(
        SQLCatalog.open(settings.catalog_url, keeper=open_policy_keeper(settings)), stack
    )


def open_policy_keeper(settings: Settings) -> PolicyRootKeeper:
    """What verifies policy roots, and signs them where the administration key is. Raises `config.policy_key`."""
    from ragward.adapters.policy_keys_ed25519 import PolicyRootKeeper

    policies = settings.policies_dir or resource("policies")
    return PolicyRootKeeper.open(
        settings.policy_key_file,
        seen=settings.policy_roots_seen,
        model_text=_model_text(policies),
    )


def open_authority(settings: Settings, stack: ExitStack | None = None) -> SQLAuthority:
    """Authority rows as they were signed. Raises `config.policy_key`."""
    from ragward.adapters.catalog_sql.authority import SQLAuthority

    return closing(SQLAuthority.open(settings.catalog_url, open_policy_keeper(settings)), stack)


def open_signed_authority(
    settings: Settings, catalog: Catalog, audit: AuditLog, clock: Clock, stack: ExitStack
) -> SignedAuthority:
    """What decisions and identities are made from. Raises `config.policy_key`."""
    from ragward.adapters.signed_authority import SignedAuthority

    return SignedAuthority(
        stored=catalog,
        verified=open_authority(settings, stack),
        witness=open_policy_keeper(settings),
        recorder=Recorder(audit=audit, clock=clock),
        clock=clock,
    )


def open_ledger(settings: Settings, clock: Clock, stack: ExitStack | None = None) -> KeyLedger:
    """The catalog's side of keys. Raises `unavailable.catalog`."""
    from ragward.adapters.catalog_sql.key_ledger import SQLKeyLedger

    return closing(SQLKeyLedger.open(settings.catalog_url, now=clock.now), stack)


def open_audit(settings: Settings, keyring: Keyring, stack: ExitStack | None = None) -> AuditLog:
    """The audit log's one writer. Raises `config.index_owned` when another process is it."""
    from ragward.adapters.anchors import anchor_of
    from ragward.adapters.audit_sqlite import SQLiteAuditLog

    key, origin = keyring.mac_key("audit-chain"), settings.audit_origin
    anchors = [anchor_of(uri) for uri in settings.audit_anchor_uris]
    if url := settings.audit_database_url:
        from ragward.adapters.audit_postgres import PostgresAuditLog

        spools = settings.audit_spools
        there = PostgresAuditLog.open(url, spools, key, origin=origin, anchors=anchors)
        return closing(there, stack)
    log = SQLiteAuditLog.open(settings.audit_log, key, origin=origin, anchors=anchors)
    return closing(log, stack)


def open_audit_reader(settings: Settings, keyring: Keyring, *, of_broker: bool = False) -> AuditLog:
    """The audit log, or a key broker's own, beside its writer, for reading and verifying."""
    from ragward.adapters.audit_sqlite import SQLiteAuditLog

    path = settings.broker_log if of_broker else settings.audit_log
    origin = settings.broker_origin if of_broker else settings.audit_origin
    key = keyring.mac_key("audit-chain")
    if (url := settings.audit_database_url) and not of_broker:
        from ragward.adapters.audit_postgres import PostgresAuditLog

        return PostgresAuditLog.open_reader(url, settings.audit_spools, key, origin=origin)
    return SQLiteAuditLog.open_reader(path, key, origin=origin)


def signature_verifier() -> Verify:
    """What checks a signature of the log's."""
    from ragward.adapters.notes_ed25519 import verify_signature

    return verify_signature


def kept_checkpoints(settings: Settings) -> Sequence[str]:
    """The signed notes that the anchors of the settings which are files hold. Raises OSError."""
    from ragward.adapters.anchors import FileAnchor, anchor_of

    anchors = map(anchor_of, settings.audit_anchor_uris)
    return [note for each in anchors if isinstance(each, FileAnchor) for note in each.notes()]


def manifest_items(manifest: Path, tenant: str) -> list[JobItem]:
    """What a JSONL manifest lists."""
    from ragward.adapters import source_directory

    return source_directory.manifest_items(manifest, tenant)


def source_items(
    settings: Settings, directory: DirectoryStore, tenant: str, request: SourceRequest
) -> list[JobItem]:
    """What a steward's source holds; names of its access lists are looked up in the tenant's directory."""
    from ragward.adapters import source_directory, source_items, source_roots, sources
    from ragward.adapters.directory_names import DirectoryNames

    request = source_roots.located(request, tenant, settings.ingest_roots, settings.ingest_urls)
    rules = source_items.AccessRules(
        lookup=DirectoryNames(directory, tenant),
        everybody=settings.everybody.get(tenant),
        posix_principals=source_directory.numbered(settings.posix_principals),
    )
    return sources.source_items(request, tenant, rules)


def hold_source(settings: Settings, location: str) -> None:
    """Before a command reads a URL that leaves this machine: this process connects to what the settings name only."""
    from ragward.adapters import source_url

    if source_url.is_url(location) and source_url.is_remote(location):
        hold_to_allowed_hosts(settings)


def file_items(
    paths: Sequence[Path], tenant: str, *, corpus: str, classification: Classification
) -> list[JobItem]:
    """Single files, readable by nobody, claimed to be of this classification."""
    from ragward.adapters import source_directory

    label = AccessLabel(tenant=tenant, corpus=corpus, classification=classification)
    return [source_directory.file_item(path, label) for path in paths]


def closing(part: Closeable, stack: ExitStack | None) -> Closeable:
    """The part, closed with the stack."""
    if stack is not None:
        stack.callback(part.close)
    return part


def model_dir(settings: Settings) -> Path:
    """Where the embedding model's files are. Raises `config.invalid`."""
    from ragward.adapters.model_manifest import find_installed_model

    return settings.model_dir or find_installed_model()


def open_embedder(settings: Settings) -> Embedder:
    """The embedding model. Raises `config.*`, `integrity.model`."""
    from ragward.adapters.embedder_onnx import OnnxEmbedder
    from ragward.adapters.model_manifest import ModelManifest

    return OnnxEmbedder.load(
        model_dir(settings), ModelManifest.shipped(), threads=settings.embedding_threads
    )


def open_search_embedders(settings: Settings) -> list[Embedder]:
    """The models of further generations: on ONNX Runtime where it is known to answer the same, else by their own library.
    Raises `config.*`, `integrity.model`."""
    from ragward.adapters.bert_graph import is_bert
    from ragward.adapters.embedder_onnx import OnnxEmbedder
    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder
    from ragward.adapters.model_manifest import ModelManifest

    found: list[Embedder] = []
    for item in settings.search_models:
        manifest = ModelManifest.load(item.manifest)
        if manifest.digest() != item.sha256.lower():
            raise IntegrityError("a manifest is not the one pinned", code="integrity.model")
        same = bool(manifest.reference) and is_bert(item.model_dir)
        kind = OnnxEmbedder if same else SentenceTransformersEmbedder
        found.append(kind.load(item.model_dir, manifest, threads=settings.embedding_threads))
    return found


def model_files(settings: Settings, given: Doubles) -> tuple[Path, ModelManifest]:
    """What to verify again while the model is used; nothing where tests brought one without files."""
    if given.embedder is not None:
        return Path(), ModelManifest({})
    return model_dir(settings), ModelManifest.shipped()


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
    rules = disclosure_rules(settings.policies_dir or resource("policies"))
    return ModelCanary(
        catalog=catalog,
        embedder=embedder,
        finder=given.finder or open_finder(settings, embedder, rules),
        recorder=Recorder(audit=audit, clock=given.clock or SystemClock()),
    )


def hold_to_allowed_hosts(settings: Settings) -> None:
    """Lets this process connect to what its settings name and to this machine only, for as long as it lives."""
    from ragward.adapters.egress import Egress

    Egress(outgoing_hosts(settings)).install()


def open_classifiers(settings: Settings, embedder: Embedder) -> dict[str, TrainedClassifier]:
    """Trained classifiers by tenant. Raises `integrity.model`, `config.*`."""
    from ragward.adapters.classifier_trained import LinearClassifier

    found: dict[str, TrainedClassifier] = {}
    for item in settings.classifiers:
        made = LinearClassifier.load(item.path, item.sha256, model_digest=embedder.model_digest)
        if made.tenant in found:
            raise ConfigurationError(f"there are two classifiers for tenant {made.tenant!r}")
        found[made.tenant] = made
    return found


def open_tracing(settings: Settings, stack: ExitStack) -> Tracing | None:
    """Spans of retrievals, None unless the settings say where to. Raises `config.invalid` without the extra `otel`."""
    if not settings.otel_endpoint:
        return None
    from ragward.adapters.tracing_otel import Tracing

    return closing(Tracing.open(settings.otel_endpoint), stack)


def open_chunker(settings: Settings) -> Chunker:
    """By the model's tokenizer."""
    from ragward.adapters.chunker_semchunk import SemchunkChunker

    return SemchunkChunker(model_dir(settings) / "tokenizer.json")


def open_index(
    settings: Settings,
    dimension: int,
    model_digest: str,
    generation: int = FIRST,
) -> ChunkIndex:
    """The embedded engine, or the server the settings name, for one generation's vectors. Raises `config.*`,
    `unavailable.index`."""
    if settings.qdrant_url:
        from ragward.adapters.index_qdrant import QdrantChunkIndex

        key = settings.qdrant_api_key
        return QdrantChunkIndex.connect(
            settings.qdrant_url,
            collection="ragward",
            dimension=dimension,
            model_digest=model_digest,
            api_key=key.get_secret_value() if key else None,
        )
    from ragward.adapters.index_edge import EdgeChunkIndex

    return EdgeChunkIndex.open(
        index_directory(settings, generation),
        dimension=dimension,
        model_digest=model_digest,
    )


def remove_dropped(settings: Settings, generations: Generations) -> None:
    """The files of index parts whose generation was dropped. For the process that is about to own the index."""
    kept = {index_directory(settings, each.number) for each in generations.all}
    for path in settings.data_dir.glob("index*"):
        if _PART.fullmatch(path.name) and path.is_dir() and path not in kept:
            shutil.rmtree(path)


def index_directory(settings: Settings, generation: int) -> Path:
    """Where the embedded index of a generation lies."""
    return settings.data_dir / ("index" if generation == FIRST else f"index-{generation}")


def open_identity(
    settings: Settings, catalog: Askers, clock: Clock, *, of_broker: bool = False
) -> IdentityVerifier:
    """Every issuer of the settings, and the development issuer where one is set."""
    from ragward.adapters.assurance_claims import AssuranceClaims, devices_of, levels_of
    from ragward.adapters.identity_dev import DEVELOPMENT_ISSUER, JWKS_FILE
    from ragward.adapters.identity_jwt import JWTIdentityVerifier, TrustedIssuer
    from ragward.adapters.identity_keys import JWKSURL, JWKSFile
    from ragward.adapters.networks import Networks

    issuers = [
        TrustedIssuer(
            issuer=item.issuer,
            tenants=frozenset({item.tenant}),
            audience=settings.audience,
            keys=JWKSURL(item.jwks, clock) if "://" in item.jwks else JWKSFile(Path(item.jwks)),
            subject_claim=item.subject_claim,
            subject_prefix=item.subject_prefix,
            max_token_age_seconds=item.max_token_age_seconds,
            says=AssuranceClaims(
                acr=item.acr_claim,
                amr=item.amr_claim,
                auth_time=item.auth_time_claim,
                device=item.device_claim,
                acr_levels=levels_of(item.acr_levels),
                amr_levels=levels_of(item.amr_levels),
                devices=devices_of(item.device_values),
            ),
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
    return JWTIdentityVerifier(
        issuers,
        catalog,
        clock,
        allowed_pairs=pairs,
        max_agents=settings.max_agents,
        zones=Networks(settings.zones),
        sees_replays=not of_broker,
    )


def open_signin(settings: Settings, clock: Clock) -> OpenIDSignIn | None:
    """How people sign in to the console, where an issuer is set for it."""
    from ragward.adapters.identity_keys import JWKSURL, JWKSFile
    from ragward.adapters.signin_oidc import OpenIDSignIn, Provider

    chosen = settings.console
    if chosen is None:
        return None
    issuer = next(each for each in settings.issuers if each.issuer == chosen.issuer)
    secret = chosen.client_secret
    provider = Provider(
        issuer=chosen.issuer,
        keys=JWKSURL(issuer.jwks, clock) if "://" in issuer.jwks else JWKSFile(Path(issuer.jwks)),
        client_id=chosen.client_id,
        client_secret=secret.get_secret_value() if secret else None,
        authorization_endpoint=chosen.authorization_endpoint,
        token_endpoint=chosen.token_endpoint,
        scopes=chosen.scopes,
        audience=settings.audience,
    )
    return OpenIDSignIn(provider, f"{settings.base_url}/console/callback", clock)


def development_token(
    settings: Settings,
    name: str,
    *,
    tenant: str,
    agent: str | None = None,
    client_id: str = CLI_CLIENT_ID,
    lifetime_seconds: int = 3600,
    acr: str | None = "phr",
    device: str | None = "compliant",
    auth_age_seconds: int | None = 0,
    key_thumbprint: str | None = None,
) -> str:
    """A token of the development issuer, which is made on first use; of somebody who proved who they are as well as one can,
    unless told otherwise. Raises `config.invalid` where none is set."""
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
        acr=acr,
        device=device,
        auth_age_seconds=auth_age_seconds,
        key_thumbprint=key_thumbprint,
    )


def open_finder(settings: Settings, embedder: Embedder, rules: DisclosureRules) -> Finder:
    """Presidio, with names from the embedding model or from the engine of the settings."""
    from ragward.adapters.embedder_onnx import OnnxEmbedder
    from ragward.adapters.finder_presidio import NameReader, PresidioFinder
    from ragward.adapters.names import NamesDetector
    from ragward.adapters.names_presidio import PresidioNames

    names: NameReader | None = None
    if settings.names_engine is not None:
        names = PresidioNames(settings.names_engine)
    elif isinstance(embedder, OnnxEmbedder):  # another has no layers to read
        threads = settings.embedding_threads
        names = NamesDetector(embedder, model_dir(settings), strict=rules.strict, threads=threads)
    return PresidioFinder.load(names, rules.detected())


def disclosure_rules(policies: Path) -> DisclosureRules:
    """What `redaction.toml` says. Raises `config.invalid`."""
    from ragward.adapters.redaction_toml import load_redaction

    return load_redaction(policies / "redaction.toml", entity_types())


def open_pdp(
    authority: PolicyAndLabels, policies: Path, catalog: RestrictionsAndPolicy | None = None
) -> PolicyDecisionPoint:
    """Casbin on the model of the installation, less what was taken away for a time. Raises `policy.invalid`."""
    from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
    from ragward.adapters.pdp_restricted import RestrictedPolicyDecisionPoint

    model_text = _model_text(policies)
    most_for = disclosure_rules(policies).most_for
    decided = CasbinPolicyDecisionPoint(
        authority,
        model_text=model_text,
        entity_types=entity_types(),
        most_for=most_for,
        assuring=open_assuring(policies),
    )
    return decided if catalog is None else RestrictedPolicyDecisionPoint(decided, catalog)


def _model_text(policies: Path) -> str:
    try:
        return (policies / "model.conf").read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"model.conf: {type(error).__name__}") from error


def open_assuring(policies: Path) -> Assuring:
    """What handling.toml and assurance.toml demand of whoever asks. Raises `config.invalid`."""
    from ragward.adapters.assurance_toml import load_act_demands
    from ragward.adapters.handling_toml import load_handling

    acts = load_act_demands(policies / "assurance.toml")
    return assuring(load_handling(policies / "handling.toml"), acts)


def entity_types() -> frozenset[str]:
    """Every type of personal data there is."""
    from ragward.adapters.finder_presidio import ENTITY_TYPES

    return frozenset(ENTITY_TYPES)


def open_extractor(settings: Settings, stack: ExitStack) -> TextExtractor:
    """A process that parses."""
    from ragward.adapters.extractor_process import ProcessTextExtractor
    from ragward.adapters.loader_plugins import find_loaders

    extractor = ProcessTextExtractor(
        time_limit_seconds=settings.parser_seconds,
        max_file_bytes=settings.max_file_bytes,
        plugins=find_loaders(settings.loaders),
    )
    return closing(extractor, stack)


def open_analysis(settings: Settings, stack: ExitStack) -> Analysis:
    """What reads documents, without anything that stores them. Raises `config.*`, `integrity.model`."""
    from ragward.adapters.egress import stay_offline
    from ragward.adapters.redactor_presidio import PresidioRedactor
    from ragward.adapters.screener_rules import RuleScreener

    stay_offline()
    policies = settings.policies_dir or resource("policies")
    embedder = open_embedder(settings)
    return Analysis(
        extractor=open_extractor(settings, stack),
        chunker=open_chunker(settings),
        finder=open_finder(settings, embedder, disclosure_rules(policies)),
        screener=RuleScreener.from_file(policies / "injection.yaml"),
        embedder=embedder,
        redactor=PresidioRedactor(),
    )


def open_limiter(settings: Settings, catalog: Catalog, clock: Clock) -> Limiter:
    """Counting where `limits_uri` says. Raises `config.invalid`."""
    from ragward.adapters.limiter_memory import MemoryLimiter
    from ragward.adapters.limiter_windows import open_windows

    return MemoryLimiter(
        requests_per_minute=settings.requests_per_minute,
        agent_requests_per_minute=settings.agent_requests_per_minute,
        concurrent=settings.concurrent_requests,
        windows=open_windows(settings.limits_uri, catalog, clock),
    )


def resource(name: str) -> Path:
    """`policies`, `schemas` or `migrations`: from the wheel, or from the source checkout."""
    here = Path(__file__).parent
    for candidate in (here / "_resources" / name, here.parents[1] / name):
        if candidate.is_dir():
            return candidate
    raise ConfigurationError(f"the installation lacks its {name}")
