"""Over HTTP, in a process of its own: ragward's API, or a bare FastAPI route that does the same search without authorization.

`python -m ragward.bench.serving KIND DIRECTORY` is started by `clients.py`; it prints its port.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from ragward.bench.installed import open_in, settings_in
from ragward.bench.system_shard import Shard
from ragward.bench.world import K, Question

QUESTIONS: Final = "questions.npz"


class Asked(BaseModel):
    """A question, as `POST /v1/retrieve` takes it."""

    query: str
    limit: int = K
    max_passages_per_document: int = K
    minimize: str = "off"


def save_questions(directory: Path, questions: list[Question]) -> None:
    """Where the process finds their vectors."""
    texts = json.dumps([each.text for each in questions])
    vectors = np.array([each.vector for each in questions])
    np.savez(directory / QUESTIONS, texts=np.array(texts), vectors=vectors)


def saved_questions(directory: Path) -> list[Question]:
    """What `save_questions` wrote."""
    with np.load(directory / QUESTIONS) as saved:
        texts = json.loads(str(saved["texts"]))
        return [Question(text=t, vector=v) for t, v in zip(texts, saved["vectors"], strict=True)]


def bare(shard: Shard, questions: list[Question]) -> FastAPI:
    """The route that a team writes first."""
    app, known = FastAPI(), {each.text: each for each in questions}

    @app.post("/v1/retrieve")
    def retrieve(body: Asked) -> dict[str, Any]:
        hits = shard.search(known[body.query], body.limit)
        return {"passages": [{"chunk_id": str(h.id), "text": h.payload["text"]} for h in hits]}

    return app


def main(kind: str, directory: Path) -> None:
    """Serves until it is terminated."""
    questions = saved_questions(directory)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - to who started it
        with open(os.devnull, "wb") as nowhere:
            os.dup2(
                nowhere.fileno(), 1
            )  # nobody reads on: a log line for each request would fill the pipe
        if kind == "bare":
            _run(bare(Shard.load(directory / "shard"), questions), listener)
            return
        from ragward.api import logs
        from ragward.api.app import create_app

        installation = directory / "installation"
        dimension = len(questions[0].vector)
        settings = settings_in(installation)
        logs.configure(settings.log_format)
        made = open_in(installation, settings, dimension)
        try:
            made.embedder.learn(questions)
            _run(create_app(made.ragward), listener)
        finally:
            made.close()


def _run(app: FastAPI, listener: socket.socket) -> None:
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
