"""What the zero-trust controls add to an answer: each by itself and all together against none, in one run, by turns.

`python -m benchmarks.controls [--rounds 300] [--json FILE]`

The same ten questions are asked in the same installation through query flows that differ in their controls only, one flow after the
other, in random order in each round; every flow must give the same passages. Ten in a row, because an installation has its controls
always, and what runs in every request is in the processor's caches. In brackets: the difference of the medians. Stages are in
processor time. A person asks through an agent under a task grant. The embedder is the tests' one, so that the model does not drown
what is looked for. Tracing is off. In all flows, with and without controls: the verified token, the decision, the one catalog read,
decryption, redaction, minimization and the audit log's record of the answer.

    assurance        what handling and acts demand, in the decision and in the hint
    task grant       its secret, its agent, its terms in the decision, its budget
    policy roots     rows compared with what was signed, and the newest root seen outside the database
    restrictions     in the decision and in the limiter
    rate limits      of subject, agent and tenant, in memory
    exposure budget  tokens of a classification a day
    behaviour        the accounts of the person and of the agent
    receipts         a leaf of their own, digests, the officer's part
    export           every other block of rounds runs beside a thread that exports the log to a file
    DPoP             a bound token and its proof instead of a bearer token: the cost of identity, not in the total
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.table import Table
from tests import company
from tests.fakes.limiter_memory import FakeLimiter
from tests.fakes.watch import FakeWatch
from tests.installation import opened, settings_in

from ragward.adapters.dpop import thumbprint_of
from ragward.adapters.identity_tasks import TaskGrantVerifier
from ragward.adapters.limiter_memory import MemoryLimiter
from ragward.adapters.limiter_throttled import ThrottledLimiter
from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.adapters.pdp_restricted import RestrictedPolicyDecisionPoint
from ragward.behaviour import Behaviour
from ragward.bootstrap import Ragward
from ragward.domain.access import Credentials, Subject
from ragward.domain.assurance import Assuring
from ragward.domain.identities import DAY, Agent, Custody
from ragward.domain.labels import Classification
from ragward.domain.passages import Passage, RetrievalRequest
from ragward.domain.policy import PolicyRow
from ragward.domain.proof import Connection
from ragward.domain.receipts import passage_digest
from ragward.domain.task_grants import TaskGrantRequest
from ragward.exporting import BackgroundExport
from ragward.exports import open_export
from ragward.installation import Policy, initialise
from ragward.opening import (
    development_token,
    disclosure_rules,
    entity_types,
    open_assuring,
    open_identity,
    resource,
)
from ragward.ports import Clock
from ragward.receipting import MadeReceipt, Receipting, Released
from ragward.retrieval import Retrieval
from ragward.settings import Settings

AGENT: Final = "agent:acme/bot"
CORPUS: Final = "eng"
URL: Final = "https://rag.example/v1/retrieve"
MUCH: Final = 10**9
DOCUMENTS: Final = 300
BLOCK: Final = 30
IN_A_ROW: Final = 10
ASSURANCE, TASK, ROOTS, RESTRICTIONS, LIMITS, EXPOSURE, BEHAVIOUR, RECEIPTS, DPOP = (
    "assurance", "task grant", "policy roots", "restrictions", "rate limits", "exposure budget", "behaviour", "receipts", "DPoP",
)  # fmt: skip
CONTROLS: Final = (
    ASSURANCE,
    TASK,
    ROOTS,
    RESTRICTIONS,
    LIMITS,
    EXPOSURE,
    BEHAVIOUR,
    RECEIPTS,
)
OFF, ON = "none", "all"
ROWS: Final = (
    *company.ROWS,
    PolicyRow(
        "user:acme/steward", "application:write", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
    ),
)


@dataclasses.dataclass(frozen=True)
class NoReceipts(Receipting):
    """Digests for the answer's own record, and no leaf."""

    def issue(
        self,
        subject: Subject,
        receipt_id: str,
        epoch_token: str,
        passages: Sequence[Passage],
        released: Released,
    ) -> MadeReceipt:
        """Nothing on record."""
        digests = [passage_digest(b"", p.rank, p.chunk_id, p.text) for p in passages]
        return MadeReceipt(salt="", digests=digests, receipt_hash="")


