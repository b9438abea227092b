"""What is hidden neither ranks nor cuts: asking for a hidden value and for a wrong one of its kind makes no difference.

The wrong value is drawn independently of everything. For whoever sees all types the true one must win: that shows that the
test can see a difference.
"""

from __future__ import annotations

import random
import shutil

import pytest

from ragward.domain.corpus import Chunk, SourceDocument
from ragward.domain.labels import AccessLabel, Classification
from ragward.domain.passages import RetrievalRequest, SearchMode
from ragward.domain.policy import PolicyRow
from ragward.installation import Policy, initialise
from ragward.opening import resource
from tests import company
from tests.conftest import PROVE
from tests.fakes.chunker_semchunk import FakeChunker
from tests.installation import asked_by, opened, settings_in

SPANS = 500 if PROVE else 60
LONG = 40
WITHIN = 0.045 if SPANS == 500 else 0.2  # two standard deviations and a little; three
ROWS = (
    *company.ROWS,
    PolicyRow("group:acme/staff", "corpus:retrieve", "acme/hr", "PUBLIC..RESTRICTED", "*", "allow"),
    PolicyRow("user:acme/ben", "reveal:EMAIL_ADDRESS", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
    PolicyRow("user:acme/cai", "pseudonymise:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"),
)  # fmt: skip


class WholeChunker(FakeChunker):
    """A document is one chunk, long enough that sentences of it are left out."""

    def chunk(self, text):
        return [Chunk(ordinal=0, start=0, end=len(text), text=text)]


def value(chance):
    name = "".join(chance.choice("bcdfglmnprstv") + chance.choice("aeiou") for _ in range(4))
    return f"{name}@{chance.choice(('mail', 'post', 'corp'))}.example"


def number(chance):
    return f"{chance.randint(100, 665)}-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Documents with one address and one number each, the last so long that sentences of them are left out; and answers that
    carry their similarity."""
    directory = tmp_path_factory.mktemp("oracle")
    policies = directory / "policies"
    shutil.copytree(resource("policies"), policies)
    handling = (policies / "handling.toml").read_text("utf-8")
    lines = [
        f"{x}\nraw_scores = true" if x.startswith("budget") else x for x in handling.split("\n")
    ]
    (policies / "handling.toml").write_text("\n".join(lines), "utf-8")
    settings = settings_in(directory).model_copy(update={"policies_dir": policies})
    policy = Policy(rows=ROWS, memberships=company.MEMBERSHIPS)
    initialise(settings, tenant="acme", administrator="user:acme/root", policy=policy)
    chance = random.Random(7)
    hidden = []
    with opened(settings, chunker=WholeChunker()) as ragward:
        for at in range(SPANS + LONG):
            pair = value(chance), number(chance)
            hidden.append(pair)
            words = [
                " ".join(chance.choices(company.WORDS, k=9)).capitalize() + "."
                for _ in range(6 if at < SPANS else 16)
            ]
            words[3] = f"The {company.WORDS[at % 27]} went to {pair[0]} under {pair[1]} in spring."
            label = AccessLabel(
                tenant="acme",
                corpus="hr",
                classification=Classification.INTERNAL,
                granted=frozenset({"group:acme/staff"}),
            )
            source = SourceDocument(
                source=f"{at}.txt",
                filename=f"{at}.txt",
                data=" ".join(words).encode(),
                label=label,
                attributes={"number": at},
            )
            ragward.ingestion.ingest(company.subject("steward"), source)
        yield ragward, hidden


def scored(ragward, name, at, query, mode):
    """What a document scores; by words it may be no result."""
    request = RetrievalRequest(
        query=query, filters={"type": "eq", "key": "number", "value": at}, limit=1, search=mode
    )
    passages = ragward.retrieve(asked_by(name), request).passages
    assert passages or mode is SearchMode.LEXICAL
    return max((passage.score for passage in passages), default=0.0)


def texts(ragward, name, at, query):
    """What is left of each chunk of a document."""
    request = RetrievalRequest(
        query=query,
        filters={"type": "eq", "key": "number", "value": at},
        limit=10,
        max_passages_per_document=10,
    )
    passages = ragward.retrieve(asked_by(name), request).passages
    return {p.chunk_id: (p.text, p.share) for p in passages}


def wins(installation, name, kind, mode):
    """How often the true value scores above a wrong one; a tie is half."""
    ragward, hidden = installation
    chance = random.Random(f"{name}/{kind}")
    won = 0.0
    for at, pair in enumerate(hidden[:SPANS]):
        wrong = value(chance) if kind == 0 else number(chance)
        own, other = (scored(ragward, name, at, q, mode) for q in (pair[kind], wrong))
        won += (own > other) + 0.5 * (own == other)
    return won / SPANS


@pytest.mark.parametrize("mode", SearchMode)
@pytest.mark.parametrize("kind", [0, 1], ids=["address", "number"])
@pytest.mark.parametrize("name", ["cai", "ben"], ids=["none or pseudonyms", "partial"])
def test_a_hidden_value_does_not_rank(installation, name, kind, mode):
    assert wins(installation, name, kind, mode) == pytest.approx(0.5, abs=WITHIN)


@pytest.mark.parametrize("mode", [SearchMode.VECTOR, SearchMode.LEXICAL])  # one has one rank
@pytest.mark.parametrize("kind", [0, 1], ids=["address", "number"])
def test_a_value_that_is_shown_does(installation, kind, mode):
    assert wins(installation, "ann", kind, mode) > 0.75


@pytest.mark.parametrize("name", ["cai", "ben"])
def test_a_hidden_value_does_not_cut(installation, name):
    ragward, hidden = installation
    chance = random.Random(name)
    kind = 1  # ben sees addresses, in the view that everybody has who does not see all
    same = 0
    for at, pair in list(enumerate(hidden))[SPANS:]:
        word = company.WORDS[at % 27]
        shown = [texts(ragward, name, at, f"{word} {v}") for v in (pair[kind], number(chance))]
        same += shown[0] == shown[1]
    assert same == LONG


def test_a_value_that_is_shown_cuts(installation):
    ragward, hidden = installation
    long = list(enumerate(hidden))[SPANS:]
    left = [list(texts(ragward, "ann", at, pair[1]).values()) for at, pair in long]
    assert all(
        any(pair[1] in text for text, _ in each) for (_, pair), each in zip(long, left, strict=True)
    )
    assert sum(min(share for _, share in each) < 1 for each in left) > len(left) / 2
