"""How much personal data the detector finds, and what it costs.

    python -m benchmarks.pii FILE [--prose DIRECTORY]

FILE is a JSON list of {"full_text", "spans": [{"entity_type", "start_position", "end_position"}]}, as presidio-research
writes it. `--prose` is a directory of ordinary texts without personal data: for false alarms and speed.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

from benchmarks.span_evaluation import Evaluation, Tagged, masking

from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.finder_presidio import ENTITY_TYPES, OPTIONAL_TYPES, PresidioFinder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.adapters.names import NamesDetector
from ragward.adapters.redactor_presidio import PresidioRedactor
from ragward.domain.findings import Span

#: Our types and theirs, by the name both are compared under.
SAME = {
    "STREET_ADDRESS": "LOCATION",
    "GPE": "LOCATION",
    "DATE_OF_BIRTH": "DATE_TIME",
    "DOMAIN_NAME": "URL",
}
IDENTIFIERS = set(ENTITY_TYPES) - OPTIONAL_TYPES - {"PERSON", "STREET_ADDRESS", "AGE", "SALARY"}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--prose", type=Path)
    parser.add_argument("--quick", action="store_true", help="standard profile only")
    parser.add_argument("--errors", help="show what was missed and what was wrong of a type")
    given = parser.parse_args()
    records = json.loads(given.file.read_text("utf-8"))
    for profile in ("standard",) if given.quick else ("standard", "strict"):
        accuracy(records, profile, given.errors)
    if given.prose:
        cost_and_false_alarms(given.prose)


def detector(profile: str) -> NamesDetector:
    """The name detector as the product wires it."""
    directory = find_installed_model()
    embedder = OnnxEmbedder.load(directory, ModelManifest.shipped(), threads=1)
    return NamesDetector(embedder, directory, strict=profile == "strict")


def accuracy(records: list[dict], profile: str, errors: str | None) -> None:
    """Detection against the file's spans; texts are read whole, as chunks are at ingest."""
    names = detector(profile)
    finder = PresidioFinder.load(names, ENTITY_TYPES)
    texts = [record["full_text"] for record in records]
    _, read = names.read_chunks(texts)
    compared = []
    for record, found in zip(records, read, strict=True):
        text = record["full_text"]
        gold = [
            (s["start_position"], s["end_position"], _kind(s["entity_type"]))
            for s in record["spans"]
        ]
        guess = [(s.start, s.end, _kind(s.entity_type)) for s in finder._found(text, found)]
        compared.append((text, gold, guess))
    print(f"\n{profile}: {finder.version}")
    for threshold in (0.9, 0.7, 0.5):
        evaluation = Evaluation(threshold)
        for text, gold, guess in compared:
            evaluation.add(text, gold, guess)
        pii = evaluation.pii
        print(
            f"  IoU {threshold}: PII F2 {pii.f():.3f}  precision {pii.precision:.3f}  recall {pii.recall:.3f}"
        )
        if threshold == 0.9:
            typed = evaluation.per_type
    masked, over, by_kind = masking(compared)
    print(f"  letters over-masked: {over:.3f}")
    print("  type                  P     R   masked  over")
    for kind in sorted(typed):
        c = typed[kind]
        print(
            f"  {kind:18} {c.precision:.3f} {c.recall:.3f}  {masked.get(kind, 0):.3f}  {by_kind[kind]:.3f}  n={c.annotated}"
        )
    if errors:
        _show(compared, errors)


def _show(compared: list[tuple[str, list[Tagged], list[Tagged]]], kind: str) -> None:
    for text, gold, guess in compared:
        missed = [
            text[a:b]
            for a, b, k in gold
            if k == kind and not any(x < b and y > a and (kk == kind) for x, y, kk in guess)
        ]
        wrong = [
            (text[a:b])
            for a, b, k in guess
            if k == kind and not any(x < b and y > a and kk == kind for x, y, kk in gold)
        ]
        if missed or wrong:
            print("   missed", missed, "wrong", wrong, "|", text.replace("\n", "/")[:160])


def _kind(entity_type: str) -> str:
    return SAME.get(entity_type, entity_type)


def cost_and_false_alarms(directory: Path) -> None:
    """Per kilobyte of ordinary text: what is found that is none, and the milliseconds."""
    chance = random.Random(1)
    files = sorted(path for path in directory.rglob("*") if path.suffix in (".rst", ".md", ".txt"))
    chunks = []
    for path in chance.sample(files, min(60, len(files))):
        text = path.read_text("utf-8", errors="replace")
        at = chance.randrange(max(1, len(text) - 5000))
        chunks += [text[at + i : at + i + 1000] for i in range(0, 5000, 1000)]
    chunks = [chunk for chunk in chunks if chunk.strip()]
    size = sum(map(len, chunks)) / 1000
    patterns = PresidioFinder.load()
    patterns.find("Call 202-555-0173.")
    alarms: Counter[str] = Counter()
    examples: list[str] = []
    took = time.process_time()
    for chunk in chunks:
        for span in patterns.find(chunk):
            alarms[span.entity_type] += 1
            if span.entity_type in IDENTIFIERS and span.entity_type != "EMAIL_ADDRESS":
                examples.append(f"{span.entity_type} {chunk[span.start : span.end]!r}")
    took = time.process_time() - took
    print(
        f"\n{size:.0f} KB of ordinary text, default types, patterns only: {1000 * took / size:.2f} ms/KB"
    )
    identifiers = sum(
        n for kind, n in alarms.items() if kind in IDENTIFIERS and kind != "EMAIL_ADDRESS"
    )
    print(
        f"  identifiers per 100 KB (addresses in headers apart): {100 * identifiers / size:.1f}  {dict(alarms)}"
    )
    print("  ", examples[:12])
    head(chunks, size)


def head(chunks: list[str], size: float) -> None:
    """What the names cost on top of the pass that makes the vectors, and alone."""
    names = detector("standard")
    chosen = chunks[:96]
    size = sum(map(len, chosen)) / 1000
    vectors, read = names._embedder.embed_and_read(chosen)
    took = time.process_time()
    found = names._named(chosen, read)
    shared = time.process_time() - took
    names.read(chosen[:2])
    took = time.process_time()
    names.read(chosen)
    alone = time.process_time() - took
    took = time.process_time()
    names._embedder.embed(chosen)
    plain = time.process_time() - took
    people = sum(span.entity_type == "PERSON" for spans in found for span in spans)
    print(
        f"  names: {1000 * shared / size:.2f} ms/KB in the embedding pass ({1000 * plain / size:.1f} ms/KB), "
        f"{1000 * alone / size:.1f} ms/KB alone; PERSON per 100 KB: {100 * people / size:.0f}"
    )
    del vectors
    redactor = PresidioRedactor()
    ten = list(zip(chosen[:10], found[:10], strict=True))
    ten = [
        (text, [Span(at, at + 9, "PERSON", 1.0) for at in range(0, len(text) - 9, 50)])
        for text, _ in ten
    ]
    for text, spans in ten:
        redactor.redact(text, spans, frozenset())
    took = time.perf_counter()
    for _ in range(100):
        for text, spans in ten:
            redactor.redact(text, spans, frozenset())
    took = (time.perf_counter() - took) / 100
    print(
        f"  stored spans, 10 chunks with {sum(len(s) for _, s in ten)} of them: {1000 * took:.3f} ms"
    )


if __name__ == "__main__":
    main()
