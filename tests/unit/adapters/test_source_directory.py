"""Manifests and directories: what is listed, what is refused, and that nothing outside is ever read."""

from __future__ import annotations

import json
import os

import pytest

from ragward.adapters.source_directory import directory_items, manifest_items
from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import Classification

LINE = {"uri": "a.txt", "corpus": "hr", "classification": "INTERNAL", "granted": ["group:acme/all"]}


def items(tmp_path, *lines):
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return manifest_items(manifest, "acme")


def refusal(item):
    with pytest.raises(InvalidRequestError) as caught:
        item.load()
    return caught.value


def test_a_good_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"text")
    line = LINE | {
        "compartments": ["case"],
        "denied": ["user:acme/x"],
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2026-01-01T01:00:00+01:00",
        "metadata": {"year": 2026},
    }
    assert (
        refusal(items(tmp_path, line)[0]).code == "label.invalid"
    )  # the two times are the same instant
    line["valid_until"] = "2027-01-01T00:00:00+00:00"
    document = items(tmp_path, line)[0].load()
    assert (document.source, document.filename, document.data) == ("a.txt", "a.txt", b"text")
    assert document.attributes == {"year": 2026}
    label = document.label
    assert (label.tenant, label.corpus, label.classification) == (
        "acme",
        "hr",
        Classification.INTERNAL,
    )
    assert (label.compartments, label.denied) == (frozenset({"case"}), frozenset({"user:acme/x"}))
    assert (label.valid_from, label.valid_until) == (1767225600, 1798761600)


def test_unclassified_is_confidential_and_without_grants_nobody(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"text")
    label = items(tmp_path, {"uri": "a.txt", "corpus": "hr"})[0].load().label
    assert (label.classification, label.granted) == (Classification.CONFIDENTIAL, frozenset())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("not json", "manifest.invalid"),
        ("[1]", "manifest.invalid"),
        ("null", "manifest.invalid"),
        ("[" * 50_000, "manifest.invalid"),
        (json.dumps(LINE | {"metadata": {"x": "y" * 70_000}}), "manifest.invalid"),
        ({"corpus": "hr"}, "manifest.invalid"),
        ({"uri": "a.txt"}, "manifest.invalid"),
        (LINE | {"uri": 1}, "manifest.invalid"),
        (LINE | {"unknown": 1}, "manifest.invalid"),
        (LINE | {"granted": "group:acme/all"}, "manifest.invalid"),
        (LINE | {"granted": [1]}, "manifest.invalid"),
        (LINE | {"metadata": [1]}, "manifest.invalid"),
        (LINE | {"valid_from": "2026-01-01"}, "manifest.invalid"),
        (LINE | {"valid_from": "2026-01-01T00:00:00"}, "manifest.invalid"),
        (LINE | {"valid_from": 5}, "manifest.invalid"),
        (LINE | {"uri": "../a.txt"}, "manifest.invalid"),
        (LINE | {"uri": "/etc/passwd"}, "manifest.invalid"),
        (LINE | {"classification": "SECRET"}, "label.unknown_classification"),
        (LINE | {"classification": "internal"}, "label.unknown_classification"),
        (LINE | {"classification": 1}, "label.unknown_classification"),
        (LINE | {"granted": ["everybody"]}, "principal.invalid"),
        (LINE | {"granted": ["user:other/x"]}, "label.invalid"),
        (LINE | {"corpus": "HR"}, "label.invalid"),
        (LINE | {"compartments": ["a b"]}, "label.invalid"),
    ],
    ids=lambda v: ascii(v)[:40],
)
def test_a_bad_line_is_an_item_that_says_which(tmp_path, line, code):
    error = refusal(items(tmp_path, LINE, line)[1])
    assert error.code == code
    assert error.detail.startswith("line 2: ")


def test_a_document_listed_twice_is_refused_the_second_time(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"x")
    first, second, other = items(tmp_path, LINE, LINE, LINE | {"corpus": "eng"})
    assert first.load().data == other.load().data == b"x"
    assert refusal(second).code == "manifest.invalid"


def test_links_devices_and_directories_are_not_read(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.txt").symlink_to(outside)
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    (root / "folder").mkdir()
    found = items(
        root,
        *(LINE | {"uri": name} for name in ("link.txt", "pipe", "folder", "loop/link.txt", "none")),
    )
    codes = [refusal(item).code for item in found]
    assert codes == [
        "manifest.invalid",
        "document.unreadable",
        "document.unreadable",
        "manifest.invalid",
        "document.unreadable",
    ]


def test_a_link_put_in_place_later_is_not_followed(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    item = items(tmp_path, LINE)[0]
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt").symlink_to("/etc/hostname")
    assert refusal(item).code == "document.link"


def test_a_directory_as_it_lies(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.md").write_text("2")
    (tmp_path / "one.txt").write_text("1")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("h")
    (tmp_path / "link").symlink_to(tmp_path / "one.txt")
    found = directory_items(tmp_path, "acme", corpus="hr", granted=["group:acme/all"])
    assert [item.source for item in found] == ["b/two.md", "one.txt"]
    label = found[0].load().label
    assert (label.classification, label.granted) == (
        Classification.CONFIDENTIAL,
        frozenset({"group:acme/all"}),
    )
