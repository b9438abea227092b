"""Trains the name detector's head and writes it where the package looks for it, with its digest: `make pii-model`.

Minutes of CPU time, most of it embedding (docs/personal-data.md). Sums depend on the number of threads, so the bytes may differ; what is found may not differ much
(tests/unit/adapters/test_names.py). The generated texts are always the same: their digest is in the manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from generate import Labelled, digest, generate

from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.adapters.names_body import ShortBody
from ragward.adapters.names_head import LABELS, SHAPES, Words, shapes, transitions

HERE = Path(__file__).parent
MODELS = HERE.parent / "src/ragward/adapters/models"
HIDDEN = 128


def main() -> None:
    """Generates, embeds, trains, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=12_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--output", type=Path, default=MODELS)
    given = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(given.threads)
    started = time.perf_counter()
    texts = generate(given.texts)
    features, labels, counts = featurised(texts, given.threads)
    print(f"{len(labels)} words of {len(texts)} texts, {time.perf_counter() - started:.0f} s")
    weights = trained(features, labels, given.epochs) | {"transitions": transitions(counts)}
    write(weights, texts, given.output)
    print(f"written, {time.perf_counter() - started:.0f} s")


def featurised(
    texts: list[Labelled], threads: int
) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """One row per word, its label, and how often each label follows each."""
    directory = find_installed_model()
    ModelManifest.shipped().verify(directory)
    torch.set_num_threads(threads)
    read = ShortBody(directory, threads=threads).read([text for text, _ in texts])
    rows, labels = [], []
    counts = np.zeros((len(LABELS), len(LABELS)), np.float32)
    for index, words in read:
        text, spans = texts[index]
        own = labelled(words, spans)
        rows.append(np.hstack([words.vectors, shapes(text, words)]).astype(np.float16))
        for before, after in zip([0, *own], own, strict=False):
            counts[before, after] += 1
        labels += own
    return torch.from_numpy(np.vstack(rows)), torch.tensor(labels), counts


def labelled(words: Words, spans: list[tuple[int, int, str]]) -> list[int]:
    """BIO labels of the words."""
    own = [0] * len(words.offsets)
    for start, end, kind in spans:
        inside = False
        for at, (a, b) in enumerate(words.offsets):
            if a >= start and b <= end:
                own[at] = LABELS.index(f"{'I' if inside else 'B'}-{kind}")
                inside = True
    return own


def trained(features: torch.Tensor, labels: torch.Tensor, epochs: int) -> dict[str, np.ndarray]:
    """The head's weights."""
    width = features.shape[1] - SHAPES
    norm = torch.nn.LayerNorm(width)
    hidden = torch.nn.Linear(width + SHAPES, HIDDEN)
    out = torch.nn.Linear(HIDDEN, len(LABELS))
    drop = torch.nn.Dropout(0.2)
    gelu = torch.nn.GELU(approximate="tanh")
    parameters = [*norm.parameters(), *hidden.parameters(), *out.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    size = 2048
    steps = epochs * (len(labels) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps + 1)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.02)
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(labels))
        for at in range(0, len(order) - size + 1, size):
            chosen = order[at : at + size]
            batch = features[chosen].float()
            joined = torch.cat([norm(batch[:, :width]), batch[:, width:]], dim=1)
            loss = loss_of(out(drop(gelu(hidden(drop(joined))))), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1}: {total / (len(order) // size):.4f}")
    return {
        "norm_weight": norm.weight.detach().numpy(),
        "norm_bias": norm.bias.detach().numpy(),
        "hidden_weight": hidden.weight.detach().numpy().T,
        "hidden_bias": hidden.bias.detach().numpy(),
        "out_weight": out.weight.detach().numpy().T,
        "out_bias": out.bias.detach().numpy(),
    }


def write(weights: dict[str, np.ndarray], texts: list[Labelled], directory: Path) -> None:
    """The weights in half precision and their manifest."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value.astype(np.float16) for name, value in weights.items()})
    data = buffer.getvalue()
    (directory / "names-head.npz").write_bytes(data)
    manifest = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "texts": len(texts),
        "texts_sha256": digest(texts),
        "body": ModelManifest.shipped().digest(),
    }
    (directory / "names-head.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