class ProcessorClock:
    """A clock whose seconds between two moments are what the thread worked between them."""

    def __init__(self, clock: Clock) -> None:
        self.now, self.now_milliseconds, self.sleep = clock.now, clock.now_milliseconds, clock.sleep
        self.monotonic = time.thread_time


class Part(FakeWatch):
    """One half of what looks at answers."""

    def __init__(self, watch: Behaviour, on: frozenset[str]) -> None:
        if EXPOSURE in on:
            self.spend = watch.spend  # type: ignore[method-assign]
        if BEHAVIOUR in on:
            self.answered = watch.answered  # type: ignore[method-assign]
            self.noticed = watch.noticed  # type: ignore[method-assign]


class World:
    """An installation with 300 documents, a person, an agent of theirs and its task grant."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings = _settings(directory)
        initialise(
            self.settings,
            tenant=company.TENANT,
            administrator="user:acme/root",
            policy=Policy(rows=ROWS, memberships=company.MEMBERSHIPS),
        )
        given: dict[str, Any] = dict.fromkeys(("identity", "limiter", "clock", "watch"))
        self.ragward: Ragward = opened(self.settings, **given)
        steward = company.subject("steward")
        for document in company.documents(DOCUMENTS):
            self.ragward.ingestion.ingest(steward, document)
        agent = Agent(
            principal=AGENT,
            tenant="acme",
            client_id="ragward-cli",
            expires_at=self.ragward.clock.now() + 30 * DAY,
        )
        custody = Custody(owner=steward.principal, purpose="a benchmark")
        self.ragward.identities.register_agent(steward, agent, custody, with_key=False)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        self.token, self.bound_token = (
            development_token(
                self.settings, "ben", tenant="acme", agent="bot", key_thumbprint=thumbprint
            )
            for thumbprint in (None, thumbprint_of(self.jwk))
        )
        own = Credentials(
            untrusted_authorization=development_token(self.settings, "ben", tenant="acme")
        )
        _, self.secret = self.ragward.task_grants.mint(
            self.ragward.identify(own),
            TaskGrantRequest(
                agent=AGENT,
                corpora=frozenset({CORPUS}),
                ceiling=Classification.CONFIDENTIAL,
                actions=frozenset({"corpus:retrieve"}),
                budget_tokens=10_000_000,
                minutes=60,
                reason="measuring what controls cost",
            ),
        )

    def credentials(self, on: frozenset[str]) -> Credentials:
        """With the task grant, always: whoever does not ask for it does not look at it."""
        if DPOP not in on:
            return Credentials(untrusted_authorization=self.token, untrusted_task_grant=self.secret)
        return Credentials(
            untrusted_authorization=self.bound_token,
            untrusted_task_grant=self.secret,
            connection=Connection(
                method="POST",
                url=URL,
                by_dpop=(True, False),
                untrusted_dpop=(self._proof(),),
                request_id=str(uuid.uuid4()),
            ),
        )

    def _proof(self) -> str:
        """Made by the sender, before the clock runs."""
        digest = hashlib.sha256(self.bound_token.encode()).digest()
        claims = {
            "htm": "POST",
            "htu": URL,
            "iat": int(time.time()),
            "jti": str(uuid.uuid4()),
            "ath": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        }
        headers = {"typ": "dpop+jwt", "jwk": self.jwk}
        return jwt.encode(claims, self.key, algorithm="ES256", headers=headers)

    def flow(self, on: frozenset[str]) -> Retrieval:
        """The installation's query flow with these controls and no others."""
        ragward, settings = self.ragward, self.settings
        ports = ragward.retrieval._ports
        authority: Any = ragward.signed if ROOTS in on else ragward.catalog
        policies = settings.policies_dir or resource("policies")
        assuring = open_assuring(policies) if ASSURANCE in on else Assuring()
        pdp: Any = CasbinPolicyDecisionPoint(
            authority,
            model_text=(policies / "model.conf").read_text(),
            entity_types=entity_types(),
            most_for=disclosure_rules(policies).most_for,
            assuring=assuring,
        )
        identity: Any = open_identity(settings, authority, ragward.clock)
        if TASK in on:
            identity = TaskGrantVerifier(
                identity, ragward.catalog, ragward.clock, agents=authority, required=False
            )
        limiter: Any = FakeLimiter()
        if LIMITS in on:
            limiter = MemoryLimiter(requests_per_minute=MUCH, concurrent=10)
        if RESTRICTIONS in on:
            pdp = RestrictedPolicyDecisionPoint(pdp, ragward.catalog)
            limiter = ThrottledLimiter(
                limiter, pdp.recent_standing, ragward.catalog, ragward.clock, 6
            )
        assert isinstance(ragward.watch, Behaviour)
        watch = Part(ragward.watch, on)
        recorder = dataclasses.replace(ports.recorder, watch=watch)
        receipting = Receipting(recorder=recorder, secrets=ports.receipting.secrets)
        if RECEIPTS not in on:
            receipting = NoReceipts(recorder=recorder, secrets=ports.receipting.secrets)
        return Retrieval(
            dataclasses.replace(
                ports,
                clock=ProcessorClock(ports.clock),
                identity=identity,
                pdp=pdp,
                limiter=limiter,
                watch=watch,
                recorder=recorder,
                receipting=receipting,
                assuring=assuring,
            )
        )


