"""A stage that is skipped does not type-check: the house relies on it, so it is tested.

Each ignored line below must be an error for mypy; if one ceased to be, mypy would report the unused ignore.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SNIPPET = """
from ragward.domain.access import Context, Credentials, Decision, Permit, Subject
from ragward.domain.admission import passage
from ragward.domain.content import ChunkContent
from ragward.domain.corpus import CatalogSnapshot, StoredChunk
from ragward.domain.passages import (
    Answer, AuthorizedChunk, Candidate, MinimalText, Passage, Receipt, RedactedText, RetrievalRequest,
)
from ragward.protection import Protection
from ragward.retrieval import Retrieval


def good(rank: int, chunk: AuthorizedChunk, redacted: RedactedText, kept: MinimalText) -> Passage:
    return passage(rank, chunk, redacted, kept, raw_score=False)


def a_candidate_is_no_authorized_chunk(c: Candidate, r: RedactedText, k: MinimalText) -> Passage:
    return passage(1, c, r, k, raw_score=False)  # type: ignore[arg-type]


def a_stored_chunk_is_no_authorized_chunk(s: StoredChunk, r: RedactedText, k: MinimalText) -> Passage:
    return passage(1, s, r, k, raw_score=False)  # type: ignore[arg-type]


def text_must_be_redacted(a: AuthorizedChunk, k: MinimalText) -> Passage:
    return passage(1, a, a.text, k, raw_score=False)  # type: ignore[arg-type]


def text_must_be_minimal(a: AuthorizedChunk, r: RedactedText) -> Passage:
    return passage(1, a, r, r, raw_score=False)  # type: ignore[arg-type]


def what_is_not_decided_is_not_opened(p: Protection, c: Candidate) -> ChunkContent:
    return p.open(c)  # type: ignore[arg-type]


def a_decision_has_to_be_looked_at(decision: Decision) -> bool:
    return decision.admits(1)  # type: ignore[union-attr]


def credentials_are_no_subject(r: Retrieval, c: Credentials) -> None:
    r.require_corpus(c, "hr")  # type: ignore[arg-type]


def an_answer_needs_a_receipt(passages: tuple[Passage, ...]) -> Answer:
    return Answer(passages=passages)  # type: ignore[call-arg]


def a_permit_does_not_change(permit: Permit) -> None:
    permit.grants = ()  # type: ignore[misc]
"""


def test_skipping_a_stage_is_a_type_error(tmp_path):
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--warn-unused-ignores",
            "--follow-imports=silent",
            str(snippet),
        ],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "no issues found" in done.stdout
