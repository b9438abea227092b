"""How well documents are classified that nobody trained on: accuracy, confusion, what is sent to a person, what stays too low.

    python -m benchmarks.classification [--documents 1200] [--json FILE]

The classifier is trained on documents of one set of templates and judged on documents of another without a sentence in common
(`classification_texts.py`). Labels are those of the shipped rules and the classifier together; no source claims anything, so
nothing hides a mistake. A document that is sent to a person counts as right afterwards: they read it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.classification_texts import Labelled, documents

from ragward.adapters.chunker_semchunk import SemchunkChunker
from ragward.adapters.classifier_rules import RuleClassifier
from ragward.adapters.classifier_trained import LinearClassifier
from ragward.adapters.classifier_training import ScikitLearnTrainer
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.domain.classification import Example, Judgement
from ragward.domain.labels import Classification

RULES = Path(__file__).parents[1] / "policies" / "classification.yaml"


@dataclass(frozen=True)
class Outcome:
    """What became of one document."""

    truth: Classification
    predicted: Classification
    labelled: Classification
    doubtful: bool


def outcomes(held_out, vectors, model, rules) -> list[Outcome]:
    """Every document through rules and classifier, as at ingestion."""
    found = []
    for document, rows in zip(held_out, vectors, strict=True):
        by_rules, _ = rules.classify("held-out", document.title, document.text, {}, {})
        judgement = Judgement.of(model.predict(rows), rules.thresholds)
        found.append(
            Outcome(
                truth=document.level,
                predicted=max(judgement.predicted, by_rules),
                labelled=max(judgement.level, by_rules),
                doubtful=judgement.doubtful and judgement.level > by_rules,
            )
        )
    return found


def figures(found: list[Outcome]) -> dict[str, object]:
    """What is reported."""
    count = len(found)
    confusion = Counter((o.truth.name, o.predicted.name) for o in found)
    names = [level.name for level in Classification]
    kept = [o for o in found if not o.doubtful]
    return {
        "documents": count,
        "accuracy_before_review": sum(o.predicted is o.truth for o in found) / count,
        "too_low_before_review": sum(o.predicted < o.truth for o in found) / count,
        "sent_to_review": sum(o.doubtful for o in found) / count,
        "accuracy_after_review": sum(o.doubtful or o.labelled is o.truth for o in found) / count,
        "too_low_after_review": sum(o.labelled < o.truth for o in kept) / count,
        "too_high_after_review": sum(o.labelled > o.truth for o in kept) / count,
        "too_low_while_waiting": sum(o.doubtful and o.labelled < o.truth for o in found) / count,
        "confusion": {t: {p: confusion[t, p] for p in names} for t in names},
    }


def calibration(held_out: list[Labelled], vectors, model) -> float:
    """Expected calibration error over ten bins of confidence."""
    predictions = [model.predict(rows) for rows in vectors]
    sure = np.array([p.confidence for p in predictions])
    right = np.array([p.level is d.level for p, d in zip(predictions, held_out, strict=True)])
    bins = np.minimum((sure * 10).astype(int), 9)
    errors = [
        (bins == b).mean() * abs(right[bins == b].mean() - sure[bins == b].mean())
        for b in range(10)
        if (bins == b).any()
    ]
    return float(sum(errors))


def embedded(texts: list[Labelled], embedder, chunker) -> list[list[list[float]]]:
    """The vectors of every document's chunks, as ingestion makes them."""
    pieces = [[chunk.text for chunk in chunker.chunk(document.text)] for document in texts]
    flat = iter(embedder.embed([piece for document in pieces for piece in document]))
    return [[next(flat) for _ in document] for document in pieces]


def measure(training: int, held_out: int, fresh: int = 0) -> dict[str, object]:
    """Trains, judges, reports."""
    home = find_installed_model()
    embedder = OnnxEmbedder.load(home, ModelManifest.shipped(), threads=2)
    chunker = SemchunkChunker(home / "tokenizer.json")
    rules = RuleClassifier.from_file(RULES)
    started = time.perf_counter()
    seen, unseen = documents("training", training, 1), documents("held_out", held_out, 2)
    newest = documents("fresh", fresh, 3)
    seen_vectors, unseen_vectors, newest_vectors = (
        embedded(each, embedder, chunker) for each in (seen, unseen, newest)
    )
    embedding = time.perf_counter() - started
    examples = [
        Example(group=d.family, level=d.level, vectors=rows)
        for d, rows in zip(seen, seen_vectors, strict=True)
    ]
    started = time.perf_counter()
    made = ScikitLearnTrainer(embedder.model_digest, rules.thresholds).train("benchmark", examples)
    trained = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "classifier.json"
        path.write_bytes(made.artefact)
        model = LinearClassifier.load(path, made.sha256, model_digest=embedder.model_digest)
    started = time.perf_counter()
    found = outcomes(unseen, unseen_vectors, model, rules)
    judged = time.perf_counter() - started
    of_fresh = outcomes(newest, newest_vectors, model, rules)
    return figures(found) | {
        "fresh": figures(of_fresh) if fresh else None,
        "calibration_error": calibration(unseen, unseen_vectors, model),
        "training_documents": training,
        "training_said": {
            "accuracy": made.accuracy,
            "reviewed": made.reviewed,
            "too_low": made.too_low,
        },
        "artefact_bytes": len(made.artefact),
        "seconds": {"embedding": embedding, "training": trained, "judging": judged},
    }


def main() -> None:
    """Prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=int, default=1600)
    parser.add_argument("--documents", type=int, default=1200)
    parser.add_argument("--fresh", type=int, default=600)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report = measure(given.training, given.documents, given.fresh)
    print(json.dumps(report, indent=2))
    if given.json:
        given.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
