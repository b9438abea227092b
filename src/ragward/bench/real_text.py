"""Somebody's own text in the place of made-up chunks: a directory of files, or JSONL with a `text` in each line.

Cut and embedded by the installation's own chunker and model; topics are clusters of what comes out, and labels belong to topics.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from ragward.bench.world import Shape, World
from ragward.domain.errors import InvalidRequestError

_ENDINGS: Final = frozenset({".txt", ".md", ".rst"})
_AT_ONCE: Final = 64
_LEAST: Final = 200


def world_of(data: Path, shape: Shape) -> World:
    """At most `shape.points` chunks of it. Raises `request.invalid` for too little text, `config.*` without the model."""
    from ragward.adapters.chunker_semchunk import SemchunkChunker
    from ragward.adapters.embedder_sentence_transformers import SentenceTransformersEmbedder
    from ragward.adapters.model_manifest import ModelManifest, find_installed_model

    model = find_installed_model()
    chunker = SemchunkChunker(model / "tokenizer.json")
    texts: list[str] = []
    for text in _documents(data):
        texts += [chunk.text for chunk in chunker.chunk(text)]
        if len(texts) >= shape.points:
            break
    texts = texts[: shape.points]
    if len(texts) < _LEAST:
        raise InvalidRequestError(f"{len(texts)} chunks of text: at least {_LEAST} are needed")
    embedder = SentenceTransformersEmbedder.load(model, ModelManifest.shipped())
    vectors = [
        vector
        for start in range(0, len(texts), _AT_ONCE)
        for vector in embedder.embed(texts[start : start + _AT_ONCE])
    ]
    return World(shape, np.asarray(vectors, dtype=np.float32), texts)


def _documents(data: Path) -> Iterator[str]:
    if data.is_dir():
        for path in sorted(data.rglob("*")):
            if path.is_file() and path.suffix in _ENDINGS:
                yield path.read_text(encoding="utf-8", errors="replace")
        return
    try:
        with data.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield str(json.loads(line)["text"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidRequestError(f"{data.name} is no JSONL with `text`: {error}") from error
