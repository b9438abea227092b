"""The report of a job: complete, self-contained, and harmless whatever files are called."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from ragward.adapters.report_html import POLICY, job_page
from ragward.domain.job_report import MAX_SOURCES, OTHERS, JobSummary, folder_of
from ragward.domain.jobs import ItemOutcome, ItemResult, JobRecord, JobState
from ragward.domain.labels import Classification

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>/&'`.txt"


def job(**given):
    return JobRecord(
        **{
            "job_id": "j1",
            "tenant": "acme",
            "state": JobState.COMPLETED_WITH_ERRORS,
            "requested_by": "user:acme/ann",
            "total": 3,
            "done": 3,
            "counts": {},
            "errors": (),
            "created_at": 1_800_000_000,
            "updated_at": 1_800_000_100,
        }
        | given
    )


def item(source, level="INTERNAL", **given):
    fields = {"outcome": ItemOutcome.INGESTED, "classification": level, "chunks": 2} | given
    return ItemResult(source=source, **fields)


ITEMS = [
    item("hr/a.txt", entity_counts={"PERSON": 3, "EMAIL": 1}, confidence=0.97),
    item("hr/b.txt", "RESTRICTED", entity_counts={"PERSON": 1}, confidence=1.0),
    item("eng/a.txt", confidence=0.05),
    item("all.zip!/x.txt", "PUBLIC"),
    item("top.txt", outcome=ItemOutcome.REMOVED, chunks=0),
    item("bad.bin", None, outcome=ItemOutcome.FAILED, code="document.binary", chunks=0),
]


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.attributes = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += attrs


def test_what_is_counted():
    summary = JobSummary.of(ITEMS)
    assert (summary.items, summary.chunks) == (6, 8)
    assert summary.outcomes == {"failed": 1, "ingested": 4, "removed": 1}
    assert summary.levels == {
        "hr": {Classification.INTERNAL: 1, Classification.RESTRICTED: 1},
        "all.zip": {Classification.PUBLIC: 1},
        "eng": {Classification.INTERNAL: 1},
    }
    assert summary.entities == {"PERSON": 4, "EMAIL": 1}
    assert (summary.confidences[0], summary.confidences[9], sum(summary.confidences)) == (1, 2, 3)
    assert summary.codes == {"document.binary": 1}
    assert [each.source for each in summary.told] == ["bad.bin"]
    assert [folder_of(name) for name in ("a", "f/a", "f/g/a")] == [".", "f", "f"]


def test_small_sources_are_taken_together():
    many = [item(f"f{n:02}/{m}") for n in range(MAX_SOURCES + 3) for m in range(20 - n)]
    levels = JobSummary.of(many).levels
    assert len(levels) == MAX_SOURCES + 1
    assert next(iter(levels)) == "f00"
    total = sum(sum(counts.values()) for counts in levels.values())
    assert total == len(many)
    assert levels[OTHERS][Classification.INTERNAL] == 8 + 7 + 6


def test_the_page_shows_it_all_and_is_well_formed():
    page = job_page(job(), JobSummary.of(ITEMS))
    for told in ("hr", "all.zip", "PERSON", "document.binary", "bad.bin", "2027-01-15 08:00:00Z"):
        assert told in page
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) >= 4
    for chart in charts:
        ElementTree.fromstring(chart)
    for level in Classification:
        assert f'class="{level.name}"' in page
    assert "prefers-color-scheme:dark" in page
    empty = job_page(job(), JobSummary.of([]))
    assert "No trained classifier" in empty
    assert "Nothing went in" in empty


def test_nothing_is_loaded_and_nothing_runs():
    page = job_page(job(), JobSummary.of(ITEMS))
    elements = Elements()
    elements.feed(page)
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(elements.found)
    assert not re.search(r"https?:|url\(|@import|//", page)
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    assert ("content", POLICY) in elements.attributes


def test_names_are_only_text():
    items = [
        item(EVIL, entity_counts={EVIL: 1}),
        item(EVIL, None, outcome=ItemOutcome.FAILED, code=EVIL, detail=EVIL),
    ]
    evil = job(requested_by=EVIL, job_id=EVIL)
    page = job_page(evil, JobSummary.of(items))
    assert EVIL not in page
    clean, dirty = Elements(), Elements()
    dirty.feed(page)
    plain = [
        item("a/b", entity_counts={"c": 1}),
        item("d", None, outcome=ItemOutcome.FAILED, code="e", detail="f"),
    ]
    clean.feed(job_page(job(), JobSummary.of(plain)))
    assert dirty.found == clean.found
