"""Sources by URL: what is listed and read, and what is refused before anything is connected to."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import fsspec
import pytest

from ragward.adapters.source_items import MAX_FILE, MAX_LINE, NO_NAMES, AccessRules
from ragward.adapters.source_url import is_remote, is_url, place_of, url_items, url_manifest_items
from ragward.domain.errors import InvalidRequestError, UnavailableError
from ragward.domain.source_acl import SourceName

LINE = {"uri": "a.txt", "corpus": "hr", "classification": "INTERNAL", "granted": ["group:acme/all"]}


@pytest.fixture
def store():
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def put(store, **files):
    for name, data in files.items():
        store.pipe(f"/bucket/{name}", data)


def folder(url="memory://bucket", **given):
    about = {"corpus": "hr", "granted": ["group:acme/all"], "rules": NO_NAMES}
    return url_items(url, "acme", **(about | given))


def refusal(item):
    with pytest.raises(InvalidRequestError) as caught:
        item.load()
    return caught.value


def test_a_folder_in_a_store(store):
    store.pipe({"/bucket/b/two.md": b"2", "/bucket/one.txt": b"1", "/bucket/.git/x": b"h"})
    store.pipe({"/bucketful/other.txt": b"of another bucket", "/top.txt": b"x"})
    items = folder()
    assert [item.source for item in items] == ["b/two.md", "one.txt"]
    document = items[0].load()
    assert (document.filename, document.data) == ("two.md", b"2")
    assert document.label.granted == {"group:acme/all"}


def test_a_manifest_in_a_store(store):
    lines = [
        LINE,
        LINE | {"uri": "../other/x.txt"},
        LINE | {"uri": "/etc/passwd"},
        LINE | {"uri": "a/../../x"},
        LINE | {"uri": "none.txt"},
    ]
    manifest = "\n".join(map(json.dumps, lines)).encode()
    store.pipe({"/bucket/m.jsonl": manifest, "/bucket/a.txt": b"text", "/other/x.txt": b"secret"})
    items = url_manifest_items("memory://bucket/m.jsonl", "acme", NO_NAMES)
    assert items[0].load().data == b"text"
    codes = [refusal(item).code for item in items[1:]]
    assert codes == ["manifest.invalid"] * 3 + ["document.unreadable"]


def test_names_that_lead_elsewhere_are_items_that_fail(store):
    store.pipe({"/bucket/good.txt": b"1"})
    store.store["/bucket/../x.txt"] = store.store["/bucket/good.txt"]
    store.store["/bucket/new\nline.txt"] = store.store["/bucket/good.txt"]
    items = {item.source: item for item in folder()}
    bad = [item for name, item in items.items() if name != "good.txt"]
    assert [refusal(item).code for item in bad] == ["document.link"] * len(bad)
    assert "'new\\nline.txt'" in items
    assert items["good.txt"].load().data == b"1"


def test_what_is_too_large_is_not_read(store):
    class Endless:
        """A file that does not say how large it is."""

        size = None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self, size):
            assert size == MAX_FILE + 1
            return bytes(size)

    put(store, **{"a.txt": b"1"})
    [item] = folder()
    store.open = lambda *_args, **_given: Endless()
    try:
        assert refusal(item).code == "document.too_large"
    finally:
        del store.open


def test_a_file_url_is_the_local_folder(tmp_path):
    (tmp_path / "a b.txt").write_text("text")
    outside = tmp_path.parent / "outside.txt"
    outside.write_text("secret")
    (tmp_path / "link.txt").symlink_to(outside)
    url = "file://" + str(tmp_path)
    items = folder(url)
    assert items[0].load().data == b"text"
    assert refusal(items[1]).code == "document.link"
    assert folder(url.replace("file://", "file://localhost"))[0].load().data == b"text"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x",
        "https://example.com/x",
        "ftp://example.com/x",
        "zip://a::file:///etc",
        "memory://x::memory://y",
        "simplecache::s3://bucket/x",
        "github://org:repo@/",
        "data://text/plain,x",
        "local:///etc",
        "MEMORY://bucket",
        "file://elsewhere/etc",
        "file://",
        "s3://",
        "memory:///",
        "/etc/passwd",
        "s3:/bucket",
        "",
    ],
)
def test_other_urls_are_refused(url):
    with pytest.raises(InvalidRequestError) as caught:
        place_of(url)
    assert caught.value.code == "source.invalid"


def test_a_store_whose_library_is_missing_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InvalidRequestError) as caught:
        place_of("s3://bucket/x")
    assert caught.value.code == "source.invalid"
    assert "library" in caught.value.detail


def test_what_leaves_this_machine():
    assert is_url("s3://x")
    assert not is_url("/a/b")
    assert is_remote("s3://x/y")
    assert not is_remote("memory://x")
    assert not is_remote("file:///x")


def test_objects_have_no_owners(store):
    put(store, **{"a.txt": b"1"})
    [item] = folder(granted=())
    assert refusal(item).code == "source.invalid"


PROGRAM = """
import socket, sys
import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from ragward.adapters.egress import Egress
from ragward.adapters.source_items import NO_NAMES
from ragward.adapters.source_url import url_items
from ragward.domain.errors import RagwardError

