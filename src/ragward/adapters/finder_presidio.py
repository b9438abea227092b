"""Personal data by presidio-analyzer's recognizers, cues of our own and the trained name detector, offline.

presidio's defaults would download a language model, so it gets an NLP engine of ours: a blank English tokenizer whose lemma
is the lower-cased word, which is what makes context words count. Thresholds are per type: one for all cannot work.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from ragward.adapters.finder_identifiers import (
    ANNOUNCED,
    LOWER_IBAN,
    NATIONAL_IDS,
    NATIONALITIES,
    SEPARATORS,
    is_lower_iban,
)
from ragward.adapters.finder_identifiers import CUES as MORE_CUES
from ragward.adapters.finder_patterns import CONTEXT_CHARACTERS, CUES, NEEDS_CONTEXT
from ragward.adapters.finder_spans import everywhere, with_names, without_overlaps
from ragward.adapters.presidio_imports import import_presidio
from ragward.domain.corpus import Chunk, Vector
from ragward.domain.findings import Span
from ragward.domain.scans import Scan

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
#: Found only where `redaction.toml` asks for them: most of what they match says nothing of a person.
OPTIONAL_TYPES: Final = frozenset(
    {"DATE_TIME", "LOCATION", "NRP", "ORGANIZATION", "TITLE", "URL", "ZIP_CODE"}
)
_ALL_CUES: Final = (*CUES, *MORE_CUES, NATIONALITIES)
#: Every type that can be found, and so revealed or redacted.
ENTITY_TYPES: Final = tuple(
    sorted({*_THRESHOLDS, *(cue.entity_type for cue in _ALL_CUES), *OPTIONAL_TYPES, "NATIONAL_ID"})
)
_ID_GATE: Final = re.compile(r"\d(?:[\s.\-]?\d){4}|[A-Z]\d\d[A-Z]")
#: What a text must hold before a recognizer of a type is worth running; phonenumbers alone took half of the time.
_GATES: Final = {
    "PHONE_NUMBER": re.compile(r"(?:\d[\s().+\-/]{0,3}){7}"),
    "US_SSN": re.compile(r"\d(?:[\s.\-]?\d){8}"),
    "CREDIT_CARD": re.compile(r"\d(?:[ \-]?\d){11}"),
    "IBAN_CODE": re.compile(r"[A-Za-z]{2}\d{2}[ \-]?[A-Za-z0-9]{4}"),
    "IP_ADDRESS": re.compile(
        r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f]{1,4}:|[0-9A-Fa-f]{2}::[0-9A-Fa-f]|(?<![\w:])::[0-9A-Fa-f]"
    ),
    "CRYPTO": re.compile(r"[13b][A-Za-z0-9]{24}"),
}
_NOT_NUMBERS: Final = {
    "PHONE_NUMBER": re.compile(
        r"\d{4}[/\-]\d{4}|\d{4}-\d\d-\d\d.*|\d{3}-\d\d-\d{4}"
    ),  # years, dates
    "IP_ADDRESS": re.compile(r"[0-9A-Fa-f]{0,4}::|::"),  # no host is meant by a prefix alone
}
_WINDOW: Final = 50_000
_OVERLAP: Final = 300
_POSSESSIVE: Final = re.compile(r"['\u2019]s?$")
_IN_CONTEXT: Final = 0.65  # above a number that might be a telephone's
_CHECKED: Final = 0.85
_VERSION: Final = 3


class NameReader(Protocol):
    """A detector of PERSON, LOCATION and ORGANIZATION."""

    version: str

    def read(self, texts: Sequence[str]) -> list[list[Span]]:
        """The names in each text."""

    def read_chunks(self, texts: Sequence[str]) -> tuple[list[Vector] | None, list[list[Span]]]:
        """The texts' vectors, if the same pass makes them, and the names in each."""


