"""What each protection costs: the same questions with it and without it, in turn, in one installation.

Four corpora hold the same chunks: in clear (PUBLIC), encrypted (INTERNAL), encrypted with personal data that the asker may not see,
and with vectors encrypted too (CONFIDENTIAL). Screening and the log are taken out of the flow instead; an answer waits for the log to be on disk only in its own row. What
was read of the catalog is forgotten before each question; what reading adds has a row too, and one where somebody just committed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np

from ragward.bench.installed import Installed, Staging, open_in, settings_in
from ragward.bench.measuring import Answers
from ragward.bench.report import Cost, percentiles
from ragward.bench.system_ragward import asked
from ragward.bench.systems import Site
from ragward.bench.world import TENANT, Question, World
from ragward.domain.access import Credentials
from ragward.domain.audit import AuditEvent
from ragward.domain.findings import Screening, Span, Verdict
from ragward.domain.handling import Mode
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.policy import Membership, PolicyRow
from ragward.evidence import Recorder
from ragward.installation import Policy, initialise
from ragward.receipting import Receipting
from ragward.retrieval import Retrieval, RetrievalPorts

_READERS: Final = f"group:{TENANT}/readers"
_ASKER: Final = "dana"
_NAME: Final = "Edna Example"
_PLAIN, _ENCRYPTED, _PERSONAL, _SEALED = "plain", "encrypted", "personal", "sealed"
_LEVELS: Final = {
    _PLAIN: Classification.PUBLIC,
    _ENCRYPTED: Classification.INTERNAL,
    _PERSONAL: Classification.INTERNAL,
    _SEALED: Classification.CONFIDENTIAL,
}
_CHUNKS_IN_DOCUMENT: Final = 10


class _NoLog:
    """Records nothing: what an answer costs without the log. Never part of an installation."""

    def append(self, event: AuditEvent, *, durable: bool) -> bytes:
        return b"\0" * 32


class _NoScreener:
    """Finds nothing."""

    def __init__(self, real: Any) -> None:
        self.rule_set = real.rule_set

    def screen(self, _text: str) -> Screening:
        return Screening(verdict=Verdict.ALLOW, rules=(), rule_set=self.rule_set)

    def neutralise(self, text: str) -> Any:
        return text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One way to ask: of which corpus, through which flow."""

    corpus: str
    flow: Retrieval
    minimize: Mode = Mode.OFF
    known: bool = False
    """asked right after the same question, and nobody has committed since"""
    committed: bool = False
    """asked right after somebody committed"""


def protections(site: Site, questions: int) -> list[Cost]:
    """Each with and without."""
    made, numbers = _installation(site)
    try:
        flow = made.ragward.retrieval
        ports = flow._ports
        silent = Recorder(audit=_NoLog(), clock=ports.clock)  # type: ignore[arg-type]  # of the log it only appends
        receipting = Receipting(recorder=silent, secrets=ports.receipting.secrets)
        unlogged = dataclasses.replace(ports, recorder=silent, receipting=receipting)
        unscreened: Any = _NoScreener(ports.screener)
        plain = _Way(corpus=_PLAIN, flow=flow)
        encrypted = _Way(corpus=_ENCRYPTED, flow=flow)
        pairs = {
            "encryption of texts": (plain, encrypted),
            "encryption of vectors": (encrypted, _Way(corpus=_SEALED, flow=flow)),
            "removing personal data": (encrypted, _Way(corpus=_PERSONAL, flow=flow)),
            "screening of the question": (
                _Way(
                    corpus=_ENCRYPTED,
                    flow=Retrieval(dataclasses.replace(ports, screener=unscreened)),
                ),
                encrypted,
            ),
            "the log, and receipts in it": (
                _Way(corpus=_ENCRYPTED, flow=Retrieval(unlogged)),
                encrypted,
            ),
            "waiting until the log is on disk": (
                encrypted,
                _Way(corpus=_ENCRYPTED, flow=Retrieval(_durable(ports))),
            ),
            "reading the catalog": (_Way(corpus=_ENCRYPTED, flow=flow, known=True), encrypted),
            "reading it right after a commit": (
                _Way(corpus=_ENCRYPTED, flow=flow, known=True),
                _Way(corpus=_ENCRYPTED, flow=flow, committed=True),
            ),
            "minimization": (
                encrypted,
                _Way(corpus=_ENCRYPTED, flow=flow, minimize=Mode.BALANCED),
            ),
        }
        return [
            _compared(site.world, made, numbers, name, pair, questions)
            for name, pair in pairs.items()
        ]
    finally:
        made.close()