def _settings(directory: Path) -> Settings:
    """As shipped, but that nobody is stopped for asking so often."""
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    for name, pattern, instead in (
        ("behaviour.toml", r"respond = \[.*\]", "respond = []"),
        ("handling.toml", r"daily_tokens = \d+", f"daily_tokens = {MUCH}"),
    ):
        path = policies / name
        path.write_text(re.sub(pattern, instead, path.read_text()))
    return settings_in(directory).model_copy(update={"policies_dir": policies})


def flows(world: World) -> dict[str, tuple[Retrieval, frozenset[str]]]:
    """By name: none, each control by itself, all, and a bound token."""
    sets = {OFF: frozenset[str]()}
    sets |= {name: frozenset({name}) for name in CONTROLS}
    sets |= {ON: frozenset(CONTROLS), DPOP: frozenset({DPOP})}
    return {name: (world.flow(on), on) for name, on in sets.items()}


@contextmanager
def beside(world: World, number: int) -> Iterator[None]:
    """Every second block beside an export."""
    if number % 2 == 0:
        yield
        return
    uri = f"file:{world.directory / 'exported.jsonl'}"
    running = BackgroundExport(open_export(world.settings, world.ragward.keyring, uri))
    try:
        yield
    finally:
        running.close()


class Taken(NamedTuple):
    """Seconds that one answer took: by the clock, and of the asking thread's processor time, which others on the machine hardly move."""

    clock: float
    processor: float


Times = dict[str, list[Taken]]


