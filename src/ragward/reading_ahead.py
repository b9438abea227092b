"""Documents of a job, read elsewhere ahead of the one that is being stored; the order stays the job's.

Read in their turn all the same are archives, whose members have no place of their own; files whose access list is the file's own owner and
mode, because bytes and access list have to be of the very same file; and what its source has to sign, because nobody reads that before
the signature is verified.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ragward.domain.access import Subject
from ragward.domain.corpus import DocumentRecord, DocumentState, SourceDocument
from ragward.domain.errors import ConfigurationError
from ragward.domain.jobs import JobItem
from ragward.domain.reading import ReadDocument, ReadingTask, ReadSource, source_digest
from ragward.domain.sources import Demands
from ragward.ports import Analyser, Catalog, Reader, TextExtractor


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAhead:
    """What is needed for it. `open_reader` is called for the first job that has something to be read; None: nothing is read ahead."""

    catalog: Catalog
    analyser: Analyser
    extractor: TextExtractor
    demands: Demands
    open_reader: Callable[[], Reader] | None

    def shape(self, attributes: Mapping[str, object]) -> tuple[bytes, ...]:
        """What makes two readings of the same bytes different; of the attributes a digest, for it goes to workers."""
        return (
            hashlib.sha256(json.dumps(dict(attributes), sort_keys=True).encode()).digest(),
            self.analyser.model_digest.encode(),
            self.analyser.detector.encode(),
        )

    def over(self, subject: Subject, items: Sequence[JobItem]) -> Iterator[JobItem]:
        """The items, in order; loading one that was read ahead waits for that. Raises `config.*`, `unavailable.workers`."""
        if self.open_reader is None:
            yield from items
            return
        reader = self.open_reader()
        waiting: deque[JobItem] = deque()
        for item in items:
            waiting.append(self._submitted(reader, subject, item))
            if len(waiting) > reader.ahead:
                yield waiting.popleft()
        yield from waiting

    def _submitted(self, reader: Reader, subject: Subject, item: JobItem) -> JobItem:
        if item.place is None or self._is_for_here(subject, item):
            return item
        shape = self.shape(item.attributes)
        before = self._before(subject, item)
        task = ReadingTask(
            place=item.place,
            filename=item.source.rpartition("/")[2],
            tenant=subject.tenant,
            shape=shape,
            known=b"" if before is None else before.source_digest,
        )
        return replace(item, load=partial(self._loaded, subject, item, shape, reader.submit(task)))

    def _is_for_here(self, subject: Subject, item: JobItem) -> bool:
        if self.extractor.is_archive(item.source) or item.corpus is None:
            return True
        return self.demands.keys_for(subject.tenant, item.corpus, item.source) is not None

    def _loaded(
        self,
        subject: Subject,
        item: JobItem,
        shape: Sequence[bytes],
        received: Callable[[], ReadDocument],
    ) -> SourceDocument:
        assert item.claim is not None
        read = received()
        if read.analysed is None:
            before = self._before(subject, item)
            if before is None or before.source_digest != source_digest(read.sha256, shape):
                return item.load()  # what was known then is not what is known now
        elif (read.analysed.model_digest, read.analysed.detector) != (
            self.analyser.model_digest,
            self.analyser.detector,
        ):
            raise ConfigurationError(
                "a worker has another model or detector", code="config.model_mismatch"
            )
        claim = item.claim()
        return ReadSource(
            source=item.source,
            filename=item.source.rpartition("/")[2],
            data=b"",
            read=read,
            again=item.load,
            label=claim.label,
            attributes=item.attributes,
            notes=claim.notes,
            uri=claim.uri,
        )

    def _before(self, subject: Subject, item: JobItem) -> DocumentRecord | None:
        assert item.corpus is not None
        found = self.catalog.find_document(subject.tenant, item.corpus, item.source)
        return None if found is None or found.state is DocumentState.DELETED else found
