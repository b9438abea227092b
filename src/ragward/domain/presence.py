"""What a source was found to hold in one run, and what of it is gone since: nobody takes for gone what could not be seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ragward.domain.corpus import DocumentRecord, DocumentState
from ragward.domain.jobs import ItemOutcome, ItemResult, JobItem

#: As many may go missing at once without a question, whatever share that is.
A_FEW: Final = 5
IN_ARCHIVE: Final = "!/"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneMark:
    """A document's current version marked as gone since then, or with None as there again; and the state that goes with it.

    Not applied if the version or its state are no longer the expected ones."""

    document_id: str
    version: int
    expected_state: DocumentState
    state: DocumentState
    since: int | None


class Listing:
    """The names that a source listed, by corpus. What lies below a name that could not be read counts as there.

    `complete` says that nothing was left unseen; a source that lists nothing at all is `empty`, as one that is not mounted.
    """

    def __init__(self, items: Collection[JobItem]) -> None:
        self.complete = not any(item.unlisted for item in items)
        self.empty = not items
        self._names = {(item.corpus, item.source) for item in items}
        self._unseen: set[tuple[str | None, str]] = set()

    @classmethod
    def unread(cls, items: Collection[JobItem]) -> Listing:
        """Before anything is read: what is in an archive is not known."""
        listing = cls(items)
        listing._unseen = set(listing._names)
        return listing

    def add(self, item: JobItem, result: ItemResult) -> None:
        """What became of one, or of an archive's member, which is listed with it."""
        name = (item.corpus, item.source)
        self._names.add(name)
        if result.outcome is ItemOutcome.FAILED:
            self._unseen.add(name)

    def has(self, corpus: str, source: str) -> bool:
        """Whether it is there, or may be."""
        if (corpus, source) in self._names:
            return True
        return any((corpus, above) in self._unseen for above in _above(source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Documents of a source, as a listing left them."""

    new: Sequence[DocumentRecord]
    """not listed, and not marked yet"""
    marked: Sequence[DocumentRecord]
    """not listed, and marked before"""
    back: Sequence[DocumentRecord]
    """marked, and listed again"""
    total: int

    @classmethod
    def of(cls, records: Iterable[DocumentRecord], listing: Listing) -> Missing:
        """Sorted by what the listing says of each."""
        new: list[DocumentRecord] = []
        marked: list[DocumentRecord] = []
        back: list[DocumentRecord] = []
        total = 0
        for record in records:
            total += 1
            there = listing.has(record.corpus, record.source)
            if there and record.gone_since is not None:
                back.append(record)
            elif not there:
                (new if record.gone_since is None else marked).append(record)
        return cls(new=new, marked=marked, back=back, total=total)

    def is_suspicious(self, percent: int, *, empty: bool) -> bool:
        """Whether so much is gone at once that a folder which is not mounted is the better explanation."""
        gone = len(self.new) + len(self.marked)
        if not self.new:
            return False
        return empty or (gone > A_FEW and gone * 100 > percent * self.total)

    def said(self) -> str:
        """In words, for whoever is asked."""
        return f"{len(self.new) + len(self.marked)} of {self.total} documents are not at the source"


def _above(source: str) -> Iterator[str]:
    """The folders and archives that a name lies in."""
    at = source.find("/")
    while at >= 0:
        yield source[:at]
        if source[:at].endswith("!"):
            yield source[: at - 1]
        at = source.find("/", at + 1)
