"""A small company for tests: three corpora, people, groups, one agent; generated documents; real flows over fakes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from ragward.domain.access import Application, Context, Subject
from ragward.domain.corpus import SourceDocument
from ragward.domain.identities import DAY, Custody
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.domain.proof import Assurance, Device, Proof

TENANT = "acme"
PEOPLE = ("ann", "ben", "cai", "dot")
WORDS = [
    "budget",
    "travel",
    "calibration",
    "sensor",
    "parental",
    "leave",
    "salary",
    "contract",
    "invoice",
    "customer",
    "release",
    "vpn",
    "incident",
    "audit",
    "laboratory",
    "voltage",
    "purchase",
    "hiring",
    "training",
    "safety",
    "pension",
    "delivery",
    "warranty",
    "prototype",
    "firmware",
    "licence",
    "quarter",
]

ROWS = tuple(
    PolicyRow(*fields)
    for fields in (
        ("group:acme/staff", "corpus:retrieve", "acme/*", "PUBLIC..INTERNAL", "*", "allow"),
        ("group:acme/hr", "corpus:retrieve", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"),
        ("group:acme/eng", "corpus:retrieve", "acme/eng", "PUBLIC..CONFIDENTIAL", "*", "allow"),
        ("group:acme/interns", "corpus:retrieve", "acme/fin", "PUBLIC..RESTRICTED", "*", "deny"),
        ("group:acme/hr", "reveal:*", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"),
        ("group:acme/staff", "reveal:PERSON", "acme/*", "PUBLIC..INTERNAL", "*", "allow"),
        ("agent:acme/bot", "corpus:retrieve", "acme/*", "PUBLIC..CONFIDENTIAL", "*", "allow"),
        ("user:acme/steward", "document:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
        ("user:acme/steward", "policy:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
        ("user:acme/steward", "access:explain", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
        ("user:acme/steward", "audit:read", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
        ("user:acme/steward", "key:rotate", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    )
)
MEMBERSHIPS = tuple(
    Membership(member, group)
    for member, group in (
        ("user:acme/ann", "group:acme/hr"),
        ("group:acme/hr", "group:acme/staff"),
        ("user:acme/ben", "group:acme/eng"),
        ("group:acme/eng", "group:acme/staff"),
        ("user:acme/cai", "group:acme/interns"),
        ("group:acme/interns", "group:acme/staff"),
        ("user:acme/ann", "compartment:acme/case"),
        ("user:acme/dot", "group:acme/hr"),
    )
)
APPLICATION = Application(
    principal="app:acme/portal",
    tenant=TENANT,
    client_id="portal",
    corpora=frozenset({"*"}),
    ceiling=Classification.RESTRICTED,
)


#: As well as anybody can, and, whatever a test's clock says, just now.
PROVEN = Proof(assurance=Assurance.PHISHING_RESISTANT, device=Device.COMPLIANT)
JUST_NOW = 2**40


def subject(name: str, *, agents: tuple[str, ...] = ()) -> Subject:
    """A verified person, who proved who they are."""
    return Subject(
        tenant=TENANT,
        principal=f"user:acme/{name}",
        application=APPLICATION,
        agents=agents,
        not_after=2**40,
        auth_time=JUST_NOW,
        proof=PROVEN,
    )


def register(ragward, application: Application, by: Subject | None = None) -> str:
    """Its API key, registered by a steward who answers for it."""
    by = by or subject("steward")
    application = replace(application, expires_at=ragward.clock.now() + 30 * DAY)
    custody = Custody(owner=by.principal, purpose="a test")
    return ragward.identities.register_application(by, application, custody, with_key=True)


def documents(count: int, seed: int = 1) -> list[SourceDocument]:
    """Generated documents over all labels, some with personal data."""
    chance = random.Random(seed)
    return [_document(i, chance) for i in range(count)]


def _document(i: int, chance: random.Random) -> SourceDocument:
    corpus = chance.choice(("hr", "eng", "fin"))
    level = chance.choice(tuple(Classification))
    granted = chance.choice(
        (["group:acme/staff"], ["group:acme/hr", "group:acme/eng"], ["user:acme/cai"], [])
    )
    label = AccessLabel(
        tenant=TENANT,
        corpus=corpus,
        classification=level,
        compartments=frozenset(["case"] if chance.random() < 0.15 else []),
        granted=frozenset(granted),
        denied=frozenset(["user:acme/ben"] if chance.random() < 0.1 else []),
        valid_until=1_000 if chance.random() < 0.05 else None,
    )
    sentences = [
        " ".join(chance.choice(WORDS) for _ in range(chance.randint(6, 12))).capitalize() + "."
        for _ in range(chance.randint(4, 14))
    ]
    if chance.random() < 0.4:
        sentences.insert(1, f"Contact: person{i}@example.com about case {i}.")
    text = f"Report {i} on {chance.choice(WORDS)}\n\n" + " ".join(sentences)
    return SourceDocument(
        source=f"{corpus}/report-{i}.txt",
        filename=f"report-{i}.txt",
        data=text.encode(),
        label=label,
        attributes={"number": i, "corpus": corpus},
    )


@dataclass
class SetClock:
    """A clock that tests move."""

    seconds: int = 1_800_000_000
    ticks: float = field(default=0.0)

    def now(self) -> int:
        return self.seconds

    def now_milliseconds(self) -> int:
        return self.seconds * 1000

    def monotonic(self) -> float:
        self.ticks += 0.001
        return self.ticks

    def sleep(self, seconds: float) -> None:
        self.ticks += seconds

    def context(self) -> Context:
        return Context(now=self.seconds)
