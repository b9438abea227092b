"""The flows, wired: which is given what, and for which uses of the keyring."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from ragward.access_audit import AccessAuditing, AccessAuditingPorts
from ragward.access_sync import AccessSync, AccessSyncPorts
from ragward.agent_events import AgentEvents
from ragward.analysis import Analysis
from ragward.answers import Tally
from ragward.auditing import Auditing, AuditingPorts
from ragward.defences import Defences
from ragward.domain.access import Subject
from ragward.domain.assurance import Demands, proves_restricted
from ragward.domain.keys import KeyUse
from ragward.domain.labels import Classification
from ragward.elevation import Elevating, ElevationPorts
from ragward.evaluation import Evaluation, EvaluationPorts
from ragward.explanation import Explainer, ExplainerPorts
from ragward.holding import Holding, HoldingPorts
from ragward.identities import Identities, IdentitiesPorts
from ragward.ingestion import Ingestion, IngestionPorts
from ragward.labelling import Labelling
from ragward.learning import Learning, LearningPorts
from ragward.lineage import Lineage, LineagePorts
from ragward.opening import entity_types, policy_duties
from ragward.outputs import Outputs, OutputsPorts
from ragward.parts import Parts
from ragward.planting import Planting, PlantingPorts
from ragward.policy_administration import PolicyAdministration, PolicyAdministrationPorts
from ragward.presence import Presence, PresencePorts
from ragward.provisioning import Provisioning, ProvisioningPorts
from ragward.reading_ahead import ReadAhead
from ragward.receipting import Receipting
from ragward.receipts import Receipts, ReceiptsPorts
from ragward.reembedding import Reembedding, ReembeddingPorts
from ragward.relabelling import Relabelling, RelabellingPorts
from ragward.rescanning import Rescanning, RescanningPorts
from ragward.rescreening import Rescreening, RescreeningPorts
from ragward.restricting import Restricting, RestrictingPorts
from ragward.retention import Retention, RetentionPorts
from ragward.retrieval import Retrieval, RetrievalPorts
from ragward.reviewing import Reviewing, ReviewingPorts
from ragward.rotation import Rotation, RotationPorts
from ragward.shredding import Shredding, ShreddingPorts
from ragward.standing import StandingHolds
from ragward.stewardship import Stewardship, StewardshipPorts
from ragward.targets import Targets, TargetsPorts
from ragward.task_grants import TaskGrants, TaskGrantsPorts
from ragward.watching import administrators_of

_MOVING: Final = (KeyUse.UNWRAP, KeyUse.WRAP, KeyUse.REWRAP)
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Everything an installation does."""

    retrieval: Retrieval
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
    rescanning: Rescanning
    rescreening: Rescreening
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


def wired(parts: Parts) -> Flows:
    """All of them."""
    retrieval, rotation, relabelling = _retrieval(parts), _rotation(parts), _relabelling(parts)
    stewardship, targets = _stewardship(parts), _targets(parts)
    identities = _identities(parts)
    ingestion = _ingestion(parts, _presence(parts, stewardship))
    shredding = _shredding(parts, rotation, targets)
    policies = _policy_administration(parts)
    return Flows(
        retrieval=retrieval,
        ingestion=ingestion,
        planting=_planting(parts, ingestion),
        auditing=_auditing(parts),
        receipts=_receipts(parts),
        stewardship=stewardship,
        reembedding=_reembedding(parts),
        relabelling=relabelling,
        access_sync=_access_sync(parts, relabelling),
        reviewing=_reviewing(parts, relabelling),
        learning=_learning(parts),
        lineage=_lineage(parts),
        rescanning=_rescanning(parts),
        rescreening=_rescreening(parts),
        rotation=rotation,
        shredding=shredding,
        holding=_holding(parts, targets),
        retention=_retention(parts, shredding),
        evaluation=_evaluation(parts),
        identities=identities,
        task_grants=_task_grants(parts),
        agent_events=_agent_events(parts),
        outputs=_outputs(parts),
        explainer=_explainer(parts, retrieval),
        policy_administration=policies,
        access_auditing=_access_auditing(parts, policies, identities),
        provisioning=_provisioning(parts),
        elevating=_elevating(parts),
        restricting=_restricting(parts),
    )


