"""Whether minimizing keeps the answers: questions with their answers, put to passages of the documents they stand in.

`python -m benchmarks.minimization [--peps DIRECTORY] [--compare]`. Documents are the sample company's sources, the project's
docs and, if a directory is given, Python enhancement proposals. Each question meets ten passages (at most three of a
document) found by its vector; where none of them has the answer, the best one that has takes the last place, since
what is measured is what minimizing loses. An answer is kept if one of the minimized passages still says it. Tokens are
the embedding model's, marks included. `--compare` adds vectors of sentences, as they would be stored (one byte per dimension),
in place of the words' text's similarity, and what making them costs (ADR 14).
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ragward.adapters.chunker_semchunk import SemchunkChunker
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.domain import minimization
from ragward.domain.handling import Mode
from ragward.domain.minimization import Shown, minimize
from ragward.domain.passages import MinimalText
from ragward.domain.sentences import sentences_of

HERE = Path(__file__).parent
PASSAGES, PER_DOCUMENT, UNLIMITED = 10, 3, 10**9


@dataclass(frozen=True)
class Pair:
    """A question, its answer as the document says it, and the document."""

    document: str
    question: str
    answer: str


@dataclass(frozen=True)
class Passage:
    """A chunk of a document."""

    document: str
    text: str
    tokens: int


def pairs_of(file: Path) -> list[Pair]:
    """What a file of pairs says."""
    pairs, document = [], ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ "):
            document = line[2:]
        elif line and not line.startswith("#"):
            question, answer = line.split(" | ", 1)
            pairs.append(Pair(document, question, answer))
    return pairs


def documents_of(peps: Path | None, wanted: set[str]) -> dict[str, str]:
    """Texts by collection and file. Of the proposals only those that are asked about."""
    root = HERE.parent
    texts = {f"docs/{path.name}": path.read_text() for path in sorted((root / "docs").glob("*.md"))}
    del texts["docs/reference.md"]
    for path in sorted((root / "examples/sources").glob("aurora*.txt")):
        for part in re.split(r"(?m)^=== ", path.read_text())[1:]:
            head, _, body = part.partition("\n")
            texts.setdefault(f"sample/{head.split(' | ')[0]}", re.sub(r"<[^>\n]+>", "", body))
    for name in sorted(wanted) if peps else ():
        if name.startswith("peps/"):
            texts[name] = (peps / name.removeprefix("peps/")).read_text()
    return texts


def plain(text: str) -> str:
    """White space and emphasis aside."""
    return " ".join(text.replace("*", "").split())


class World:
    """The passages, and which of them each question meets."""

    def __init__(self, peps: Path | None, pairs: Sequence[Pair]) -> None:
        directory = find_installed_model()
        self.embedder = OnnxEmbedder.load(directory, ModelManifest.shipped())
        self.chunker = SemchunkChunker(directory / "tokenizer.json")
        texts = documents_of(peps, {pair.document for pair in pairs})
        chunks = [
            (name, chunk.text) for name, text in texts.items() for chunk in self.chunker.chunk(text)
        ]
        self.passages = [
            Passage(name, text, self.chunker.count_tokens(text)) for name, text in chunks
        ]
        self.vectors = np.array(self.embedder.embed([text for _, text in chunks]))
        self.questions = dict(
            zip(
                (pair.question for pair in pairs),
                self.embedder.embed([pair.question for pair in pairs]),
                strict=True,
            )
        )
        self.unreached = 0
        self.met = {pair.question: self._met(pair) for pair in pairs}

    def _met(self, pair: Pair) -> list[int]:
        scores = self.vectors @ np.array(self.questions[pair.question])
        collection = pair.document.partition("/")[0] + "/"
        met: list[int] = []
        per_document: dict[str, int] = {}
        for at in np.argsort(-scores).tolist():
            name = self.passages[at].document
            if not name.startswith(collection) or per_document.get(name, 0) == PER_DOCUMENT:
                continue
            per_document[name] = per_document.get(name, 0) + 1
            met.append(at)
            if len(met) == PASSAGES:
                break
        answer = plain(pair.answer)
        if not any(answer in plain(self.passages[at].text) for at in met):
            self.unreached += 1
            having = [
                at
                for at, passage in enumerate(self.passages)
                if passage.document == pair.document and answer in plain(passage.text)
            ]
            assert having, f"no passage says it: {pair}"
            met[-1] = max(having, key=lambda at: float(scores[at]))
        return met

    def shown(self, pair: Pair, mode: Mode, similar: float = 1.0) -> list[Shown]:
        """The passages a question meets, as the flow gives them to minimization."""
        met = self.met[pair.question]
        scores = self.vectors[met] @ np.array(self.questions[pair.question])
        return [
            Shown(text=self.passages[at].text, mode=mode, similarity=similar * float(score))
            for at, score in zip(met, scores, strict=True)
        ]

    def measured(
        self, pairs: Sequence[Pair], mode: Mode, similar: float = 1.0
    ) -> tuple[float, float, float, list[Pair]]:
        """(share of answers kept, share of tokens kept, milliseconds per passage, what was lost)."""
        kept = every = 0
        lost = []
        seconds = []
        for pair in pairs:
            texts = self.shown(pair, mode, similar)
            begin = time.perf_counter()
            left = minimize(texts, pair.question, budgets={0: UNLIMITED}, limit=PASSAGES)
            seconds.append((time.perf_counter() - begin) / len(texts))
            given = [item.text for item in left if isinstance(item, MinimalText)]
            kept += sum(map(self.chunker.count_tokens, given))
            every += sum(self.passages[at].tokens for at in self.met[pair.question])
            if not any(plain(pair.answer) in plain(text) for text in given):
                lost.append(pair)
        return 1 - len(lost) / len(pairs), kept / every, 1e3 * float(np.median(seconds)), lost


Rows = dict[str, "np.ndarray[Any, Any]"]


def compare(world: World, pairs: Sequence[Pair]) -> None:
    """The same choice with vectors of sentences, and what making them costs."""
    used = sorted({at for pair in pairs for at in world.met[pair.question]})
    texts = [world.passages[at].text for at in used]
    bounds = [sentences_of(text) for text in texts]
    model = world.embedder._model
    seconds: dict[str, float] = {}
    begin = time.perf_counter()
    world.embedder.embed(texts)
    seconds["the texts alone"] = time.perf_counter() - begin
    begin = time.perf_counter()
    flat = [t[a:b] for t, own in zip(texts, bounds, strict=True) for a, b in own]
    each = iter(world.embedder.embed(flat))
    seconds["every sentence besides"] = time.perf_counter() - begin
    single = {t: rounded([next(each) for _ in own]) for t, own in zip(texts, bounds, strict=True)}
    states = model.encode(texts, output_value="token_embeddings", show_progress_bar=False)
    pooled = {
        text: rounded(pool(states[at].numpy(), model.tokenizer, text, bounds[at]))
        for at, text in enumerate(texts)
    }
    for name, spent in seconds.items():
        print(f"  embedding {name:24} {spent:7.1f} s")
    stored = sum(rows.shape[0] for rows in pooled.values()) * world.embedder.dimension / len(used)
    print(f"  vectors of sentences: {stored:,.0f} bytes per view of a chunk, which has 1,537")
    shares = minimization._CHOSEN_SHARE
    for share in (0.25, 0.31, 0.37):
        shares[Mode.STRICT] = share
        for name, similar, rows in (
            ("words only", 0.0, None),
            ("words and the text's similarity", 1.0, None),
            ("words and vectors of the same pass", 1.0, pooled),
            ("words and a vector of each sentence", 1.0, single),
        ):
            with scored_by(world, rows):
                kept, tokens, _, _ = world.measured(pairs, Mode.STRICT, similar)
            print(f"  {name:36} answers {kept:6.1%}  tokens {tokens:6.1%}")


def pool(states: Any, tokenizer: Any, text: str, bounds: Sequence[tuple[int, int]]) -> Any:
    """The mean of the states of the tokens that begin in each sentence."""
    offsets = tokenizer(text, return_offsets_mapping=True, truncation=True)["offset_mapping"]
    rows = np.zeros((len(bounds), states.shape[1]), np.float32)
    for at, (start, end) in enumerate(bounds):
        own = [n for n, (a, b) in enumerate(offsets) if a < b and start <= a < end]
        if own:
            rows[at] = states[own].mean(axis=0)
    return rows


def rounded(rows: Any) -> Any:
    """As stored in one byte per dimension, of length 1 again."""
    rows = np.array(rows, np.float32)
    whole = np.rint(rows * (127 / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-9)))
    return whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-9)


@contextmanager
def scored_by(world: World, rows: Rows | None) -> Iterator[None]:
    """Sentences by their own similarity (and what their words add, weighed as was best for it) in place of their text's."""
    before = minimization._alone
    if rows is None:
        yield
        return
    asked: list[Any] = []

    def weights(texts: Any, query: str) -> dict[str, float]:
        asked[:] = [np.array(world.questions[query])]
        return weigh(texts, query)

    def alone(one: Any, terms: Any) -> list[float]:
        own = rows[one.shown.text] @ asked[0]
        starts = minimization._starts(terms)
        words = [minimization._found(found, terms.keys(), starts) for found in one.words]
        return [float(s) + 0.65 * sum(map(terms.get, w)) for s, w in zip(own, words, strict=True)]

    weigh = minimization._weights
    minimization._alone, minimization._weights = alone, weights
    try:
        yield
    finally:
        minimization._alone, minimization._weights = before, weigh


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peps", type=Path, help="a directory with pep-0008.rst and others")
    parser.add_argument("--compare", action="store_true", help="other ways to score a sentence")
    parser.add_argument("--lost", action="store_true", help="print the questions whose answer went")
    given = parser.parse_args()
    sets = {
        "tuned to": pairs_of(HERE / "minimization_pairs.txt"),
        "chosen with": pairs_of(HERE / "minimization_pairs_2.txt"),
        "held back": pairs_of(HERE / "minimization_pairs_3.txt"),
    }
    if given.peps is None:
        sets = {n: [p for p in s if not p.document.startswith("peps/")] for n, s in sets.items()}
    every = [pair for pairs in sets.values() for pair in pairs]
    world = World(given.peps, every)
    print(f"{len(world.passages)} passages; the answer was not among ten for {world.unreached}")
    for name, pairs in (sets | {"all": every}).items():
        for mode in Mode:
            kept, tokens, spent, lost = world.measured(pairs, mode)
            print(
                f"{name:11} {len(pairs):3} pairs  {mode.value:9} answers {kept:6.1%}  tokens {tokens:6.1%}"
                f"  {spent:.3f} ms a passage"
            )
            if given.lost and mode is Mode.BALANCED:
                for pair in lost:
                    print(f"    {pair.document}: {pair.question}")
    if given.compare:
        compare(world, every)


if __name__ == "__main__":
    main()
