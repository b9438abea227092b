"""The data that systems are compared on: vectors, labels, who may read what, and the exact truth.

Vectors of known structure: topics are clusters, and labels belong to topics. Labels at random over random vectors would hide where
filtered graph search loses results, so that is an option to compare with. Who may read a chunk is computed here from sets of
numbers, and shares no code with what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ragward.domain.labels import AccessLabel, Classification

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
Kind = Literal["independent", "aligned", "adverse"]
Structure = Literal["clustered", "random", "real"]

TENANT: Final = "acme"
CORPUS: Final = "all"
K: Final = 10
SHARES: Final = (0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0)
KINDS: Final[tuple[Kind, ...]] = ("independent", "aligned", "adverse")
_SPREAD: Final = 0.6  # a topic's centre in the sum with noise of the same length
_WORDS_IN_CHUNK: Final = 60
_MADE_AT_ONCE: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large a world is, and by which seed it is made."""

    points: int
    labels: int = 10_000
    groups: int = 1_000
    topics: int = 200
    rules: int = 100
    dimension: int = 384
    structure: Structure = "clustered"
    seed: int = 7

    def fitted(self) -> Shape:
        """The same with no more labels than a third of its points, and whole groups in whole topics."""
        topics = max(1, min(self.topics, self.points // 20))
        groups = max(topics, min(self.groups, self.points // 6) // topics * topics)
        labels = max(groups, min(self.labels, self.points // 3) // groups * groups)
        return Shape(
            points=self.points,
            labels=labels,
            groups=groups,
            topics=topics,
            rules=self.rules,
            dimension=self.dimension,
            structure=self.structure,
            seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody who may read about a `share` of all chunks: a person in groups. `readable` says which chunks."""

    name: str
    kind: Kind
    share: float
    topic: int
    groups: tuple[str, ...]
    readable: NDArray[np.bool_] = field(repr=False)

    @property
    def principal(self) -> str:
        """As policies name it."""
        return f"user:{TENANT}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A unit vector, and a text that stands for it."""

    text: str
    vector: Floats = field(repr=False)


class World:
    """Chunks under labels, labels granted to groups: one of the label's topic, one that crosses all topics."""

    def __init__(
        self, shape: Shape, vectors: Floats | None = None, texts: Sequence[str] | None = None
    ) -> None:
        """Made up by `shape`, or around given vectors and their texts."""
        if vectors is not None:
            shape = _around(shape, vectors)
        self.shape = shape = shape.fitted()
        self.chance = np.random.default_rng(shape.seed)
        self.label: Numbers
        if vectors is None:
            self.label = self.chance.integers(0, shape.labels, shape.points)
            self.centres = _unit(self.chance.normal(size=(shape.topics, shape.dimension)))
            self.vectors = self._vectors()
        else:
            self.vectors = _unit(vectors)
            self.centres, topic = _clusters(self.vectors, shape.topics, self.chance)
            within = self.chance.integers(0, self._labels_of_topic, len(topic))
            self.label = topic * self._labels_of_topic + within
        self.crossing: Numbers = self.chance.permutation(shape.labels)
        self._texts = texts
        self._near = np.argsort(-(self.centres @ self.centres.T), axis=1)

    @property
    def size(self) -> int:
        """Chunks."""
        return len(self.vectors)

    @property
    def _labels_of_topic(self) -> int:
        return self.shape.labels // self.shape.topics

    @property
    def _labels_of_group(self) -> int:
        return self.shape.labels // self.shape.groups

    def _vectors(self) -> Floats:
        shape = self.shape
        vectors, topics = np.empty((shape.points, shape.dimension), np.float32), self._topics()
        for start in range(0, shape.points, _MADE_AT_ONCE):  # a million at once would take 6 GB
            part = vectors[start : start + _MADE_AT_ONCE]
            part[:] = self.chance.normal(size=part.shape)
            if shape.structure == "clustered":
                centres = self.centres[topics[start : start + len(part)]]
                part += _SPREAD * np.sqrt(shape.dimension) * centres
            part[:] = _unit(part)
        return vectors

    def _topics(self) -> Numbers:
        return np.asarray(self.label // self._labels_of_topic)

    def text(self, number: int) -> str:
        """What a chunk says."""
        if self._texts is not None:
            return self._texts[number]
        return made_text(int(number), int(self._topics()[number]))

    def groups_of(self, label: int) -> tuple[str, str]:
        """Who a label is granted to."""
        each = self._labels_of_group
        return f"g{label // each}", f"x{self.crossing[label] // each}"

    def access_label(
        self, label: int, classification: Classification = Classification.INTERNAL
    ) -> AccessLabel:
        """The label as an installation has it; granted to one person more, so that no two are equal."""
        granted = {f"group:{TENANT}/{name}" for name in self.groups_of(label)}
        return AccessLabel(
            tenant=TENANT,
            corpus=CORPUS,
            classification=classification,
            granted=frozenset(granted | {f"user:{TENANT}/owner{label}"}),
        )

    def by_label(self) -> Iterator[tuple[int, Numbers]]:
        """Each label that has chunks, with their numbers."""
        order = np.argsort(self.label, kind="stable")
        for numbers in np.split(order, np.flatnonzero(np.diff(self.label[order])) + 1):
            yield int(self.label[numbers[0]]), numbers

    def asker(self, share: float, kind: Kind, topic: int) -> Asker:
        """Somebody in as many groups as make up about this share: of topics near to `topic`, far from it, or across all."""
        groups, topics = self.shape.groups, self.shape.topics
        wanted = max(1, round(groups * share))
        if kind == "independent":
            seed = np.random.default_rng([self.shape.seed, topic, round(share * 10_000)])
            chosen = seed.permutation(groups)[:wanted]
        else:
            of_topic = groups // topics
            near = self._near[topic] if kind == "aligned" else self._near[topic][::-1]
            chosen = (near[:, None] * of_topic + np.arange(of_topic)).ravel()[:wanted]
        each = self._labels_of_group
        group_of = self.crossing // each if kind == "independent" else None
        labels = (
            np.isin(np.arange(self.shape.labels) // each, chosen)
            if group_of is None
            else np.isin(group_of, chosen)
        )
        letter = "x" if kind == "independent" else "g"
        return Asker(
            name=f"{kind}-{round(share * 10_000):05}-{topic}",
            kind=kind,
            share=share,
            topic=topic,
            groups=tuple(f"{letter}{number}" for number in sorted(chosen.tolist())),
            readable=labels[self.label],
        )

    def askers(self, shares: Sequence[float], kinds: Sequence[Kind], each: int) -> list[Asker]:
        """`each` for every share and kind, about topics spread over all; everything is one kind only."""
        topics = np.linspace(0, self.shape.topics - 1, each).astype(int).tolist()
        return [
            self.asker(share, kind, topic)
            for share in shares
            for kind in (kinds if share < 1 else kinds[:1])
            for topic in topics
        ]

    def questions(self, topic: int, count: int, seed: int = 1) -> list[Question]:
        """About a topic; never the same as a chunk."""
        chance = np.random.default_rng([self.shape.seed, topic, seed])
        noise = chance.normal(size=(count, self.shape.dimension)).astype(np.float32)
        if self.shape.structure == "clustered":
            noise += _SPREAD * np.sqrt(self.shape.dimension) * self.centres[topic]
        elif self.shape.structure == "real":
            near = np.flatnonzero(self._topics() == topic)
            picked = self.vectors[chance.choice(near if len(near) else self.size, count)]
            noise = picked + 0.4 * _unit(noise)
        words = [made_text(seed * 1_000 + i, topic, words=8) for i in range(count)]
        return [
            Question(text=f"{word} {topic}-{seed}-{i}", vector=vector)
            for i, (word, vector) in enumerate(zip(words, _unit(noise), strict=True))
        ]

    def truth(self, asker: Asker, question: Question, k: int = K) -> list[int]:
        """The best of what may be read, by a scan of everything."""
        mine = np.flatnonzero(asker.readable)
        if len(mine) * 4 < self.size:
            scores = self.vectors[mine] @ question.vector
            return [int(n) for n in mine[np.argsort(-scores, kind="stable")[:k]]]
        scores = np.where(asker.readable, self.vectors @ question.vector, -2.0)
        best = np.argpartition(-scores, min(k, self.size - 1))[: k + 1]
        ordered = best[np.argsort(-scores[best], kind="stable")][:k]
        return [int(n) for n in ordered if asker.readable[n]]


_VOWELS, _CONSONANTS = "aeiou", "bdfgklmnprstv"


def made_text(number: int, topic: int, words: int = _WORDS_IN_CHUNK) -> str:
    """Sentences about a topic that are unlike those of any other number: words made of syllables, no name among them."""
    chance = np.random.default_rng([number, topic])
    of_topic = np.random.default_rng(topic).integers(0, 65, size=(12, 3))
    own = chance.integers(0, 65, size=(words, 3))
    picked = chance.integers(0, 12, size=words)
    about = chance.random(words) < 0.3
    made = [
        "".join(
            _CONSONANTS[s % 13] + _VOWELS[s // 13]
            for s in (of_topic[picked[i]] if about[i] else own[i])
        )
        for i in range(words)
    ]
    lines = [" ".join(made[start : start + 12]) for start in range(0, words, 12)]
    return " ".join(f"{line.capitalize()}." for line in lines)


def _around(shape: Shape, vectors: Floats) -> Shape:
    return Shape(
        points=len(vectors),
        labels=shape.labels,
        groups=shape.groups,
        topics=min(shape.topics, 50),
        rules=shape.rules,
        dimension=vectors.shape[1],
        structure="real",
        seed=shape.seed,
    )


def _unit(vectors: Any) -> Floats:
    made = np.asarray(vectors, dtype=np.float32)
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)


def _clusters(vectors: Floats, count: int, chance: np.random.Generator) -> tuple[Floats, Numbers]:
    """Centres and each vector's own, by a few rounds of spherical k-means."""
    centres = vectors[chance.choice(len(vectors), count, replace=False)]
    nearest = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(8):
        nearest = np.argmax(vectors @ centres.T, axis=1)
        for number in range(count):
            mine = vectors[nearest == number]
            if len(mine):
                centres[number] = mine.mean(axis=0)
        centres = _unit(centres)
    return centres, nearest