def _retrieval(parts: Parts) -> Retrieval:
    from ragward.adapters.trust_toml import load_trust

    opened = parts.opened
    return Retrieval(
        RetrievalPorts(
            identity=opened.identity,
            limiter=parts.limiter,
            screener=opened.screener,
            trust=load_trust(opened.policies / "trust.toml"),
            pdp=opened.pdp,
            scopes=parts.scopes,
            index=parts.index,
            catalog=opened.catalog,
            protection=parts.answering,
            disclosure=parts.disclosure,
            recorder=parts.recorder,
            receipting=Receipting(recorder=parts.recorder, secrets=parts.receipt_secrets),
            epoch_tokens=parts.epoch_tokens,
            watch=parts.watch,
            clock=opened.clock,
            assuring=parts.assuring,
            tally=parts.tracing.tally if parts.tracing else Tally,
        )
    )


def _ingestion(parts: Parts, presence: Presence) -> Ingestion:
    opened = parts.opened
    analyser = Analysis(
        extractor=opened.extractor,
        chunker=opened.chunker,
        finder=opened.finder,
        screener=opened.screener,
        embedder=opened.embedder,
        redactor=parts.protection.redactor,
    )
    defences = _defences(parts)
    return Ingestion(
        IngestionPorts(
            extractor=opened.extractor,
            analyser=analyser,
            read_ahead=ReadAhead(
                catalog=opened.catalog,
                analyser=analyser,
                extractor=opened.extractor,
                demands=defences.demands,
                open_reader=parts.open_reader,
            ),
            labelling=Labelling(opened.classifier, opened.thresholds, opened.trained),
            pdp=opened.pdp,
            catalog=opened.catalog,
            defences=defences,
            standing=StandingHolds(
                store=opened.catalog, keyring=opened.keys(), recorder=parts.recorder
            ),
            protection=parts.protection_with(KeyUse.WRAP),
            index_sync=parts.index_sync,
            presence=presence,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _defences(parts: Parts) -> Defences:
    from ragward.adapters.signatures_ed25519 import Ed25519Verifier
    from ragward.adapters.trust_toml import load_demands

    opened = parts.opened
    return Defences(
        demands=load_demands(opened.policies / "trust.toml"),
        verifier=Ed25519Verifier(),
        catalog=opened.catalog,
        pdp=opened.pdp,
        recorder=parts.recorder,
        clock=opened.clock,
    )


def _access_auditing(
    parts: Parts, policies: PolicyAdministration, identities: Identities
) -> AccessAuditing:
    opened = parts.opened
    return AccessAuditing(
        AccessAuditingPorts(
            catalog=opened.catalog,
            audit=opened.held.audit,
            pdp=opened.pdp,
            key_statuses=opened.keys(KeyUse.ADMINISTER).status,
            ledger=opened.ledger,
            policies=policies,
            identities=identities,
            recorder=parts.recorder,
            clock=opened.clock,
            rotate_after_days=opened.settings.rotate_after_days,
        )
    )


def _planting(parts: Parts, ingestion: Ingestion) -> Planting:
    opened = parts.opened
    return Planting(
        PlantingPorts(
            ingestion=ingestion,
            catalog=opened.catalog,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _presence(parts: Parts, stewardship: Stewardship) -> Presence:
    opened, settings = parts.opened, parts.opened.settings
    return Presence(
        PresencePorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
            handling=parts.protection.handling,
            delete=stewardship.withdraw,
            grace_seconds=settings.gone_grace_days * _DAY,
            ask_above=settings.gone_ask_above_percent,
        )
    )


def _stewardship(parts: Parts) -> Stewardship:
    opened = parts.opened
    return Stewardship(
        StewardshipPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            keyring=opened.keys(),
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _identities(parts: Parts) -> Identities:
    from ragward.adapters.identity_keys import new_api_key

    opened = parts.opened
    return Identities(
        IdentitiesPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            audit=opened.held.audit,
            recorder=parts.recorder,
            clock=opened.clock,
            new_key=new_api_key,
        )
    )


def _task_grants(parts: Parts) -> TaskGrants:
    opened, demands = parts.opened, parts.assuring.levels.get(Classification.RESTRICTED, Demands())

    def stepped_up(subject: Subject) -> bool:
        return proves_restricted(subject, opened.clock.now(), demands)

    return TaskGrants(
        TaskGrantsPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
            max_minutes=opened.settings.task_grant_max_minutes,
            entity_types=entity_types(),
            stepped_up=stepped_up,
            most_for=parts.disclosure.rules.most_for,
        )
    )


def _agent_events(parts: Parts) -> AgentEvents:
    opened = parts.opened
    return AgentEvents(
        audit=opened.held.audit, limiter=opened.held.limiter, recorder=parts.recorder
    )


def _receipts(parts: Parts) -> Receipts:
    opened = parts.opened
    return Receipts(
        ReceiptsPorts(
            audit=opened.held.audit,
            pdp=opened.pdp,
            labels=opened.catalog,
            policies=opened.catalog,
            elevations=opened.catalog,
            secrets=parts.receipt_secrets,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _auditing(parts: Parts) -> Auditing:
    opened = parts.opened
    return Auditing(
        AuditingPorts(
            audit=opened.held.audit,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _relabelling(parts: Parts) -> Relabelling:
    opened = parts.opened
    return Relabelling(
        RelabellingPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            protection=parts.protection_with(*_MOVING),
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
            four_eyes=opened.settings.four_eyes,
        )
    )


def _access_sync(parts: Parts, relabelling: Relabelling) -> AccessSync:
    opened = parts.opened
    return AccessSync(
        AccessSyncPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            relabelling=relabelling,
            defences=_defences(parts),
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _reviewing(parts: Parts, relabelling: Relabelling) -> Reviewing:
    opened = parts.opened
    return Reviewing(
        ReviewingPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            relabelling=relabelling,
            keyring=opened.keys(),
            recorder=parts.recorder,
            clock=opened.clock,
            four_eyes=opened.settings.four_eyes,
        )
    )


def _learning(parts: Parts) -> Learning:
    from ragward.adapters.classifier_training import ScikitLearnTrainer

    opened = parts.opened
    return Learning(
        LearningPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            protection=parts.protection,
            trainer=ScikitLearnTrainer(opened.embedder.model_digest, opened.thresholds),
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _reembedding(parts: Parts) -> Reembedding:
    opened = parts.opened
    return Reembedding(
        ReembeddingPorts(
            catalog=opened.catalog,
            models=opened.models,
            protection=parts.protection,
            index=parts.index,
            index_sync=parts.index_sync,
            finder=opened.finder,
            recorder=parts.recorder,
            clock=opened.clock,
            grace_seconds=opened.settings.request_seconds,
        )
    )


def _lineage(parts: Parts) -> Lineage:
    opened = parts.opened
    return Lineage(
        LineagePorts(
            catalog=opened.catalog,
            models=opened.models,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
            release=version("ragward"),
        )
    )


def _rescanning(parts: Parts) -> Rescanning:
    opened = parts.opened
    return Rescanning(
        RescanningPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            finder=opened.finder,
            classifier=opened.classifier,
            protection=parts.protection_with(*_MOVING),
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _rescreening(parts: Parts) -> Rescreening:
    opened = parts.opened
    return Rescreening(
        RescreeningPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            screener=opened.screener,
            protection=parts.protection,
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _rotation(parts: Parts) -> Rotation:
    opened = parts.opened
    return Rotation(
        RotationPorts(
            keyring=opened.keys(KeyUse.REWRAP, KeyUse.ADMINISTER),
            ledger=opened.ledger,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
            rotate_after_days=opened.settings.rotate_after_days,
            grace_seconds=opened.settings.request_seconds,
        )
    )


def _targets(parts: Parts) -> Targets:
    opened = parts.opened
    return Targets(
        TargetsPorts(
            catalog=opened.catalog,
            ledger=opened.ledger,
            pdp=opened.pdp,
            protection=parts.protection,
            finder=opened.finder,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _holding(parts: Parts, targets: Targets) -> Holding:
    opened = parts.opened
    return Holding(
        HoldingPorts(
            catalog=opened.catalog,
            ledger=opened.ledger,
            pdp=opened.pdp,
            targets=targets,
            keyring=opened.keys(),
            index_sync=parts.index_sync,
            recorder=parts.recorder,
            clock=opened.clock,
            four_eyes=opened.settings.four_eyes,
        )
    )


def _retention(parts: Parts, shredding: Shredding) -> Retention:
    from ragward.adapters.retention_toml import load_retention

    opened = parts.opened
    return Retention(
        RetentionPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            shredding=shredding,
            rules=load_retention(opened.policies / "retention.toml"),
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _shredding(parts: Parts, rotation: Rotation, targets: Targets) -> Shredding:
    opened = parts.opened
    return Shredding(
        ShreddingPorts(
            catalog=opened.catalog,
            ledger=opened.ledger,
            keyring=opened.keys(KeyUse.ADMINISTER),
            targets=targets,
            vault=parts.disclosure.vault,
            rotation=rotation,
            index_sync=parts.index_sync,
            pdp=opened.pdp,
            recorder=parts.recorder,
            audit=opened.held.audit,
            clock=opened.clock,
            handling=parts.protection.handling,
            indexed_in_clear=frozenset(Classification) - parts.sealed_levels,
        )
    )


def _evaluation(parts: Parts) -> Evaluation:
    opened = parts.opened
    return Evaluation(
        EvaluationPorts(
            limiter=parts.limiter,
            pdp=opened.pdp,
            catalog=opened.catalog,
            keyring=opened.keys(KeyUse.UNWRAP),
            epoch_tokens=parts.epoch_tokens,
            handling=parts.protection.handling,
            recorder=parts.recorder,
            clock=opened.clock,
            entity_types=entity_types(),
        )
    )


def _outputs(parts: Parts) -> Outputs:
    opened = parts.opened
    return Outputs(
        OutputsPorts(
            pdp=opened.pdp,
            catalog=opened.catalog,
            finder=opened.finder,
            screener=opened.screener,
            protection=parts.answering,
            disclosure=parts.disclosure,
            audit=opened.held.audit,
            limiter=parts.limiter,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _explainer(parts: Parts, retrieval: Retrieval) -> Explainer:
    opened = parts.opened
    return Explainer(
        ExplainerPorts(
            pdp=opened.pdp,
            catalog=opened.catalog,
            index=parts.index,
            retrieval=retrieval,
            keyring=opened.keys(KeyUse.UNWRAP),
            limiter=parts.limiter,
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _policy_administration(parts: Parts) -> PolicyAdministration:
    opened = parts.opened
    return PolicyAdministration(
        PolicyAdministrationPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
            duties=policy_duties(opened.settings.policies_dir),
            four_eyes=opened.settings.four_eyes,
        )
    )


def _elevating(parts: Parts) -> Elevating:
    from ragward.adapters.alerts import Alerts
    from ragward.adapters.elevation_toml import load_elevation

    opened = parts.opened
    return Elevating(
        ElevationPorts(
            catalog=opened.catalog,
            pdp=opened.pdp,
            rules=load_elevation(opened.policies / "elevation.toml"),
            alarm=Alerts(opened.settings.alerts),
            recorder=parts.recorder,
            clock=opened.clock,
        )
    )


def _provisioning(parts: Parts) -> Provisioning:
    opened = parts.opened
    return Provisioning(
        ProvisioningPorts(
            directory=opened.catalog, pdp=opened.pdp, recorder=parts.recorder, clock=opened.clock
        )
    )


def _restricting(parts: Parts) -> Restricting:
    opened = parts.opened
    return Restricting(
        RestrictingPorts(
            store=opened.catalog,
            catalog=opened.catalog,
            pdp=opened.pdp,
            recorder=parts.recorder,
            clock=opened.clock,
            administrators=administrators_of(opened.pdp),
        )
    )