def measured(world: World, rounds: int) -> tuple[Times, Times, dict[str, dict[str, list[float]]]]:
    """Seconds by flow, without and with an export beside, round by round; and stages."""
    made = flows(world)
    chance = random.Random(5)
    questions = [" ".join(chance.sample(company.WORDS, 3)) for _ in range(BLOCK)]
    quiet: Times = {name: [] for name in made}
    exported: Times = {name: [] for name in made}
    stages: dict[str, dict[str, list[float]]] = {OFF: {}, ON: {}}
    _check(world, made, questions)
    for block in range(2 * max(1, rounds // BLOCK)):
        into = exported if block % 2 else quiet
        with beside(world, block):
            for start in range(0, BLOCK, IN_A_ROW):
                for name in chance.sample(list(made), len(made)):
                    told = stages.get(name) if into is quiet else None
                    for question in questions[start : start + IN_A_ROW]:
                        into[name].append(_asked(world, *made[name], question, told))
    return quiet, exported, stages


def _asked(
    world: World,
    flow: Retrieval,
    on: frozenset[str],
    question: str,
    stages: dict[str, list[float]] | None,
) -> Taken:
    credentials = world.credentials(on)
    request = RetrievalRequest(query=question, corpora=(CORPUS,), limit=8)
    begin, worked = time.perf_counter(), time.thread_time()
    answer = flow.retrieve(credentials, request)
    taken = Taken(time.perf_counter() - begin, time.thread_time() - worked)
    if stages is not None:
        for stage, seconds in answer.stage_seconds.items():
            stages.setdefault(stage, []).append(seconds)
    return taken


def _check(
    world: World, made: dict[str, tuple[Retrieval, frozenset[str]]], questions: Sequence[str]
) -> None:
    """All answer the same, and something; after this everything is warm."""
    for question in questions:
        request = RetrievalRequest(query=question, corpora=(CORPUS,), limit=8)
        found = {
            name: [p.text for p in flow.retrieve(world.credentials(on), request).passages]
            for name, (flow, on) in made.items()
        }
        assert found[OFF], question
        assert all(texts == found[OFF] for texts in found.values()), question


def figures(quiet: Times, exported: Times) -> dict[str, dict[str, float]]:
    """Microseconds by control: the median, the median of the pairwise differences to none and their quartiles, by the clock and of
    processor time."""
    found = {}
    for name, times in quiet.items():
        found[name] = _figure(times, quiet[OFF])
    found["export"] = _figure(exported[ON], quiet[ON])
    found[f"{ON}, export"] = _figure(exported[ON], quiet[OFF])
    return found


def _figure(times: Sequence[Taken], against: Sequence[Taken]) -> dict[str, float]:
    found = {"p50": statistics.median(taken.clock for taken in times) * 1e6}
    for measure in Taken._fields:
        ours, theirs = (
            [getattr(taken, measure) * 1e6 for taken in each] for each in (times, against)
        )
        differences = sorted(a - b for a, b in zip(ours, theirs, strict=True))
        quarter = len(differences) // 4
        found |= {
            measure: statistics.median(differences),
            f"{measure}_of_p50s": statistics.median(ours) - statistics.median(theirs),
            f"{measure}_low": differences[quarter],
            f"{measure}_high": differences[-quarter - 1],
        }
    return found


def show(found: dict[str, dict[str, float]], stages: Any, console: Console, asked: int) -> None:
    """The tables a person reads."""
    table = Table(
        "controls", "p50, us", "added, us", "quartiles", "processor time added, us", "quartiles",
        title=f"{asked} questions a flow, by turns; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; asked: all <= 250 us",
    )  # fmt: skip
    for name, row in found.items():
        cells = [
            cell
            for measure in Taken._fields
            for cell in (
                f"{row[measure]:+,.0f} ({row[f'{measure}_of_p50s']:+,.0f})",
                f"{row[f'{measure}_low']:+,.0f} to {row[f'{measure}_high']:+,.0f}",
            )
        ]
        table.add_row(name, f"{row['p50']:,.0f}", *cells)
    console.print(table)
    by_stage = Table("stage", OFF, ON, title="p50 of stages, processor time, us")
    for stage in stages[ON]:
        by_stage.add_row(
            stage, *(f"{statistics.median(stages[name][stage]) * 1e6:,.0f}" for name in (OFF, ON))
        )
    console.print(by_stage)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=300, help="without and with an export, each")
    options.add_argument("--json", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        world = World(Path(scratch))
        with world.ragward:
            quiet, exported, stages = measured(world, given.rounds)
    found = figures(quiet, exported)
    show(found, stages, Console(width=120), len(quiet[OFF]))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
