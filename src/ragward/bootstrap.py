"""An installation, opened: settings in, a wired `Ragward` out.

`opening` knows which adapter stands behind a port, `parts` what flows share, `wiring` what each of them is given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ragward.access_audit import AccessAuditing
from ragward.access_sync import AccessSync
from ragward.adapters.identity_tasks import TaskGrantVerifier
from ragward.adapters.model_manifest import ModelFiles
from ragward.adapters.models_live import ModelGenerations
from ragward.adapters.signed_authority import SignedAuthority
from ragward.agent_events import AgentEvents
from ragward.auditing import Auditing
from ragward.disclosure import Disclosure
from ragward.domain.access import Credentials, Subject
from ragward.domain.errors import RagwardError, UnavailableError
from ragward.domain.handling import Handling
from ragward.domain.passages import Answer, RetrievalRequest
from ragward.elevation import Elevating
from ragward.evaluation import Evaluation
from ragward.evidence import EventCounts
from ragward.explanation import Explainer
from ragward.holding import Holding
from ragward.identities import Identities
from ragward.index_sync import IndexSync
from ragward.ingestion import Ingestion
from ragward.learning import Learning
from ragward.lineage import Lineage
from ragward.opening import Doubles, model_files
from ragward.outputs import Outputs
from ragward.parts import open_parts
from ragward.planting import Planting
from ragward.policy_administration import PolicyAdministration
from ragward.ports import (
    AuditLog,
    Catalog,
    ChunkSearch,
    Clock,
    Embedder,
    EpochTokens,
    GenerationalIndex,
    Keyring,
    Limiter,
    PolicyDecisionPoint,
    Watch,
)
from ragward.provisioning import Provisioning
from ragward.receipts import Receipts
from ragward.reembedding import Reembedding
from ragward.relabelling import Relabelling
from ragward.rescanning import Rescanning
from ragward.rescreening import Rescreening
from ragward.restricting import Restricting
from ragward.retention import Retention
from ragward.retrieval import Retrieval
from ragward.reviewing import Reviewing
from ragward.rotation import Rotation
from ragward.settings import Settings
from ragward.shredding import Shredding
from ragward.stewardship import Stewardship
from ragward.task_grants import TaskGrants
from ragward.wiring import wired

if TYPE_CHECKING:
    from ragward.adapters.tracing_otel import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Ragward:
    """A wired installation: the flows and what operators look at. Close it, or use it as a context manager."""

    settings: Settings
    retrieval: Retrieval
    disclosure: Disclosure
    rescanning: Rescanning
    rescreening: Rescreening
    ingestion: Ingestion
    auditing: Auditing
    receipts: Receipts
    stewardship: Stewardship
    identities: Identities
    task_grants: TaskGrants
    agent_events: AgentEvents
    reembedding: Reembedding
    relabelling: Relabelling
    access_auditing: AccessAuditing
    access_sync: AccessSync
    reviewing: Reviewing
    learning: Learning
    lineage: Lineage
    rotation: Rotation
    shredding: Shredding
    holding: Holding
    planting: Planting
    retention: Retention
    evaluation: Evaluation
    outputs: Outputs
    explainer: Explainer
    policy_administration: PolicyAdministration
    provisioning: Provisioning
    elevating: Elevating
    restricting: Restricting
    watch: Watch
    catalog: Catalog
    index: GenerationalIndex
    sealed: ChunkSearch
    index_sync: IndexSync
    keyring: Keyring
    epoch_tokens: EpochTokens
    embedder: Embedder
    models: ModelGenerations
    handling: Handling
    model_files: ModelFiles
    audit: AuditLog
    limiter: Limiter
    identity: TaskGrantVerifier
    pdp: PolicyDecisionPoint
    signed: SignedAuthority | None
    clock: Clock
    event_counts: EventCounts
    tracing: Tracing | None = None
    _resources: ExitStack = field(repr=False)

    @classmethod
    def open(cls, settings: Settings, doubles: Doubles | None = None) -> Ragward:
        """Opens everything. Raises `config.*`, `integrity.model`, `integrity.keyring`, `unavailable.catalog`."""
        with ExitStack() as stack:
            given = doubles or Doubles()
            parts = open_parts(settings, given, stack)
            flows = wired(parts)
            opened = parts.opened
            return cls(
                settings=settings,
                catalog=opened.catalog,
                keyring=opened.keyring,
                embedder=opened.embedder,
                models=opened.models,
                audit=opened.held.audit,
                limiter=opened.held.limiter,
                identity=opened.identity,
                pdp=opened.pdp,
                signed=opened.signed,
                clock=opened.clock,
                event_counts=parts.recorder.counts,
                tracing=parts.tracing,
                index=parts.index,
                sealed=parts.sealed,
                index_sync=parts.index_sync,
                epoch_tokens=parts.epoch_tokens,
                disclosure=parts.disclosure,
                handling=parts.protection.handling,
                model_files=ModelFiles(*model_files(settings, given)),
                retrieval=flows.retrieval,
                ingestion=flows.ingestion,
                auditing=flows.auditing,
                receipts=flows.receipts,
                stewardship=flows.stewardship,
                identities=flows.identities,
                task_grants=flows.task_grants,
                agent_events=flows.agent_events,
                reembedding=flows.reembedding,
                relabelling=flows.relabelling,
                access_auditing=flows.access_auditing,
                access_sync=flows.access_sync,
                reviewing=flows.reviewing,
                learning=flows.learning,
                lineage=flows.lineage,
                rescanning=flows.rescanning,
                rescreening=flows.rescreening,
                rotation=flows.rotation,
                shredding=flows.shredding,
                holding=flows.holding,
                planting=flows.planting,
                retention=flows.retention,
                evaluation=flows.evaluation,
                outputs=flows.outputs,
                explainer=flows.explainer,
                policy_administration=flows.policy_administration,
                provisioning=flows.provisioning,
                elevating=flows.elevating,
                restricting=flows.restricting,
                watch=parts.watch,
                _resources=stack.pop_all(),
            )

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
        if self.tracing is None:
            return self.retrieval.retrieve(credentials, request)
        return self.tracing.answered(request, partial(self.retrieval.retrieve, credentials))

    def identify(self, credentials: Credentials) -> Subject:
        """The verified subject behind a token; needed for everything but `retrieve`."""
        return self.retrieval.identify(credentials)

    def epoch_token(self, tenant: str) -> str:
        """A token of the tenant's present epoch, for `RetrievalRequest.min_epoch`."""
        return self.epoch_tokens.issue(tenant, self.catalog.epoch(tenant))

    def share(self) -> None:
        """Lets other processes of this user open the same installation, for as long as this one is open.

        Beside an owner there is nothing to share: a second socket would take the owner's place."""
        from ragward.adapters.owner_client import OwnerAuditLog
        from ragward.adapters.owner_server import OwnerServer

        if isinstance(self.audit, OwnerAuditLog):
            return
        server = OwnerServer(
            self.settings.data_dir,
            index=self.index,
            sealed=self.sealed,
            audit=self.audit,
            limiter=self.limiter,
            model_digest=self.models.digests(),
        )
        self._resources.callback(server.close)

    def readiness(self) -> dict[str, str]:
        """Per part: `ok`, or the code of what is wrong."""
        checks: dict[str, Callable[[], object]] = {
            "catalog": self.catalog.check_ready,
            "index": self.index.count,
            "keys": lambda: self.keyring.mac_key("query-tag"),
            "policy": self._require_signed,
            "audit": lambda: self.audit.entries(limit=1),
            "model": self.model_files.require,
        }
        return {name: _outcome(check) for name, check in checks.items()}

    def _require_signed(self) -> None:
        if self.signed is not None:
            self.signed.check()

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
