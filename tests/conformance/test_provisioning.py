"""Provisioning as a flow: recorded before it takes effect, and a deactivation holds against concurrent readers."""

from __future__ import annotations

import threading

import pytest

from ragward.domain.access import Application, Credentials, Subject
from ragward.domain.corpus import SourceDocument
from ragward.domain.directory import GroupProfile, UserProfile
from ragward.domain.errors import (
    DeniedError,
    RequestRefusedError,
    UnauthenticatedError,
    UnavailableError,
)
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import PolicyRow
from ragward.evidence import Recorder
from ragward.provisioning import Provisioning, ProvisioningPorts
from tests import company
from tests.conftest import PROVE
from tests.e2e.scim import application, rows
from tests.installation import initialised, opened

ROUNDS = 100 if PROVE else 8
QUERY = "voltage laboratory"


class BrokenLog:
    """A log that cannot be written."""

    def append(self, event, *, durable):
        raise UnavailableError(code="unavailable.audit")


class CatalogIdentity:
    """Believes names, and asks the directory as the real verifier does."""

    def __init__(self):
        self.catalog = None

    def verify(self, credentials):
        subject = company.subject(credentials.untrusted_authorization)
        if self.catalog.is_disabled("acme", subject.principal):
            raise UnauthenticatedError(code="auth.subject_disabled")
        return subject


def idp(tenant="acme"):
    """The identity provider's application, verified, alone."""
    alone = application(tenant)
    return Subject(tenant=tenant, principal=alone.principal, application=alone, not_after=2**40)


@pytest.fixture
def ragward(tmp_path):
    identity = CatalogIdentity()
    with opened(initialised(tmp_path), identity=identity) as made:
        identity.catalog = made.catalog
        made.catalog.change_policy("acme", add_rows=rows(), author="test")
        yield made


def test_what_cannot_be_recorded_does_not_happen(ragward):
    made = ragward.provisioning
    user = made.create_user(idp(), UserProfile(user_name="ann", external_id="ann"))
    group = made.create_group(
        idp(), GroupProfile(display_name="g", members=frozenset({user.user_id}))
    )
    user = made.user(idp(), user.user_id)
    before = (ragward.catalog.policy("acme"), ragward.catalog.epoch("acme"))
    mute = Provisioning(
        ProvisioningPorts(
            directory=ragward.catalog,
            pdp=ragward.pdp,
            recorder=Recorder(audit=BrokenLog(), clock=ragward.clock),
            clock=ragward.clock,
        )
    )
    for act in (
        lambda: mute.create_user(idp(), UserProfile(user_name="ben")),
        lambda: mute.change_user(
            idp(), user.user_id, lambda _: UserProfile(user_name="x", external_id="ann")
        ),
        lambda: mute.delete_user(idp(), user.user_id),
        lambda: mute.create_group(idp(), GroupProfile(display_name="h")),
        lambda: mute.change_group(idp(), group.group_id, lambda _: GroupProfile(display_name="x")),
        lambda: mute.delete_group(idp(), group.group_id),
    ):
        with pytest.raises(UnavailableError):
            act()
    assert (ragward.catalog.policy("acme"), ragward.catalog.epoch("acme")) == before
    assert made.user(idp(), user.user_id) == user
    assert made.group(idp(), group.group_id) == group


def test_everything_is_decided(ragward):
    stranger = company.subject("ann")
    made = ragward.provisioning
    for act in (
        lambda: made.user(stranger, "x"),
        lambda: made.users(stranger, (), offset=0, limit=1),
        lambda: made.create_user(stranger, UserProfile(user_name="x")),
        lambda: made.change_user(stranger, "x", lambda each: each.profile),
        lambda: made.delete_user(stranger, "x"),
        lambda: made.group(stranger, "x"),
        lambda: made.groups(stranger, (), offset=0, limit=1),
        lambda: made.create_group(stranger, GroupProfile(display_name="x")),
        lambda: made.change_group(stranger, "x", lambda each: each.profile),
        lambda: made.delete_group(stranger, "x"),
    ):
        with pytest.raises(DeniedError):
            act()


@pytest.mark.parametrize(
    ("corpora", "ceiling", "row", "permitted"),
    [
        ({"all-corpora"}, "PUBLIC", ("acme/*", "PUBLIC"), True),
        ({"*"}, "RESTRICTED", ("acme/*", "PUBLIC..RESTRICTED"), True),
        ({"hr"}, "RESTRICTED", ("acme/*", "PUBLIC..RESTRICTED"), False),
        (set(), "RESTRICTED", ("acme/*", "PUBLIC..RESTRICTED"), False),
        ({"*"}, "RESTRICTED", ("acme/hr", "PUBLIC..RESTRICTED"), False),
        ({"*"}, "RESTRICTED", ("acme/*", "INTERNAL..RESTRICTED"), False),
    ],
)
def test_who_provisions_covers_the_tenant_by_row_and_by_registration(
    ragward, corpora, ceiling, row, permitted
):
    ragward.catalog.change_policy(
        "acme",
        remove_rows=rows(),
        add_rows=[PolicyRow("app:acme/idp", "directory:write", *row, "*", "allow")],
        author="test",
    )
    alone = Application(
        principal="app:acme/idp",
        tenant="acme",
        client_id="idp",
        corpora=frozenset(corpora),
        ceiling=Classification[ceiling],
    )
    subject = Subject(tenant="acme", principal=alone.principal, application=alone, not_after=2**40)
    if permitted:
        ragward.provisioning.create_user(subject, UserProfile(user_name="x"))
    else:
        with pytest.raises(DeniedError):
            ragward.provisioning.create_user(subject, UserProfile(user_name="x"))


def test_no_request_begun_after_a_deactivation_is_answered(ragward):
    """Readers ask all the time; whoever began after the call returned is refused."""
    provisioning = ragward.provisioning
    user = provisioning.create_user(idp(), UserProfile(user_name="eve", external_id="eve"))
    group = provisioning.create_group(
        idp(), GroupProfile(display_name="g", members=frozenset({user.user_id}))
    )
    row = PolicyRow(group.principal, "corpus:retrieve", "acme/eng", "CONFIDENTIAL", "*", "allow")
    ragward.catalog.change_policy("acme", add_rows=[row], author="test")
    label = AccessLabel(
        tenant="acme",
        corpus="eng",
        classification=Classification.CONFIDENTIAL,
        granted=frozenset({group.principal}),
    )
    document = SourceDocument(
        source="v.txt",
        filename="v.txt",
        data=b"The voltage laboratory.",
        label=label,
        attributes={},
    )
    ragward.ingestion.ingest(company.subject("steward"), document)
    state = {"out": False, "turns": 0}
    lock, stop, wrong, answered = threading.Lock(), threading.Event(), [], []

    def look():
        with lock:
            return dict(state)

    def read():
        while not stop.is_set():
            began = look()
            try:
                passages = ragward.retrieve(
                    Credentials(untrusted_authorization="eve"), QUERY
                ).passages
                answered.append(bool(passages))
                if began["out"] and look() == began:
                    wrong.append(began)
            except (RequestRefusedError, UnavailableError):
                pass  # refused, or permissions kept changing under it

    def turn(active):
        with lock:
            state["turns"] += 1
            state["out"] = False  # in between either is right
        provisioning.change_user(
            idp(),
            user.user_id,
            lambda before: UserProfile(user_name="eve", external_id="eve", active=active),
        )
        with lock:
            state["turns"] += 1
            state["out"] = not active

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for i in range(ROUNDS):
        turn(active=bool(i % 2))
        stop.wait(0.02)
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong
    assert any(answered), "nothing was ever answered: nothing was tested"
