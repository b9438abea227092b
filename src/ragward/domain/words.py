"""Words as an index may have them: keyed hashes with weights, never the words. Pure.

Ranking is BM25 (Robertson and Zaragoza 2009) with a fixed average length and with how often words occur counted among what
the asker may read: an average, or a count, over everything would let texts that may not be read move scores.
"""

from __future__ import annotations

import hmac
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

#: Term frequency saturates by `K1`, and counts less in long texts by `B`; both as commonly used.
K1: Final = 1.2
B: Final = 0.75
#: A chunk has at most 200 tokens of the model, which is about so many words.
AVERAGE_TOKENS: Final = 120
#: Of reciprocal-rank fusion (Cormack, Clarke and Buettcher 2009).
RRF_K: Final = 60
MAX_QUERY_WORDS: Final = 64
_MAX_TOKENS: Final = 4096
_MAX_CHARACTERS: Final = 64

_UNSEEN: Final = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_WORD: Final = re.compile(r"[^\W_]+")
#: Words that single signs join, as in AX-200, ada@example.org and 10.1.2.
_JOINED: Final = re.compile(r"[^\W_]+(?:[-\u2010-\u2015_./\\:@+#&'\u2019][^\W_]+)*")

WordWeights = Mapping[int, float]
"""hashed word -> weight"""


def words_key(key: bytes, tenant: str) -> bytes:
    """The key of one tenant's words: equal words of two tenants have nothing in common."""
    return hmac.digest(key, b"ragward.words.v1\0" + tenant.encode(), "sha256")


def tokens(text: str) -> Iterator[str]:
    """Runs of letters and digits after NFKC and case folding; what signs join also as a whole without them."""
    plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).casefold()
    for joined in _JOINED.findall(unicodedata.normalize("NFKC", plain)):
        parts = _WORD.findall(joined)
        whole = "".join(parts)
        for part in parts:
            yield part[:_MAX_CHARACTERS]
        if len(parts) > 1 and len(whole) <= _MAX_CHARACTERS:
            yield whole


def hashed(token: str, key: bytes) -> int:
    """32 bits, which is what a sparse vector has for it. Two of 100,000 words collide about once: a search for the one then
    also finds the other."""
    return int.from_bytes(hmac.digest(key, token.encode(), "sha256")[:4])


def word_weights(text: str, key: bytes) -> dict[int, float]:
    """What a text is found by: hashed words, ascending, with their saturated frequencies."""
    found = list(islice(tokens(text), _MAX_TOKENS))
    hashes = {token: hashed(token, key) for token in set(found)}
    counts = Counter(hashes[token] for token in found)
    long = K1 * (1 - B + B * len(found) / AVERAGE_TOKENS)
    return {word: count * (K1 + 1) / (count + long) for word, count in sorted(counts.items())}


def query_words(query: str, key: bytes) -> frozenset[int]:
    """What a question asks for: its first 64 different words, hashed."""
    different = dict.fromkeys(tokens(query))
    return frozenset(hashed(token, key) for token in islice(different, MAX_QUERY_WORDS))


@dataclass(frozen=True, slots=True)
class WordCounts:
    """How many texts there are, and how many of them contain each word that was asked about."""

    total: int = 0
    containing: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: WordCounts) -> WordCounts:
        """Of both together, which have no text in common."""
        containing = Counter(self.containing)
        containing.update(other.containing)
        return WordCounts(self.total + other.total, containing)

    @classmethod
    def of(cls, texts: Collection[WordWeights], words: Collection[int]) -> WordCounts:
        """Counted."""
        return cls(len(texts), {word: sum(word in text for text in texts) for word in words})

    def weights(self) -> dict[int, float]:
        """The rarer a word is the more it weighs; what is in no text is left out."""
        return {
            word: inverse_frequency(self.total, count)
            for word, count in sorted(self.containing.items())
            if count
        }


def inverse_frequency(total: int, containing: int) -> float:
    """BM25's, which is never negative: ln(1 + (total - containing + 0.5) / (containing + 0.5))."""
    return math.log((total + 1) / (containing + 0.5))


def containing(total: int, inverse: float) -> int:
    """The count behind an inverse frequency."""
    return round((total + 1) / math.exp(inverse) - 0.5)


def score(weights: WordWeights, text: WordWeights) -> float:
    """A text's score, summed in one order, so that its last digit depends on nothing else."""
    return sum((weights[word] * text[word] for word in sorted(weights) if word in text), 0.0)


def fused(rankings: Sequence[Sequence[str]]) -> dict[str, float]:
    """Name -> score by reciprocal-rank fusion: what several rankings have far up comes first."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            scores[name] = scores.get(name, 0.0) + 1 / (RRF_K + rank)
    return scores
