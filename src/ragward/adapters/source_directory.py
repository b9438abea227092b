"""Documents in a local directory. Nothing outside of it is ever read, whatever links lie in it or are put there meanwhile."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Final

from ragward.adapters.source_items import (
    MAX_FILE,
    NO_NAMES,
    AccessRules,
    Found,
    cut_lines,
    folder_items_of,
    manifest_items_of,
)
from ragward.domain.corpus import SourceDocument
from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.jobs import JobItem
from ragward.domain.labels import AccessLabel
from ragward.domain.source_acl import PosixStep

_ACL: Final = "system.posix_acl_access"


def manifest_items(manifest: Path, tenant: str, rules: AccessRules = NO_NAMES) -> list[JobItem]:
    """One item per line of a manifest; what its lines name lies in its directory."""
    place = LocalDirectory(manifest.parent)
    return manifest_items_of(place, manifest.name, tenant, rules)


def directory_items(
    directory: Path,
    tenant: str,
    *,
    corpus: str,
    granted: Collection[str],
    rules: AccessRules = NO_NAMES,
) -> list[JobItem]:
    """Every regular file below a directory; a link out of it is an item that fails."""
    place = LocalDirectory(directory)
    return folder_items_of(place, tenant, corpus=corpus, granted=granted, rules=rules)


def file_item(path: Path, label: AccessLabel) -> JobItem:
    """One file, by its path as it was given."""

    def load() -> SourceDocument:
        data = LocalDirectory(path.parent).read(path.name)
        return SourceDocument(
            source=path.as_posix(),
            filename=path.name,
            data=data,
            label=label,
            uri=path.absolute().as_uri(),
        )

    return JobItem(source=path.as_posix(), load=load, corpus=label.corpus)


def numbered(principals: Mapping[str, str]) -> dict[str, str]:
    """`uid:N` and `gid:N` -> principal, of a mapping that may also name `user:NAME` and `group:NAME` of this machine.

    Raises `config.invalid` for a name this machine does not know, and for two that are one number."""
    found: dict[str, str] = {}
    for key, principal in principals.items():
        number = _number(key)
        if found.setdefault(number, principal) != principal:
            raise ConfigurationError(
                f"posix_principals: {key} is {number}, which is mapped already"
            )
    return found


def _number(key: str) -> str:
    kind, _, name = key.partition(":")
    try:
        if kind == "user":
            return f"uid:{pwd.getpwnam(name).pw_uid}"
        if kind == "group":
            return f"gid:{grp.getgrnam(name).gr_gid}"
    except KeyError:
        raise ConfigurationError(f"posix_principals: this machine knows no {key}") from None
    return key


class LocalDirectory:
    """`source_items.Place` on this machine."""

    def __init__(self, directory: Path) -> None:
        self._root = directory.resolve()

    @property
    def location(self) -> str:
        """Its URL."""
        return self._root.as_uri()

    def names(self) -> Iterable[Found]:
        """By path; names that begin with a dot are left out, and links to what is listed by its own name."""
        found: list[Found] = []

        def unlisted(error: OSError) -> None:
            """What lies in a folder that cannot be listed is not known: it must not go missing without a word."""
            name = os.path.relpath(error.filename, self._root)
            found.append(Found(name, _unreadable(), unlisted=True))

        for folder, folders, files in os.walk(self._root, onerror=unlisted):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in [*files, *folders]:
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                try:
                    is_listed = path.is_symlink() or path.is_file()
                except OSError as error:  # a folder that can be listed, and not entered
                    unlisted(error)
                    continue
                if is_listed:
                    found += self._found(path)
        return sorted(found, key=lambda each: PurePosixPath(each.name))

    def lines(self, name: str) -> Iterator[bytes]:
        """Raises `source.invalid`."""
        try:
            with (self._root / name).open("rb") as file:
                yield from cut_lines(file.readline)
        except OSError:
            raise InvalidRequestError(
                "the manifest cannot be read", code="source.invalid"
            ) from None

    def require_inside(self, name: str) -> None:
        """Raises `manifest.invalid`."""
        if name.startswith("/") or "\0" in name or not self._resolved(name):
            raise InvalidRequestError(
                "uri leaves the manifest's directory", code="manifest.invalid"
            )

    def uri(self, name: str) -> str:
        """A `file:` address."""
        return (self._root / name).as_uri()

    def read(self, name: str) -> bytes:
        """A regular file's bytes; links and devices are not followed. Raises `document.*`."""
        return self.read_owned(name)[0]

    def read_owned(self, name: str) -> tuple[bytes, list[PosixStep]]:
        """With the owners and modes of the directory itself, of those below it on the way, and of the file that was read."""
        with ExitStack() as open_until_then:
            descriptor, steps = self._reached(name, open_until_then)
            return _bytes(descriptor), steps

    def owned(self, name: str) -> list[PosixStep]:
        """The owners and modes alone; nothing of the file is read."""
        with ExitStack() as open_until_then:
            return self._reached(name, open_until_then)[1]

    def _found(self, path: Path) -> list[Found]:
        name = path.relative_to(self._root).as_posix()
        if not path.is_symlink():
            return [Found(name)]
        if self._resolved(name) is not None:
            return []
        return [Found(name, InvalidRequestError(code="document.link"))]

    def _resolved(self, name: str) -> Path | None:
        """Where a name really leads, if that is inside."""
        try:
            path = (self._root / name).resolve()
        except (OSError, RuntimeError, ValueError):  # a loop of links
            return None
        return path if path.is_relative_to(self._root) else None

    def _reached(self, name: str, stack: ExitStack) -> tuple[int, list[PosixStep]]:
        """A descriptor, reached one step after the other without following links: there is no moment to put one in place."""
        parts = PurePosixPath(name).parts
        if not parts or {"/", ".."} & set(parts) or "\0" in name:
            raise InvalidRequestError(code="document.link")
        try:
            descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise _unreadable() from None
        stack.callback(os.close, descriptor)
        steps = [_step(descriptor, is_folder=True)]
        for depth, part in enumerate(parts, start=1):
            is_folder = depth < len(parts)
            descriptor = _opened(part, descriptor, is_folder=is_folder)
            stack.callback(os.close, descriptor)
            steps.append(_step(descriptor, is_folder=is_folder))
        return descriptor, steps


def _opened(name: str, folder: int, *, is_folder: bool) -> int:
    kind = os.O_DIRECTORY if is_folder else os.O_NONBLOCK
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=folder)
    except OSError:
        pass
    try:
        about = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        raise _unreadable() from None
    if stat.S_ISLNK(about.st_mode):
        raise InvalidRequestError(code="document.link")
    raise _unreadable()


def _bytes(descriptor: int) -> bytes:
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise InvalidRequestError("not a regular file", code="document.unreadable")
    if about.st_size > MAX_FILE:
        raise InvalidRequestError(code="document.too_large")
    try:
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(MAX_FILE + 1)
    except OSError:
        raise _unreadable() from None
    if len(data) > MAX_FILE:
        raise InvalidRequestError(code="document.too_large")
    return data


def _step(descriptor: int, *, is_folder: bool) -> PosixStep:
    about = os.fstat(descriptor)
    try:
        has_acl = _ACL in os.listxattr(descriptor)
    except OSError:  # this file system has none
        has_acl = False
    return PosixStep(
        uid=f"uid:{about.st_uid}",
        gid=f"gid:{about.st_gid}",
        mode=stat.S_IMODE(about.st_mode),
        is_directory=is_folder,
        has_acl=has_acl,
    )


def _unreadable() -> InvalidRequestError:
    return InvalidRequestError("the file cannot be opened", code="document.unreadable")
