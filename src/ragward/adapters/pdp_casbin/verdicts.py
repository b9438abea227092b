"""What a decision is made of: user ∩ application ∩ every agent ∩ task grant, on one label and on all of them."""

from __future__ import annotations

from typing import Protocol

from pyroaring import BitMap

from ragward.adapters.pdp_casbin.label_index import LabelIndex
from ragward.adapters.pdp_casbin.model import Ctx
from ragward.adapters.pdp_casbin.rule_index import RuleIndex
from ragward.domain.access import ALL_CORPORA, CONTENT_ACTIONS, Action, Context, Subject
from ragward.domain.explanation import AskedAbout
from ragward.domain.labels import AccessLabel, Classification


class Policy(Protocol):
    """One policy version, decided fast or exactly."""

    def readable(self, principal: str, index: LabelIndex, within: BitMap, ctx: Ctx) -> BitMap:
        """Labels, of the signatures `within`, that the principal may retrieve under."""

    def signatures(self, principal: str, action: str, index: LabelIndex) -> BitMap:
        """Signatures under which an administrative action is permitted."""

    def permits(self, principal: str, action: str, label: AccessLabel, ctx: Ctx) -> bool:
        """One decision."""


def asking(subject: Subject) -> AskedAbout:
    return AskedAbout(
        principal=subject.principal,
        application=subject.application,
        agents=subject.agents,
        task=subject.task,
    )


def readable(
    policy: Policy, rules: RuleIndex, index: LabelIndex, about: AskedAbout, ctx: tuple[Ctx, Ctx]
) -> BitMap:
    """Labels that somebody may retrieve under: `permits`, for all of them."""
    own, acting = ctx
    within = admitted(index, about, Action.CORPUS_RETRIEVE, own.now)
    labels = policy.readable(about.principal, index, within, own)
    for agent in about.agents:
        labels &= policy.readable(agent, index, within, acting)
    if about.application is not None:
        labels -= index.denied_to(rules.sub(about.application.principal).reached)
    return labels


def permits(
    policy: Policy,
    rules: RuleIndex,
    about: AskedAbout,
    action: str,
    label: AccessLabel,
    ctx: tuple[Ctx, Ctx],
) -> bool:
    """One decision: user ∩ application ∩ every agent ∩ task grant. An application needs no row or grant of its own, but a
    denial of it, or of what it belongs to, counts."""
    own, acting = ctx
    if about.task is not None and not about.task.admits(label, action, own.now):
        return False
    application = about.application
    if application is not None:
        if not application.admits(label):
            return False
        if not own.administrative and label.denied & rules.sub(application.principal).reached:
            return False
    if about.is_application_alone and label.classification > Classification.PUBLIC:
        return False
    return policy.permits(about.principal, action, label, own) and all(
        policy.permits(agent, action, label, acting) for agent in about.agents
    )


def may_read(
    policy: Policy, rules: RuleIndex, about: AskedAbout, label: AccessLabel, context: Context
) -> bool:
    ctx = contexts_about(about, context)
    return label.tenant == about.tenant and permits(
        policy, rules, about, Action.CORPUS_RETRIEVE, label, ctx
    )


def admitted(index: LabelIndex, about: AskedAbout, action: str, now: int) -> BitMap:
    """Signatures whose content may come so far at all: what an application alone, `Application.admits` and
    `TaskGrant.admits` leave of them."""
    application, task = about.application, about.task
    within = index.all_signatures() if about.tenant == index.tenant else BitMap()
    if task is not None:
        if task.tenant != index.tenant or not task.lends(action, now):
            return BitMap()
        within &= index.up_to(task.ceiling) & index.in_corpora(task.corpora)
    if about.is_application_alone:
        within &= index.up_to(Classification.PUBLIC)
    if application is None:
        return within
    if application.tenant != index.tenant:
        return BitMap()
    within &= index.up_to(application.ceiling)
    if ALL_CORPORA not in application.corpora:
        within &= index.in_corpora(application.corpora)
    return within


def contexts(action: str, context: Context) -> tuple[Ctx, Ctx]:
    """What the model sees of the circumstances: for the subject itself, and for who acts for it."""
    administrative = action not in CONTENT_ACTIONS
    return (
        Ctx(context.now, delegate=False, administrative=administrative),
        Ctx(context.now, delegate=True, administrative=administrative),
    )


def contexts_about(about: AskedAbout, context: Context) -> tuple[Ctx, Ctx]:
    """The same for a reading by somebody who does not ask: an agent by itself is the delegate it always is."""
    own, acting = contexts(Action.CORPUS_RETRIEVE, context)
    return (acting if about.principal.startswith("agent:") else own), acting