def _durable(ports: RetrievalPorts) -> RetrievalPorts:
    """As for RESTRICTED, whose answers wait for a write to disk."""
    handling = {
        level: dataclasses.replace(profile, durable_audit=True)
        for level, profile in ports.protection.handling.items()
    }
    protection = dataclasses.replace(ports.protection, handling=handling)
    return dataclasses.replace(ports, protection=protection)


def _compared(
    world: World,
    made: Installed,
    numbers: dict[str, int],
    name: str,
    pair: tuple[_Way, _Way],
    questions: int,
) -> Cost:
    everything = world.asker(1.0, "independent", 0)
    credentials = made.credentials(_ASKER)
    asking = world.questions(0, questions + 2, seed=3)
    made.embedder.learn(asking)
    chance = np.random.default_rng(5)
    answers = (Answers(), Answers())
    for position, question in enumerate(asking):
        truth = world.truth(everything, question)
        for turn in chance.permutation(2):
            found, seconds = _asked(made, pair[turn], credentials, question)
            if position >= 2:  # the first load what is remembered
                answers[turn].take(everything, truth, [numbers[c] for c in found], seconds, 0.0)
    without, with_it = (percentiles(each.seconds, each.recall) for each in answers)
    return Cost(name=name, without=without, with_it=with_it)


def _asked(
    made: Installed, way: _Way, credentials: Credentials, question: Question
) -> tuple[list[str], float]:
    clock = made.ragward.clock
    request = asked(question, way.corpus, minimize=way.minimize)
    made.forget()
    if way.known:
        way.flow.retrieve(credentials, request)
    if way.committed:
        made.commit()
    begin = clock.monotonic()
    answer = way.flow.retrieve(credentials, request)
    seconds = clock.monotonic() - begin
    return [each.chunk_id for each in answer.passages], seconds


def _installation(site: Site) -> tuple[Installed, dict[str, int]]:
    """The four corpora, and the number of each chunk."""
    directory, world = site.directory / "protections", site.world
    settings = settings_in(directory)
    retrieving = PolicyRow(
        _READERS, "corpus:retrieve", f"{TENANT}/*", "PUBLIC..RESTRICTED", "*", "allow"
    )
    reader = Membership(f"user:{TENANT}/{_ASKER}", _READERS)
    policy = Policy(rows=(retrieving,), memberships=(reader,))
    initialise(settings, tenant=TENANT, administrator=f"user:{TENANT}/root", policy=policy)
    made = open_in(directory, settings, world.shape.dimension)
    try:
        stage = Staging(made.ragward)
        numbers: dict[str, int] = {}
        for corpus, level in _LEVELS.items():
            for start in range(0, world.size, _CHUNKS_IN_DOCUMENT):
                part = range(start, min(start + _CHUNKS_IN_DOCUMENT, world.size))
                version = stage.version(
                    f"{corpus}-{start}",
                    _label(corpus, level),
                    [_text(world, n, corpus) for n in part],
                    [world.vectors[n] for n in part],
                    _names if corpus == _PERSONAL else _nothing,
                )
                made.ragward.catalog.commit_version(version)
                numbers |= {c.chunk_id: n for n, c in zip(part, version.chunks, strict=True)}
            site.progress("corpora", (list(_LEVELS).index(corpus) + 1) / len(_LEVELS))
        made.ragward.index_sync.run()
    except BaseException:
        made.close()
        raise
    return made, numbers


def _label(corpus: str, level: Classification) -> AccessLabel:
    return AccessLabel(
        tenant=TENANT, corpus=corpus, classification=level, granted=frozenset({_READERS})
    )


def _text(world: World, number: int, corpus: str) -> str:
    said = world.text(number)
    return f"{_NAME} wrote this. {said}" if corpus == _PERSONAL else said


def _names(text: str) -> tuple[Span, ...]:
    return (Span(0, len(_NAME), "PERSON", 0.9),) if text.startswith(_NAME) else ()


def _nothing(_text: str) -> tuple[Span, ...]:
    return ()
