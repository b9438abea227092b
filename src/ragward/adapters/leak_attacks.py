"""What a thief of vectors makes of them: attacks that name the text behind each stolen row, run by `ragward leak-test`.

The thief has the embedding model, which is public, and a list of guesses that has the stolen texts in it. Better inversion
than guessing exists (vec2text, arXiv 2310.06816); where guessing fails because rows are ciphertext, that has nothing to
begin with either.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SAME: Final = 1e-4  # how far apart two similarities are that may be the same
_ANCHORS: Final = 64  # pairs of guesses tried for the first two stolen rows


def as_floats(stored: list[bytes], dimension: int) -> Floats:
    """Stored bytes read as if they were vectors, each scaled to length one: the last bytes before a tag of 16."""
    rows = []
    for data in stored:
        body = data[:-16][-4 * dimension :]
        rows.append(np.frombuffer(body.rjust(4 * dimension, b"\0"), dtype="<f4"))
    with np.errstate(invalid="ignore"):  # ciphertext has what is no number in it
        return unit(np.array(rows, dtype=np.float64))


def unit(rows: NDArray[np.floating]) -> Floats:
    """Rows of length one; what is no number, or too large to be one of a vector, counts as nothing."""
    clean = np.where(np.isfinite(rows) & (np.abs(rows) < 1e6), rows, 0.0)
    length = np.linalg.norm(clean, axis=1, keepdims=True)
    return (clean / np.where(length == 0, 1, length)).astype(np.float32)


def naive(stolen: Floats, guesses: Floats) -> float:
    """The share of stolen rows nearest to their own text among the guesses; row i is guess i."""
    return _share_right(np.argmax(stolen @ guesses.T, axis=1), np.arange(len(stolen)))


def procrustes(stolen: Floats, guesses: Floats, pairs: int) -> float:
    """The same after undoing the rotation that `pairs` known (stolen row, text) pairs fit best; of the other rows."""
    left, _, right = np.linalg.svd(stolen[:pairs].T @ guesses[:pairs])
    turned = stolen[pairs:] @ (left @ right)
    found = np.argmax(turned @ guesses.T, axis=1)
    return _share_right(found, np.arange(pairs, len(stolen)))


def fingerprint(stolen: Floats, guesses: Floats) -> float:
    """The same without any known pair: how similar stolen rows are to each other is compared with how similar guesses are."""
    within = stolen @ stolen.T
    between = guesses @ guesses.T
    np.fill_diagonal(between, 9.0)
    gaps = np.abs(between - within[0, 1])
    nearest = np.argsort(gaps, axis=None)[:_ANCHORS]
    best, least = np.zeros(len(stolen), dtype=np.intp), np.inf
    for first, second in zip(*np.unravel_index(nearest, gaps.shape), strict=True):
        if gaps[first, second] > _SAME:
            break
        errors = np.abs(between[first] - within[0, 2:, None])
        errors += np.abs(between[second] - within[1, 2:, None])
        total = float(errors.min(axis=1).sum())
        if total < least:
            best, least = np.concatenate([[first, second], errors.argmin(axis=1)]), total
    return _share_right(best, np.arange(len(stolen))) if np.isfinite(least) else 0.0


def match_rates(stolen: Floats, guesses: Floats) -> dict[str, float]:
    """Every attack that has enough rows to run."""
    rates = {"naive": naive(stolen, guesses)}
    for pairs in (10, 50, 200):
        if len(stolen) >= 2 * pairs:
            rates[f"{pairs} known pairs"] = procrustes(stolen, guesses, pairs)
    if len(stolen) >= 3:
        rates["no known pair"] = fingerprint(stolen, guesses)
    return rates


def _share_right(found: NDArray[np.intp], right: NDArray[np.intp]) -> float:
    return float(np.mean(found == right)) if len(right) else 0.0
