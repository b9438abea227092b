"""What the document, application and tenant commands do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ragward import installation
from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.commands import Caller, document_id, opened
from ragward.domain.access import Application
from ragward.domain.corpus import DocumentState
from ragward.domain.errors import InvalidRequestError
from ragward.domain.identities import DAY, Custody
from ragward.domain.labels import Classification, LabelChange
from ragward.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApplication:
    """An application as the command line takes it."""

    principal: str
    client_id: str
    ceiling: str
    corpora: Sequence[str]
    public: bool
    replace_keys: bool
    purpose: str
    days: int
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which documents to list."""

    corpus: str | None
    quarantined: bool
    limit: int
    page_token: str | None


def show_list(settings: Settings, wanted: Listing, caller: Caller, *, as_json: bool) -> None:
    """`ragward document list`."""
    with opened(settings, caller) as (ragward, subject):
        found, next_page_token = ragward.stewardship.documents(
            subject,
            corpus=wanted.corpus,
            state=DocumentState.QUARANTINED if wanted.quarantined else None,
            untrusted_page_token=wanted.page_token,
            limit=wanted.limit,
        )
    render.documents(found, next_page_token=next_page_token, as_json=as_json)


def show(settings: Settings, document: str, caller: Caller, *, as_json: bool) -> None:
    """`ragward document show`."""
    with opened(settings, caller) as (ragward, subject):
        record = ragward.stewardship.document(subject, document_id(ragward, subject, document))
    render.document(record, as_json=as_json)


def relabel(
    settings: Settings,
    document: str,
    change: LabelChange,
    reason: str,
    caller: Caller,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """`ragward document relabel`: one document, or with a name that ends in `/` all below it."""
    with opened(settings, caller) as (ragward, subject):
        if document.endswith(("/", ":")):
            corpus, _, folder = document.partition(":")
            done = ragward.relabelling.relabel_folder(
                subject, corpus, folder, change, reason, dry_run=dry_run
            )
            render.folder(
                done, ragward.epoch_token(subject.tenant), dry_run=dry_run, as_json=as_json
            )
            return
        before = ragward.stewardship.document(subject, document_id(ragward, subject, document))
        if dry_run:
            raise InvalidRequestError("a dry run is of a folder: a name that ends in /")
        after = ragward.relabelling.relabel(
            subject, before.document_id, change.of(before.label), reason
        )
    render.document(after, as_json=as_json)


def resume(settings: Settings, *, as_json: bool) -> None:
    """`ragward document resume`."""
    with Ragward.open(settings) as ragward:
        done = ragward.relabelling.resume()
        left = {pending.value: n for pending, n in ragward.catalog.count_pending().items()}
    waits = ", ".join(f"{n} to {work}" for work, n in left.items()) or "nothing is left"
    render.result({"done": done, "left": left}, f"{done} finished; {waits}", as_json=as_json)


def release(
    settings: Settings, document: str, reason: str, caller: Caller, *, as_json: bool
) -> None:
    """`ragward document release`."""
    with opened(settings, caller) as (ragward, subject):
        name = document_id(ragward, subject, document)
        ragward.relabelling.release(subject, name, reason)
        token = ragward.epoch_token(subject.tenant)
    result = {"document_id": name, "epoch_token": token}
    render.result(result, f"{name} is released", as_json=as_json)


def delete(settings: Settings, document: str, caller: Caller, *, as_json: bool) -> None:
    """`ragward document delete`."""
    with opened(settings, caller) as (ragward, subject):
        name = document_id(ragward, subject, document)
        ragward.stewardship.delete(subject, name)
        token = ragward.epoch_token(subject.tenant)
    result = {"document_id": name, "epoch_token": token}
    render.result(result, f"{name} is deleted", as_json=as_json)


def add_application(
    settings: Settings, new: NewApplication, caller: Caller, *, as_json: bool
) -> None:
    """`ragward application add`."""
    with opened(settings, caller) as (ragward, subject):
        application = Application(
            principal=new.principal,
            tenant=subject.tenant,
            client_id=new.client_id,
            corpora=frozenset(new.corpora),
            ceiling=Classification.parse(new.ceiling),
            public_client=new.public,
            expires_at=ragward.clock.now() + new.days * DAY,
        )
        key = ragward.identities.register_application(
            subject,
            application,
            Custody(owner=new.owner or subject.principal, purpose=new.purpose),
            with_key=not new.public,
            replace_keys=new.replace_keys,
        )
    shown = f"its API key, shown this once: {key}" if key else "it has no key"
    result = {"principal": new.principal, "api_key": key}
    render.result(result, f"{new.principal} is registered; {shown}", as_json=as_json)


def add_tenant(
    settings: Settings, tenant: str, administrator: str, policy: Path | None, *, as_json: bool
) -> None:
    """`ragward tenant add`."""
    start = installation.read_policy_csv(policy) if policy else None
    with Ragward.open(settings) as ragward:
        installation.add_tenant(ragward, tenant=tenant, administrator=administrator, policy=start)
    result = {"tenant": tenant, "administrator": administrator}
    line = f"tenant {tenant} is ready; {administrator} administers it"
    render.result(result, line, as_json=as_json)


def repair_policy(settings: Settings, tenant: str, *, as_json: bool) -> None:
    """`ragward tenant repair`."""
    with Ragward.open(settings) as ragward:
        version = installation.repair_policy(ragward, tenant=tenant)
    line = f"version {version} of the policy of {tenant} is in force again"
    render.result({"tenant": tenant, "version": version}, line, as_json=as_json)