class Store(MemoryFileSystem):
    protocol = "s3"
    def find(self, path, **_):
        if "listed" not in path:
            self.reach()
        return [f"{path}/a.txt"]
    def open(self, *_args, **_given):
        self.reach()
    def reach(self):
        try:
            socket.create_connection(("bucket.s3.example", 443), 1)
        except OSError as error:  # as libraries do
            raise ValueError("cannot connect") from error

fsspec.register_implementation("s3", Store, clobber=True)
Egress(sys.argv[1:]).install()
for url in ("s3://bucket", "s3://listed"):
    try:
        items = url_items(url, "acme", corpus="hr", granted=["group:acme/all"], rules=NO_NAMES)
        items[0].load()
    except RagwardError as error:
        print(error.code)
"""


def test_a_store_is_reached_only_where_the_settings_say():
    def codes(*hosts):
        command = [sys.executable, "-c", PROGRAM, *hosts]
        environment = {**os.environ}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment, check=True
        )
        return done.stdout.split()

    assert codes() == ["unavailable.egress", "unavailable.egress"]
    # Named, it is looked up: there is no such host, which is another error.
    assert codes("bucket.s3.example") == ["source.invalid", "document.unreadable"]


def test_an_unreachable_host_interrupts_rather_than_fails_file_by_file():
    assert not issubclass(UnavailableError, InvalidRequestError)


# Manifests. ---------------------------------------------------------------------------------------------------------


def manifest_items(store, *lines, rules=NO_NAMES):
    data = b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines)
    store.pipe({"/bucket/m.jsonl": data, "/bucket/a.txt": b"text"})
    return url_manifest_items("memory://bucket/m.jsonl", "acme", rules)


def test_lines_that_are_no_text_or_have_no_end_are_lines_that_fail(store):
    long = b'{"uri": "' + b"x" * (3 * MAX_LINE)
    items = manifest_items(
        store, LINE, b"\xff\xfe\x00", long, b"\0" * 100, LINE | {"corpus": "eng"}
    )
    assert [item.source for item in items] == ["a.txt", "line 2", "line 3", "line 4", "a.txt"]
    assert [refusal(item).code for item in items[1:4]] == ["manifest.invalid"] * 3
    assert items[4].load().data == b"text"


def test_access_lists_of_the_source(store):
    def lookup(name: SourceName):
        return {"ann@acme.example": ["user:acme/ann"]}.get(name.text, ())

    plain = {key: LINE[key] for key in ("uri", "corpus")}
    rules = AccessRules(lookup=lookup, everybody="group:acme/all")
    acls = [
        ["ann@acme.example", "zoe@acme.example"],
        {"external_user_emails": ["ann@acme.example"], "is_public": True},
        {"authorized_identities": ["ann@acme.example"]},
        {"nonsense": 1},
        None,
        "everybody",
    ]
    for number, acl in enumerate(acls):
        (item,) = manifest_items(store, plain | {"acl": acl}, rules=rules)
        document = item.load()
        granted = [{"user:acme/ann"}, {"user:acme/ann", "group:acme/all"}, {"user:acme/ann"}]
        assert document.label.granted == (granted[number] if number < 3 else set())
        assert bool(document.notes) == (number not in (1, 2))
    (item,) = manifest_items(store, plain | {"acl": acls[0]})
    assert item.load().label.granted == frozenset()  # without a directory, names are nobody's


def test_two_access_lists_are_one_too_many(store):
    for field in ("granted", "denied"):
        line = {"uri": "a.txt", "corpus": "hr", field: [], "acl": []}
        (item,) = manifest_items(store, line)
        assert refusal(item).code == "manifest.invalid"
