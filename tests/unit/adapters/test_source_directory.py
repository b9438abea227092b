"""Manifests and directories: what is listed, what is refused, and that nothing outside is ever read."""

from __future__ import annotations

import json
import os
import pwd
import struct

import pytest

from ragward.adapters.source_directory import directory_items, manifest_items, numbered
from ragward.adapters.source_items import AccessRules
from ragward.domain.errors import ConfigurationError, InvalidRequestError
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
        (
            json.dumps(LINE | {"uri": "b.txt", "metadata": {"x": "y" * 1_100_000}}),
            "manifest.invalid",
        ),
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


def test_a_folder_that_cannot_be_listed_is_an_item_that_fails(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "one.txt").write_text("1")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    closed, one = directory_items(tmp_path, "acme", corpus="hr", granted=["group:acme/all"])
    assert (closed.source, refusal(closed).code) == ("closed", "document.unreadable")
    assert one.load().data == b"1"


def test_links_out_of_a_directory_are_items_that_fail(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "one.txt").write_text("1")
    (root / "file").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    (root / "inside").symlink_to(root / "one.txt")
    found = directory_items(root, "acme", corpus="hr", granted=["group:acme/all"])
    assert {item.source for item in found} == {"one.txt", "file", "folder", "loop"}
    for item in found:
        if item.source != "one.txt":
            assert refusal(item).code == "document.link"


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_what_is_swapped_for_a_link_after_it_was_listed_is_not_followed(tmp_path, swapped):
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder, text in ((root / "f", "mine"), (outside, "secret")):
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text(text)
    [item] = directory_items(root, "acme", corpus="hr", granted=["group:acme/all"])
    if swapped == "file":
        (root / "f" / "a.txt").unlink()
        (root / "f" / "a.txt").symlink_to(outside / "a.txt")
    else:
        (root / "f").rename(tmp_path / "away")
        (root / "f").symlink_to(outside)
    assert refusal(item).code == "document.link"


def modes(tmp_path, folder, file, **given):
    (tmp_path / "f").mkdir(exist_ok=True)
    (tmp_path / "f" / "a.txt").write_text("text")
    (tmp_path / "f" / "a.txt").chmod(file)
    (tmp_path / "f").chmod(folder)
    tmp_path.chmod(0o755)
    rules = AccessRules(
        posix_principals={
            f"uid:{os.getuid()}": "user:acme/me",
            f"gid:{os.getgid()}": "group:acme/us",
        },
        **given,
    )
    [item] = directory_items(tmp_path, "acme", corpus="hr", granted=[], rules=rules)
    return item.load()


def test_owners_and_modes_say_who_may_read(tmp_path):
    assert modes(tmp_path, 0o755, 0o640).label.granted == {"user:acme/me", "group:acme/us"}
    assert modes(tmp_path, 0o700, 0o644).label.granted == {"user:acme/me"}
    world = modes(tmp_path, 0o755, 0o644)
    assert world.label.granted == {"user:acme/me", "group:acme/us"}
    assert "everybody" in world.notes[0]
    everybody = modes(tmp_path, 0o755, 0o644, everybody="group:acme/all")
    assert "group:acme/all" in everybody.label.granted
    kept_out = modes(tmp_path, 0o755, 0o604, everybody="group:acme/all").label
    assert (kept_out.granted, kept_out.denied) == (
        {"user:acme/me", "group:acme/all"},
        {"group:acme/us"},
    )


def test_owners_nobody_mapped_are_named_in_the_item(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "a.txt").chmod(0o600)
    [item] = directory_items(tmp_path, "acme", corpus="hr", granted=[])
    document = item.load()
    assert document.label.granted == frozenset()
    assert f"uid:{os.getuid()}" in document.notes[0]


def test_an_access_list_beside_the_mode_is_nobodys(tmp_path):
    try:
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "a.txt").write_text("x")
        # A mask makes the list more than the mode can say.
        value = b"\x02\0\0\0" + b"".join(
            struct.pack("<HHI", tag, bits, who)
            for tag, bits, who in (
                (1, 6, 0xFFFFFFFF),
                (2, 4, 12345),
                (4, 0, 0xFFFFFFFF),
                (16, 4, 0xFFFFFFFF),
                (32, 0, 0xFFFFFFFF),
            )
        )
        os.setxattr(tmp_path / "f" / "a.txt", "system.posix_acl_access", value)
    except OSError:
        pytest.skip("this file system has no access lists")
    rules = AccessRules(
        posix_principals={
            f"uid:{os.getuid()}": "user:acme/me",
            f"gid:{os.getgid()}": "group:acme/us",
        }
    )
    tmp_path.chmod(0o755)
    [item] = directory_items(tmp_path, "acme", corpus="hr", granted=[], rules=rules)
    assert item.load().label.granted == frozenset()


def test_names_of_this_machine_become_numbers():
    me = pwd.getpwuid(os.getuid()).pw_name
    assert numbered({f"user:{me}": "user:acme/me", "gid:7": "group:acme/x"}) == {
        f"uid:{os.getuid()}": "user:acme/me",
        "gid:7": "group:acme/x",
    }
    for bad in (
        {"user:nobody-has-this-name": "user:acme/x"},
        {f"user:{me}": "user:acme/a", f"uid:{os.getuid()}": "user:acme/b"},
    ):
        with pytest.raises(ConfigurationError):
            numbered(bad)
