"""An installation with real tokens and keys, documents at every level, and what tests of agents ask of it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

import jwt

from ragward.adapters.identity_dev import DEVELOPMENT_ISSUER, DevelopmentIssuer
from ragward.adapters.identity_jwt import JWTIdentityVerifier
from ragward.bootstrap import Ragward
from ragward.domain.access import Application, Credentials
from ragward.domain.identities import DAY
from ragward.domain.labels import Classification
from ragward.domain.passages import RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.domain.task_grants import TaskGrantRequest
from ragward.installation import Policy, initialise
from ragward.opening import development_token
from tests import company
from tests.abuse.others import document, put
from tests.installation import opened, settings_in

REASON = "answer one ticket for me"
BOT, OTHER_BOT = "agent:acme/bot", "agent:acme/other"
PUBLIC, INTERNAL, CONFIDENTIAL, RESTRICTED = Classification
ROWS = (
    *company.ROWS,
    PolicyRow(OTHER_BOT, "corpus:retrieve", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    PolicyRow(BOT, "reveal:*", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
    PolicyRow(BOT, "document:*", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
    *(
        PolicyRow("user:acme/steward", action, "acme/*", "PUBLIC..RESTRICTED", "*", "allow")
        for action in ("application:write", "corpus:retrieve")
    ),
)


@dataclass
class World:
    """The installation, its clock and its issuer."""

    ragward: Ragward
    clock: company.SetClock
    issuer: DevelopmentIssuer
    key: str
    kiosk_key: str

    def token(self, name, *chain, client="portal", tenant="acme"):
        """The token of a person who has just proven themselves, with agents acting for them, the one that sends first."""
        now = self.clock.now()
        actor = None
        for agent in reversed(chain):
            actor = {"sub": agent.partition("/")[2]} | ({} if actor is None else {"act": actor})
        claims = {
            "iss": DEVELOPMENT_ISSUER,
            "aud": self.ragward.settings.audience,
            "sub": name,
            "tenant": tenant,
            "azp": client,
            "iat": now,
            "exp": now + 36_000,
            "jti": str(uuid.uuid4()),
            "acr": "phr",
            "auth_time": now,
            "device": "compliant",
        } | ({} if actor is None else {"act": actor})
        headers = {"typ": "at+jwt", "kid": self.issuer._kid}
        return jwt.encode(claims, self.issuer._key, algorithm="ES256", headers=headers)

    def credentials(self, name, *chain, grant=None, key=None, client="portal"):
        """Through the portal, unless another key comes."""
        return Credentials(
            untrusted_authorization=key or self.key,
            untrusted_user_authorization=self.token(name, *chain, client=client),
            untrusted_task_grant=grant,
        )

    def subject(self, name, *chain, **given):
        return self.ragward.identify(self.credentials(name, *chain, **given))

    def ask(self, credentials, **given):
        """What is found, by source."""
        request = RetrievalRequest(
            query="voltage laboratory", limit=50, max_passages_per_document=50, **given
        )
        answer = self.ragward.retrieve(credentials, request)
        return {passage.source for passage in answer.passages}

    def mint(self, name="ann", **changes):
        """(grant, secret), lent to the bot."""
        wanted = {
            "agent": BOT,
            "corpora": frozenset({"hr"}),
            "ceiling": INTERNAL,
            "actions": frozenset({"corpus:retrieve"}),
            "budget_tokens": 1_000_000,
            "minutes": 10,
            "reason": REASON,
        } | changes
        by = wanted.pop("by", None) or self.subject(name)
        record, secret = self.ragward.task_grants.mint(by, TaskGrantRequest(**wanted))
        return record.grant, secret

    def verifier(self, **given):
        """The token verifier by itself, with other settings."""
        issuers = list(self.ragward.identity._inner._issuers.values())
        return JWTIdentityVerifier(issuers, self.ragward.catalog, self.clock, **given)


def open_world(directory, **changes):
    """The world, open; close `ragward`."""
    settings = settings_in(directory).model_copy(
        update={"development_tenants": ("acme", "globex")} | changes
    )
    initialise(
        settings,
        tenant="acme",
        administrator="user:acme/root",
        policy=Policy(rows=ROWS, memberships=company.MEMBERSHIPS),
    )
    development_token(settings, "ann", tenant="acme")  # makes the issuer
    clock = company.SetClock()
    ragward = opened(settings, identity=None, clock=clock)
    keys = [
        company.register(ragward, application(name, ceiling))
        for name, ceiling in (("portal", RESTRICTED), ("kiosk", RESTRICTED))
    ]
    everybody = ["group:acme/staff"]
    put(
        ragward,
        *(
            document(
                f"{corpus}/{level.name.lower()}", corpus=corpus, level=level, granted=everybody
            )
            for corpus in ("hr", "eng", "fin")
            for level in Classification
        ),
        document("hr/case", corpus="hr", level=INTERNAL, granted=everybody, compartments=["case"]),
        document(
            "hr/person",
            "The voltage laboratory is reached by person7@example.com at any time.",
            corpus="hr",
            level=INTERNAL,
            granted=everybody,
        ),
    )
    issuer = DevelopmentIssuer.open(settings.development_issuer)
    return World(ragward, clock, issuer, *keys)


def application(name, ceiling=RESTRICTED):
    return Application(
        principal=f"app:acme/{name}",
        tenant="acme",
        client_id=name,
        corpora=frozenset({"*"}),
        ceiling=ceiling,
    )


def soon(world):
    """A time at which something may end."""
    return world.clock.now() + 30 * DAY


def with_row(subject, **changes):
    """The subject with another task."""
    return replace(subject, task=replace(subject.task, **changes))
