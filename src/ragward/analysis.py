"""Reading a document: from bytes to text, chunks, findings and vectors. No labels, no keys, no catalog: what is done here
can be done by another process or machine, and takes nearly all of an ingest's time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.analysis import Analysed
from ragward.domain.corpus import Chunk, ExtractedText, ScannedChunk, Vector, View
from ragward.domain.errors import InvalidRequestError
from ragward.domain.findings import Span, Verdict
from ragward.ports import Chunker, Embedder, Finder, Redactor, Screener, TextExtractor
from ragward.protection import views

MAX_CHUNKS: Final = 5_000
_TITLE: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Everything that reading needs, and the reading."""

    extractor: TextExtractor
    chunker: Chunker
    finder: Finder
    screener: Screener
    embedder: Embedder
    redactor: Redactor

    @property
    def detector(self) -> str:
        """Version of what finds personal data."""
        return self.finder.version

    @property
    def model_digest(self) -> str:
        """Of the embedding model."""
        return self.embedder.model_digest

    def analyse(self, filename: str, data: bytes, *, tenant: str) -> Analysed:
        """Raises `document.*`."""
        extracted = self.extractor.extract(filename, data, tenant=tenant)
        scanned, full = self._scanned(extracted)
        quarantine = [item.screening.verdict is Verdict.QUARANTINE for item in scanned]
        quarantine += [
            self.screener.screen(text).verdict is Verdict.QUARANTINE for text in extracted.hidden
        ]
        return Analysed(
            extracted=extracted,
            chunks=tuple(scanned),
            vectors=self._vectors(scanned, full),
            title=self._title(extracted.title or filename),
            suspicious=any(quarantine),
            detector=self.detector,
            model_digest=self.model_digest,
            chunker=self.chunker.version,
        )

    def _scanned(
        self, extracted: ExtractedText
    ) -> tuple[list[ScannedChunk], Sequence[Vector] | None]:
        """Chunks with their personal data (found over the whole text, so that a name found once is found everywhere)
        and what the screener says of each; and their vectors, where the finder's pass made them."""
        chunks = self.chunker.chunk(extracted.text)
        if not chunks:
            raise InvalidRequestError(code="document.empty")
        if len(chunks) > MAX_CHUNKS:
            raise InvalidRequestError(code="document.too_large")
        scan = self.finder.scan(extracted.text, chunks)
        scanned = [
            ScannedChunk(
                chunk=chunk,
                spans=spans_within(scan.spans, chunk),
                screening=self.screener.screen(chunk.text),
            )
            for chunk in chunks
        ]
        return scanned, scan.vectors

    def _vectors(
        self, scanned: Sequence[ScannedChunk], full: Sequence[Vector] | None
    ) -> Mapping[tuple[int, View], Vector]:
        """Of all views of all chunks; those that the finder did not make are embedded in one batch."""
        made: dict[tuple[int, View], Vector] = {}
        if full is not None:
            for item, vector in zip(scanned, full, strict=True):
                made[item.chunk.ordinal, View.FULL] = vector
        wanted = {
            (item.chunk.ordinal, view): text
            for item in scanned
            for view, text in views(item, self.redactor)
            if (item.chunk.ordinal, view) not in made
        }
        if wanted:
            embedded = self.embedder.embed(list(wanted.values()))
            made |= dict(zip(wanted, embedded, strict=True))
        return made

    def _title(self, title: str) -> str:
        spans = self.finder.find(title) if title else ()
        return self.redactor.redact(title[:_TITLE], clipped(spans, 0, _TITLE), frozenset()).text


def clipped(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """Spans within [start, end), cut to it and moved to begin at 0."""
    return tuple(
        dataclasses.replace(
            span, start=max(span.start, start) - start, end=min(span.end, end) - start
        )
        for span in spans
        if span.start < end and span.end > start
    )


def spans_within(spans: Iterable[Span], chunk: Chunk) -> tuple[Span, ...]:
    """A document's spans as they fall into one chunk."""
    return clipped(spans, chunk.start, chunk.end)
