"""What reads, cuts, embeds, scans, judges and redacts content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from ragward.domain.analysis import Analysed
from ragward.domain.classification import Prediction
from ragward.domain.corpus import (
    ArchiveMember,
    Chunk,
    ExtractedText,
    Vector,
)
from ragward.domain.findings import Screening, Span
from ragward.domain.labels import Classification
from ragward.domain.passages import RedactedText
from ragward.domain.pseudonyms import FoundToken, Payload
from ragward.domain.reading import ReadDocument, ReadingTask
from ragward.domain.scans import Scan


class SignatureVerifier(Protocol):
    """Ed25519."""

    def verifies(self, key: bytes, signature: bytes, message: bytes) -> bool:
        """Whether `signature` over `message` is by the holder of the public `key`; False for what is malformed."""


class TextExtractor(Protocol):
    """Reads text out of a file, away from this process."""

    def extract(self, filename: str, data: bytes, *, tenant: str) -> ExtractedText:
        """Raises `document.*`. What read a file of one tenant never reads another's."""

    def is_archive(self, filename: str) -> bool:
        """Whether a file is a container of documents: `members` reads it, not `extract`."""

    def members(self, filename: str, data: bytes, *, tenant: str) -> Sequence[ArchiveMember]:
        """Every file in an archive. Raises `document.*` where it is refused as a whole."""


class Loader(Protocol):
    """A reader of one more format, brought as an entry point of `ragward.loaders`; called in a process of its own."""

    def load(self, filename: str, data: bytes) -> ExtractedText:
        """May raise `InvalidRequestError` with a `document.*` code; everything else is `document.loader`."""


class Chunker(Protocol):
    """Cuts a document's text."""

    @property
    def version(self) -> str:
        """What decides where it cuts."""

    def chunk(self, text: str) -> list[Chunk]:
        """Token-bounded pieces with exact offsets."""

    def count_tokens(self, text: str) -> int:
        """Tokens of the embedding model's tokenizer."""


class Embedder(Protocol):
    """Text to vectors with one pinned model."""

    @property
    def model_digest(self) -> str:
        """SHA-256 (hex) over the model's manifest: weights, tokenizer, pooling."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One unit-length vector per text."""


class Finder(Protocol):
    """Finds personal data."""

    @property
    def version(self) -> str:
        """Detector and configuration version, stored with the spans."""

    def find(self, text: str) -> tuple[Span, ...]:
        """Non-overlapping spans, sorted by start."""

    def scan(self, text: str, chunks: Sequence[Chunk]) -> Scan:
        """The same of a document cut into chunks, and their vectors if the same pass makes them."""


class Analyser(Protocol):
    """Reads a document: extracts, cuts, searches, screens and embeds it."""

    @property
    def detector(self) -> str:
        """Version of what finds personal data."""

    @property
    def model_digest(self) -> str:
        """Of the embedding model."""

    def analyse(self, filename: str, data: bytes, *, tenant: str) -> Analysed:
        """Raises `document.*`."""


class Reader(Protocol):
    """Reads documents in other processes, several at a time."""

    @property
    def ahead(self) -> int:
        """How many to have on their way."""

    def submit(self, task: ReadingTask) -> Callable[[], ReadDocument]:
        """Has it read. What is returned waits for it, once, and raises `document.*`, `unavailable.workers`."""


class Redactor(Protocol):
    """Takes personal data out."""

    def redact(
        self,
        text: str,
        spans: Sequence[Span],
        revealed: frozenset[str],
        shown_as: Mapping[str, Callable[[str], str | None]] | None = None,
    ) -> RedactedText:
        """`text` with every span whose type is not in `revealed` replaced: by what `shown_as` of its type makes of it, or by
        `<TYPE>`."""


class PseudonymTokens(Protocol):
    """Self-delimiting tokens that stand for values."""

    def issue(self, tenant: str, purpose: str, entity_type: str, payload: Payload) -> str:
        """The same for the same. Raises `unavailable.keys`."""

    def found(self, text: str) -> Iterator[FoundToken]:
        """What looks like a token, wherever it stands."""

    def read(self, tenant: str, purpose: str, token: str) -> Payload:
        """Raises `pseudonym.invalid` for what was changed, or was issued elsewhere."""


class Screener(Protocol):
    """Recognises text that tries to give orders to a model."""

    @property
    def rule_set(self) -> str:
        """The version of the rules, stored with what they said."""

    def screen(self, text: str) -> Screening:
        """Normalises, then applies the rules, sentence by sentence."""

    def neutralise(self, text: str) -> str:
        """`text` without invisible characters, and with image and link exfiltration made inert."""


class Classifier(Protocol):
    """A steward's rules."""

    @property
    def version(self) -> str:
        """The beginning of the rules' digest."""

    def classify(
        self,
        source: str,
        title: str,
        text: str,
        attributes: Mapping[str, object],
        entity_counts: Mapping[str, int],
        properties: Mapping[str, object] | None = None,
    ) -> tuple[Classification, tuple[str, ...]]:
        """The highest classification any rule demands (PUBLIC if none) and the evidence; `attributes` are the source's words,
        `properties` the file's own."""


class TrainedClassifier(Protocol):
    """What was learnt from labels that people reviewed."""

    @property
    def version(self) -> str:
        """The beginning of the artefact's digest."""

    def predict(self, vectors: Sequence[Vector]) -> Prediction:
        """Of a document, by the vectors of its chunks."""