class PresidioFinder:
    """`ports.Finder` for some types. The libraries are loaded on first use. Thread-safe."""

    def __init__(self, names: NameReader | None = None, types: Collection[str] = ()) -> None:
        self._names = names
        self._types = frozenset(types or set(ENTITY_TYPES) - OPTIONAL_TYPES)
        self._analyzer: Any = None
        cues = [cue for cue in _ALL_CUES if cue.entity_type in self._types]
        self._cues = [(cue, re.compile(cue.pattern)) for cue in cues]
        self._ids = (
            [(re.compile(pattern), check) for pattern, check in NATIONAL_IDS]
            if "NATIONAL_ID" in self._types
            else []
        )
        self._context = {kind: re.compile(p, re.IGNORECASE) for kind, p in NEEDS_CONTEXT.items()}
        settings = [
            _VERSION,
            sorted(self._types),
            _THRESHOLDS,
            NEEDS_CONTEXT,
            [(c.entity_type, c.pattern, c.score) for c in cues],
            [pattern for pattern, _ in NATIONAL_IDS],
            names.version if names else "",
        ]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._version = f"presidio/rules-{digest[:12]}"

    @classmethod
    def load(cls, names: NameReader | None = None, types: Collection[str] = ()) -> PresidioFinder:
        """The finder with the shipped rules, for the types given or those that are not optional."""
        return cls(names, types)

    @property
    def version(self) -> str:
        """Of the rules, the types looked for and the name detector."""
        return self._version

    def find(self, text: str) -> tuple[Span, ...]:
        """Non-overlapping spans over the whole text, sorted; where two overlap, the surer and then the longer stays."""
        return self._found(text, self._names.read([text])[0] if self._names else [])

    def scan(self, text: str, chunks: Sequence[Chunk]) -> Scan:
        """The same for a text that is cut into chunks, which are embedded in the pass that reads the names."""
        if self._names is None:
            return Scan(spans=self._found(text, []))
        vectors, read = self._names.read_chunks([chunk.text for chunk in chunks])
        names = [
            dataclasses.replace(span, start=span.start + chunk.start, end=span.end + chunk.start)
            for chunk, spans in zip(chunks, read, strict=True)
            for span in spans
        ]
        return Scan(spans=self._found(text, names), vectors=vectors)

    def _found(self, text: str, names: Sequence[Span]) -> tuple[Span, ...]:
        if self._analyzer is None:
            self._analyzer = _analyzer()
        found = [*self._by_presidio(text), *self._by_cues(text), *self._by_check_digits(text)]
        certain = without_overlaps(found)
        spans = with_names(text, certain, names)
        spans = with_names(text, spans, everywhere(text, spans))
        return tuple(span for span in spans if span.entity_type in self._types)

    def _by_presidio(self, text: str) -> Iterator[Span]:
        for base in range(0, max(len(text), 1), _WINDOW - _OVERLAP):
            window = text[base : base + _WINDOW]
            kinds = [
                kind
                for kind in _THRESHOLDS
                if kind in self._types and (_GATES.get(kind) or self._context[kind]).search(window)
            ]
            hits = self._analyzer.analyze(window, language="en", entities=kinds) if kinds else ()
            for hit in hits:
                if hit.score < _THRESHOLDS[hit.entity_type] or not self._in_context(window, hit):
                    continue
                if _is_other(window, hit.entity_type, hit.start, hit.end):
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
        gated = {kind for kind in ("PHONE_NUMBER", "CREDIT_CARD") if not _GATES[kind].search(text)}
        for cue, pattern in self._cues:
            if cue.entity_type in gated:
                continue
            for match in pattern.finditer(text):
                start, end = match.span("v")
                if cue.entity_type == "PERSON":
                    end = start + len(_POSSESSIVE.sub("", text[start:end]))
                if start < end and not _is_other(text, cue.entity_type, start, end):
                    yield Span(start, end, cue.entity_type, cue.score)

    def _by_check_digits(self, text: str) -> Iterator[Span]:
        if "IBAN_CODE" in self._types:
            for match in LOWER_IBAN.finditer(text):
                if is_lower_iban(SEPARATORS.sub("", match["v"])):
                    yield Span(match.start("v"), match.end("v"), "IBAN_CODE", _CHECKED)
        if not _ID_GATE.search(text):
            return
        announced = ANNOUNCED.search(text) is not None
        for pattern, check in self._ids:
            if not announced and pattern.pattern.startswith("(?i:"):
                continue
            for match in pattern.finditer(text):
                if check(SEPARATORS.sub("", match["v"])):
                    yield Span(match.start("v"), match.end("v"), "NATIONAL_ID", _CHECKED)


def _is_other(text: str, entity_type: str, start: int, end: int) -> bool:
    """Whether what looks like one thing is plainly another."""
    other = _NOT_NUMBERS.get(entity_type)
    return other is not None and other.fullmatch(text, start, end) is not None


def _analyzer() -> Any:
    import_presidio()
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
