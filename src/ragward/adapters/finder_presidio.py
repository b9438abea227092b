"""Personal data by presidio-analyzer's recognizers and cues of our own, offline.

presidio's defaults would download a language model, so it gets an NLP engine of ours: a blank English tokenizer whose lemma
is the lower-cased word, which is what makes context words count. Thresholds are per type: one for all cannot work.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ragward.adapters.finder_patterns import CONTEXT_CHARACTERS, CUES, NEEDS_CONTEXT
from ragward.domain.findings import Span

_THRESHOLDS: Final = {
    "PHONE_NUMBER": 0.4,
    "US_SSN": 0.5,
    "CREDIT_CARD": 0.5,
    "IBAN_CODE": 0.5,
    "IP_ADDRESS": 0.5,
    "CRYPTO": 0.5,
    "US_DRIVER_LICENSE": 0.01,
    "US_BANK_NUMBER": 0.01,
    "US_PASSPORT": 0.01,
    "US_ITIN": 0.01,
    "UK_NHS": 0.01,
    "MEDICAL_LICENSE": 0.01,
}
#: Every type that can be found, and so revealed or redacted.
ENTITY_TYPES: Final = tuple(sorted({*_THRESHOLDS, *(cue.entity_type for cue in CUES)}))
_PHONE_GATE: Final = re.compile(r"(?:\d[\s().+\-/]{0,3}){7,}")
_WINDOW: Final = 50_000
_OVERLAP: Final = 300
_MIN_NAME: Final = 4
_POSSESSIVE: Final = re.compile(r"['\u2019]s?$")
_IN_CONTEXT: Final = 0.6
_VERSION: Final = 2


class PresidioFinder:
    """`ports.Finder`. The libraries are loaded on first use. Thread-safe."""

    def __init__(self) -> None:
        self._analyzer: Any = None
        self._cues = [(cue, re.compile(cue.pattern)) for cue in CUES]
        self._context = {kind: re.compile(p, re.IGNORECASE) for kind, p in NEEDS_CONTEXT.items()}
        settings = [
            _VERSION,
            _THRESHOLDS,
            NEEDS_CONTEXT,
            [(c.entity_type, c.pattern, c.score) for c in CUES],
        ]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._version = f"presidio/rules-{digest[:12]}"

    @classmethod
    def load(cls) -> PresidioFinder:
        """The finder with the shipped rules."""
        return cls()

    @property
    def version(self) -> str:
        """Of the rules."""
        return self._version

    def find(self, text: str) -> tuple[Span, ...]:
        """Non-overlapping spans over the whole text, sorted; where two overlap, the surer and then the longer stays."""
        if self._analyzer is None:
            self._analyzer = _analyzer()
        found = [*self._by_presidio(text), *self._by_cues(text)]
        found += _everywhere(text, [s for s in found if s.entity_type == "PERSON"])
        return _without_overlaps(found)

    def _by_presidio(self, text: str) -> Iterator[Span]:
        kinds = [kind for kind in _THRESHOLDS if kind != "PHONE_NUMBER" or _PHONE_GATE.search(text)]
        for base in range(0, max(len(text), 1), _WINDOW - _OVERLAP):
            window = text[base : base + _WINDOW]
            for hit in self._analyzer.analyze(window, language="en", entities=kinds):
                if hit.score < _THRESHOLDS[hit.entity_type] or not self._in_context(window, hit):
                    continue
                score = min(float(hit.score), 1.0)
                if hit.entity_type in NEEDS_CONTEXT:
                    score = max(score, _IN_CONTEXT)
                yield Span(base + hit.start, base + hit.end, hit.entity_type, score)
            if base + _WINDOW >= len(text):
                break

    def _in_context(self, text: str, hit: Any) -> bool:
        words = self._context.get(hit.entity_type)
        before = text[max(0, hit.start - CONTEXT_CHARACTERS) : hit.start]
        return words is None or words.search(before) is not None

    def _by_cues(self, text: str) -> Iterator[Span]:
        for cue, pattern in self._cues:
            for match in pattern.finditer(text):
                start, end = match.span("v")
                if cue.entity_type == "PERSON":
                    end = start + len(_POSSESSIVE.sub("", text[start:end]))
                if start < end:
                    yield Span(start, end, cue.entity_type, cue.score)


def _everywhere(text: str, people: Iterable[Span]) -> Iterator[Span]:
    """A name found once is found everywhere in the document: the full name, and its last part alone."""
    names = {text[span.start : span.end] for span in people}
    parts = {name for full in names for name in (full, full.split()[-1]) if len(name) >= _MIN_NAME}
    if not parts:
        return
    ordered = sorted(parts, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in ordered) + r")(?!\w)")
    for match in pattern.finditer(text):
        yield Span(match.start(), match.end(), "PERSON", 0.7)


def _without_overlaps(spans: Iterable[Span]) -> tuple[Span, ...]:
    kept: list[Span] = []  # by start
    for span in sorted(
        set(spans), key=lambda s: (-s.score, s.start - s.end, s.start, s.entity_type)
    ):
        at = bisect_left(kept, span.start, key=lambda s: s.start)
        after_previous = at == 0 or kept[at - 1].end <= span.start
        if after_previous and (at == len(kept) or span.end <= kept[at].start):
            kept.insert(at, span)
    return tuple(kept)


def _analyzer() -> Any:
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as shipped
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

    class BlankEngine(NlpEngine):  # type: ignore[misc]  # presidio is not typed for strict checking
        """Tokens and lower-cased lemmas; no model, no download."""

        def __init__(self) -> None:
            self._nlp = spacy.blank("en")
            self._nlp.max_length = 10 * _WINDOW

        def load(self) -> None:
            return None

        def is_loaded(self) -> bool:
            return True

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["en"]

        def is_stopword(self, word: str, language: str) -> bool:  # noqa: ARG002 - presidio's signature
            return bool(self._nlp.vocab[word].is_stop)

        def is_punct(self, word: str, language: str) -> bool:  # noqa: ARG002 - presidio's signature
            return bool(self._nlp.vocab[word].is_punct)

        def process_text(self, text: str, language: str) -> Any:
            doc = self._nlp(text)
            return NlpArtifacts(
                entities=[],
                tokens=doc,
                tokens_indices=[token.idx for token in doc],
                lemmas=[token.lower_ for token in doc],
                nlp_engine=self,
                language=language,
            )

        def process_batch(self, texts: Any, language: str, **_: Any) -> Any:
            for text in texts:
                yield text, self.process_text(text, language)

    recognizers = [
        getattr(shipped, name)()
        for name in (
            "PhoneRecognizer",
            "UsSsnRecognizer",
            "CreditCardRecognizer",
            "IbanRecognizer",
            "IpRecognizer",
            "CryptoRecognizer",
            "UsLicenseRecognizer",
            "UsBankRecognizer",
            "UsPassportRecognizer",
            "UsItinRecognizer",
            "NhsRecognizer",
            "MedicalLicenseRecognizer",
        )
    ]
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=BlankEngine(),
        supported_languages=["en"],
        log_decision_process=False,
    )
