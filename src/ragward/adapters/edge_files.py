"""The files of an embedded index: who owns them, what they were made for, and which shard directory counts."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Final

from ragward.domain.errors import ConfigurationError, UnavailableError

_FORMAT: Final = 2  # 1: points without words
_META: Final = "ragward-index.json"
_FIRST: Final = "shard"
_PURGE: Final = "purge-due"


class EdgeFiles:
    """One index directory, held by this process until `release`."""

    def __init__(self, path: Path, meta: dict[str, object], holder: int) -> None:
        self._path, self._meta, self._holder = path, meta, holder

    @classmethod
    def hold(cls, path: Path, *, dimension: int, model_digest: str) -> EdgeFiles:
        """The directory, made if missing; what an interrupted graph build left in it is removed, and so is what an older
        version filled (`IndexSync.adopt` fills it anew).

        Raises `config.index_owned`, `config.model_mismatch`, `config.newer_version`, `unavailable.index`.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = _lock(path)
        try:
            files = cls(path, _checked_meta(path, dimension, model_digest), holder)
        except BaseException:
            os.close(holder)
            raise
        for other in path.glob(f"{_FIRST}*"):
            if other != files.shard:
                shutil.rmtree(other)
        return files

    @property
    def shard(self) -> Path:
        """The shard directory that counts."""
        return self._path / str(self._meta.get("shard", _FIRST))

    def next_shard(self) -> Path:
        """A name for the shard that is to take its place; nothing is there yet."""
        number = int(self.shard.name.partition("-")[2] or 0) + 1
        following = self._path / f"{_FIRST}-{number}"
        shutil.rmtree(following, ignore_errors=True)
        return following

    def switch(self, shard: Path) -> None:
        """Makes another directory the one that counts; whole or not at all."""
        self._meta = {**self._meta, "shard": shard.name}
        _write(self._path / _META, self._meta)

    @property
    def purge_is_due(self) -> bool:
        """Whether the shard's files hold vectors that may not lie there; remembered over a kill."""
        return (self._path / _PURGE).exists()

    def owe_purge(self, owed: bool) -> None:
        """Sets down that a purge is due, or was done."""
        if owed:
            (self._path / _PURGE).touch(mode=0o600)
        else:
            (self._path / _PURGE).unlink(missing_ok=True)

    def release(self) -> None:
        """Lets another process own the index. Again is fine."""
        if self._holder >= 0:
            os.close(self._holder)
            self._holder = -1


def _lock(path: Path) -> int:
    """Ownership, which dies with this process."""
    descriptor = os.open(path / "owner.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise ConfigurationError(
            f"process {holder} owns this index; ask the running server, or stop it",
            code="config.index_owned",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def _checked_meta(path: Path, dimension: int, model_digest: str) -> dict[str, object]:
    """One model per index: vectors of two models are not comparable."""
    file = path / _META
    ours: dict[str, object] = {
        "format": _FORMAT,
        "engine": "qdrant-edge",
        "dimension": dimension,
        "model": model_digest,
    }
    if not file.exists():
        _write(file, ours)
        return ours
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        form = int(found["format"])
        name = str(found.get("shard", _FIRST))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnavailableError(
            "the index's description is damaged", code="unavailable.index"
        ) from None
    if form > _FORMAT:
        raise ConfigurationError(code="config.newer_version")
    if (found.get("model"), found.get("dimension")) != (model_digest, dimension):
        raise ConfigurationError(code="config.model_mismatch")
    if Path(name).name != name or not name.startswith(_FIRST):
        raise UnavailableError("the index's description is damaged", code="unavailable.index")
    if form < _FORMAT:
        for shard in path.glob(f"{_FIRST}*"):
            shutil.rmtree(shard)
        (path / _PURGE).unlink(missing_ok=True)
        _write(file, ours)
        return ours
    return dict(found)


def _write(file: Path, meta: dict[str, object]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(meta), encoding="utf-8")
    os.replace(draft, file)
