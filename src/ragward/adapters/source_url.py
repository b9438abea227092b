"""Documents at an fsspec URL: `file://`, `memory://`, and object stores whose library is installed (`s3://`, `gs://`, `abfs://`).

Where such a library connects to is held by `adapters.egress`: nothing but what the settings name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from ragward.adapters.source_directory import LocalDirectory
from ragward.adapters.source_items import (
    MAX_FILE,
    AccessRules,
    Found,
    Place,
    cut_lines,
    folder_items_of,
    manifest_items_of,
)
from ragward.domain.errors import InvalidRequestError, RagwardError, UnavailableError
from ragward.domain.jobs import JobItem
from ragward.domain.source_acl import PosixStep

#: Scheme -> whether it leaves this machine. Others, and URLs in URLs (`zip::...`), are refused.
_SCHEMES: Final = {
    "file": False,
    "memory": False,
    "s3": True,
    "gs": True,
    "gcs": True,
    "abfs": True,
    "abfss": True,
    "az": True,
}
_MAX_FILES: Final = 1_000_000


def is_url(text: str) -> bool:
    """Whether a source is given as a URL."""
    return "://" in text


def is_remote(url: str) -> bool:
    """Whether reading it leaves this machine. Raises `source.invalid`."""
    return _SCHEMES[_scheme(url)]


def url_manifest_items(url: str, tenant: str, rules: AccessRules) -> list[JobItem]:
    """What the manifest at a URL lists; its lines name what lies beside it. Raises `source.invalid`, `unavailable.egress`."""
    folder, _, name = url.rpartition("/")
    return manifest_items_of(place_of(folder), name, tenant, rules)


def url_items(
    url: str, tenant: str, *, corpus: str, granted: Collection[str], rules: AccessRules
) -> list[JobItem]:
    """Every file below a URL. Raises `source.invalid`, `unavailable.egress`."""
    return folder_items_of(place_of(url), tenant, corpus=corpus, granted=granted, rules=rules)


def place_of(url: str) -> Place:
    """The place a URL names. Raises `source.invalid`."""
    scheme = _scheme(url)
    if scheme == "file":
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise InvalidRequestError("file: URLs name this machine", code="source.invalid")
        return LocalDirectory(Path(unquote(parts.path)))
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(url)
    except ImportError:
        raise InvalidRequestError(
            f"{scheme}: needs its fsspec library installed", code="source.invalid"
        ) from None
    except Exception as error:  # noqa: BLE001 - each library fails in its own way
        raise _refused(error, "source.invalid") from None
    return RemotePlace(system, root, url)


class RemotePlace:
    """`source_items.Place` in a store that fsspec reaches."""

    def __init__(self, system: Any, root: str, location: str) -> None:
        self._system, self._root, self.location = system, root.rstrip("/"), location

    def names(self) -> Iterable[Found]:
        """By path. Raises `source.invalid`."""
        try:
            paths = _paths(self._system, self._root)
        except Exception as error:  # noqa: BLE001 - as above
            raise _refused(error, "source.invalid") from None
        if len(paths) > _MAX_FILES:
            raise InvalidRequestError("too many files", code="source.invalid")
        names = sorted(str(path).removeprefix(f"{self._root}/") for path in paths)
        return [_found(name) for name in names if not _is_dotted(name)]

    def lines(self, name: str) -> Iterator[bytes]:
        """Raises `source.invalid`."""
        self.require_inside(name)
        try:
            with self._system.open(f"{self._root}/{name}", "rb") as file:
                yield from cut_lines(file.readline)
        except Exception as error:  # noqa: BLE001 - as above
            raise _refused(error, "source.invalid") from None

    def require_inside(self, name: str) -> None:
        """Raises `manifest.invalid`."""
        if not _is_plain(name):
            raise InvalidRequestError(
                "uri leaves the manifest's directory", code="manifest.invalid"
            )

    def uri(self, name: str) -> str:
        """As its store names it."""
        return str(self._system.unstrip_protocol(f"{self._root}/{quote(name)}"))

    def read(self, name: str) -> bytes:
        """Raises `document.*`, `unavailable.egress`."""
        try:
            with self._system.open(f"{self._root}/{name}", "rb") as file:
                if (getattr(file, "size", None) or 0) > MAX_FILE:
                    raise InvalidRequestError(code="document.too_large")
                data = bytes(file.read(MAX_FILE + 1))
        except RagwardError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise _refused(error, "document.unreadable") from None
        if len(data) > MAX_FILE:
            raise InvalidRequestError(code="document.too_large")
        return data

    def read_owned(self, name: str) -> tuple[bytes, list[PosixStep]]:  # noqa: ARG002 - whatever it is called
        """Raises `source.invalid`: an object has no owner that this machine knows."""
        raise InvalidRequestError("only local files have owners and modes", code="source.invalid")

    def owned(self, name: str) -> list[PosixStep]:
        """Raises `source.invalid`, for the same reason."""
        return self.read_owned(name)[1]


def _paths(system: Any, root: str) -> list[str]:
    """Every file below. fsspec's own `find` leaves out folders that it cannot list, whatever it is told; so where a library has
    none of its own, which fails, each folder is listed here."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    kind = type(system)
    if isinstance(system, AsyncFileSystem):
        leaves_out = kind._find is AsyncFileSystem._find
    else:
        leaves_out = getattr(kind, "find", None) is AbstractFileSystem.find
    if not leaves_out:
        return list(system.find(root))
    found, folders, seen = [], [root], {root}
    while folders:
        for entry in system.ls(folders.pop(), detail=True):
            name = str(entry["name"]).rstrip("/")
            if entry["type"] != "directory":
                found.append(name)
            elif name not in seen:
                seen.add(name)
                folders.append(name)
    return found


def _scheme(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or "::" in url or scheme not in _SCHEMES or not rest.strip("/"):
        raise InvalidRequestError(
            f"a URL is one of {', '.join(_SCHEMES)}, and not in another", code="source.invalid"
        )
    return scheme


def _found(name: str) -> Found:
    error = None if _is_plain(name) else InvalidRequestError(code="document.link")
    return Found(name if name.isprintable() else ascii(name), error)


def _is_plain(name: str) -> bool:
    return name.isprintable() and not {"", ".", ".."} & set(name.split("/"))


def _is_dotted(name: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def _refused(error: BaseException, code: str) -> RagwardError:
    """Ours, where that is what it came from: a host that may not be reached is not a file that cannot be read."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, UnavailableError):
            return at
        at = at.__cause__ or at.__context__
    if isinstance(error, RagwardError):
        return error
    return InvalidRequestError("it cannot be reached or read", code=code)
