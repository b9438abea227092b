"""What an asker can tell two worlds apart by: everything that comes back, as features, and three classifiers that try."""

from __future__ import annotations

import base64
import json
import math
import random
import re
import zlib
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.conformance.no_oracle_asks import KINDS, Kind
from tests.conformance.no_oracle_worlds import Facts, Reply, World

# What comes back. ----------------------------------------------------------------------------------------------------

#: Random by design, of one length: not compared within a pair; classifiers get their first bits.
RANDOM = (
    "receipt_id",
    "audit_hash",
    "epoch_token",
    "request_id",
    "delimiter",
    "salt",
    "receipt_hash",
)
RANDOM_HEADERS = ("x-request-id", "ragward-epoch-token")
#: When something was written: worlds are made one after the other.
DATES = ("created_at", "updated_at", "recorded_at")
#: Of a document that the request itself made.
NEW = ("document_id", "location")
_MARKS = re.compile(r"(?<=\bDATA )[0-9a-f]{32}|(?<=\bEND )[0-9a-f]{32}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def canonical(reply: Reply, *, made=False):
    """Everything that came back but what is declared random: its form stands for it."""

    def form(name, value):
        if name in RANDOM or name in RANDOM_HEADERS or (made and name in NEW):
            return re.sub(r"[A-Za-z0-9_-]", "x", value)
        if isinstance(value, str):
            return _MARKS.sub("x" * 32, value)
        return 0 if name in DATES else value

    def walked(value, name=""):
        if isinstance(value, dict):
            return {key: walked(inner, key) for key, inner in value.items()}
        if isinstance(value, list):
            return [walked(inner) for inner in value]
        return form(name, value)

    headers = [(name, form(name, value)) for name, value in reply.headers]
    text = reply.body.decode()
    is_json = "json" in dict(reply.headers).get("content-type", "")
    return reply.status, headers, walked(json.loads(text)) if is_json else text


def leaves(value, name=""):
    """(name, value) of every leaf of a JSON document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


def _number(text):
    """A text as a number that is the same for the same text."""
    return zlib.crc32(json.dumps(text, sort_keys=True, default=str).encode()) / 2**32


FEATURES = (
    *("status", "headers", "header names", "header characters", "header numbers"),
    *("body bytes", "leaves", "names of leaves", "sum of numbers", "nulls", "error code", "detail"),
    *("passages", "characters", "contents", "order", "sources", "titles", "attributes"),
    *("score sum", "score first", "score last", "share least", "share sum", "removed", "flagged"),
    *("classification", "classifications", "near duplicates", "query flags"),
    *("documents", "document ids", "page token", "decision", "results", "states", "chunks"),
    *("receipt fields", "receipt form", "epoch token length", "audit hash length"),
)
#: What is random by design has a game of its own: in this one it would only be noise.
RANDOM_FEATURES = (
    *("receipt id bits", "epoch token bits", "audit hash bits", "request id bits"),
    "delimiter bits",
)


def features(reply: Reply):
    """The features of one reply, in the order of FEATURES."""
    is_json = "json" in dict(reply.headers).get("content-type", "")
    body = json.loads(reply.body) if is_json else {}
    body = body if isinstance(body, dict) else {"list": body}
    named = list(leaves(body))
    hits = body.get("passages") or body.get("data") or []
    texts = [_MARKS.sub("x" * 32, str(hit.get("text") or hit.get("content"))) for hit in hits]
    scores = [hit["score"] for hit in hits] or [0]
    shares = [hit.get("share", hit["attributes"].get("share", 0)) for hit in hits] or [0]
    listed = body.get("documents") or []
    receipt = body.get("receipt") or {}
    plain = [(n, v) for n, v in reply.headers if n not in RANDOM_HEADERS and n != "date"]
    numbers = [v for n, v in named if isinstance(v, int | float) and n not in DATES]
    token = receipt.get("epoch_token", "")
    return [
        *(reply.status, len(reply.headers), _number([n for n, _ in reply.headers])),
        sum(len(v) for _, v in reply.headers),
        sum(int(v) for n, v in plain if v.isdigit() and n != "content-length"),
        *(len(reply.body), len(named), _number([n for n, _ in named]), math.fsum(numbers)),
        *(sum(v is None for _, v in named), _number(body.get("code")), _number(body.get("detail"))),
        *(len(hits), sum(len(str(text)) for text in texts), _number(texts)),
        _number([hit.get("chunk_id", hit.get("file_id")) for hit in hits]),
        _number([hit.get("source", hit.get("filename")) for hit in hits]),
        _number([hit.get("title") for hit in hits]),
        _number([hit.get("attributes") for hit in hits]),
        *(math.fsum(scores), scores[0], scores[-1], min(shares), math.fsum(shares)),
        sum(sum(hit.get("removed", {}).values()) for hit in hits),
        sum(bool(hit.get("flagged")) for hit in hits),
        _number(body.get("classification")),
        _number([hit.get("classification") for hit in hits]),
        *(body.get("near_duplicates_removed", 0), len(body.get("query_flags", ()))),
        *(len(listed), _number([d["document_id"] for d in listed])),
        len(body.get("next_page_token") or body.get("page", {}).get("next_token") or ""),
        *(int(body.get("decision", 0)), len(body.get("results", ()))),
        *(_number([d["state"] for d in listed]), sum(d["chunks"] for d in listed)),
        *(len(receipt), _number(re.sub(r"[0-9a-f]", "x", receipt.get("receipt_id", "")))),
        *(len(token), len(receipt.get("audit_hash", ""))),
    ]


#: What is searched: exact scans and over-fetches of Qdrant Edge, the same with a graph, the client's local mode.
LEGS = ("edge", "graph", "qdrant-client")


@dataclass
class Trial:
    """One question put to both worlds."""

    leg: str
    kind: str
    asks: str
    asker: str
    replies: tuple[list[Reply], list[Reply]]

    @property
    def equal(self):
        """Whether the two are the same but for what is declared random."""
        made = self.asks == "ingest"
        one, other = ([canonical(r, made=made) for r in side] for side in self.replies)
        return one == other

    @property
    def seconds(self):
        """How long each world took."""
        return tuple(sum(reply.seconds for reply in side) for side in self.replies)

    def vectors(self):
        """What a distinguisher sees of each world: what was asked of which kind, the last reply, and what changed since the first."""
        asked = [float(self.kind == kind.name) for kind in KINDS]
        asked += [float(self.leg == leg) for leg in LEGS]
        asked += [_number(self.asks), _number(self.asker)]
        return self._beside(asked)

    def random_vectors(self):
        """The same for what is random by design."""
        return [
            [float(number) for reply in (side[0], side[-1]) for number in random_features(reply)]
            for side in self.replies
        ]

    def _beside(self, asked):
        out = []
        for side in self.replies:
            first, last = features(side[0]), features(side[-1])
            change = [after - before for before, after in zip(first, last, strict=True)]
            out.append([*asked, len(side), *last, *change])
        return out


def trials(leg: str, kind: Kind, a: World, b: World, facts: Facts, count: int, seed: int):
    """`count` questions, each put to both worlds, now the one first and now the other."""
    chance = random.Random(seed)
    for _ in range(count):
        asks, asker = chance.choice(kind.asks), chance.choice(kind.askers)
        ask = asks(chance, facts)
        sides = [a, b] if chance.random() < 0.5 else [b, a]
        replies = [ask(world, asker) for world in sides]
        if sides[0] is b:
            replies.reverse()
        yield Trial(leg, kind.name, asks.__name__, asker, (replies[0], replies[1]))


# The distinguishers. -------------------------------------------------------------------------------------------------


def classifiers():
    """The three that try."""
    return {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        "gradient boosting": HistGradientBoostingClassifier(max_iter=60, random_state=1),
        "nearest neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier(5)),
    }


def random_features(reply: Reply):
    """The beginning of whatever is random in a reply, in the order of RANDOM_FEATURES."""
    is_json = "json" in dict(reply.headers).get("content-type", "")
    body = json.loads(reply.body) if is_json else {}
    receipt = (body.get("receipt") or {}) if isinstance(body, dict) else {}
    token = receipt.get("epoch_token", "AAAA") + "="
    return [
        int(receipt.get("receipt_id", "0")[:4], 16),
        int.from_bytes(base64.urlsafe_b64decode(token[:4])),
        int(receipt.get("audit_hash", "0")[:4], 16),
        int(dict(reply.headers)["x-request-id"][:4], 16),
        int(body.get("delimiter", "0")[:4], 16) if isinstance(body, dict) else 0,
    ]


@dataclass
class Advantage:
    """2 |accuracy - 1/2| of one classifier over the judged pairs, and the bound that holds for all three at once."""

    name: str
    measured: float
    upper: float


CONFIDENCE = 0.95


def advantages(pairs, *, seed=7):
    """Each classifier, trained on one half of the pairs and judged on the other.

    A judged pair counts 0, 1/2 or 1: how many of its two sides were told right. The pairs are independent and bounded, so
    Hoeffding's inequality bounds the true accuracy: two-sided, and with the union of three classifiers.
    """
    order = np.random.default_rng(seed).permutation(len(pairs))
    data = np.array(pairs, dtype=float)[order]
    half = len(data) // 2
    train, judged = data[:half], data[half:]
    inputs = np.concatenate([train[:, 0], train[:, 1]])
    side = np.concatenate([np.zeros(half), np.ones(half)])
    slack = math.sqrt(math.log(2 * 3 / (1 - CONFIDENCE)) / (2 * len(judged)))
    found = []
    for name, model in classifiers().items():
        model.fit(inputs, side)
        right = (model.predict(judged[:, 0]) == 0).mean() + (
            model.predict(judged[:, 1]) == 1
        ).mean()
        measured = abs(right - 1)
        found.append(Advantage(name, measured, min(1.0, measured + 2 * slack)))
    return found


def best(found):
    """The one that tells the worlds apart best."""
    return max(found, key=lambda advantage: advantage.measured)
