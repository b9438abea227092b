"""The administration key that policy roots are signed with, and the newest root that this machine has seen.

The private key is a file outside the data directory; a process that may not read it writes no policy. What was seen lies
outside the data directory, too: a database put back to yesterday, with yesterday's root, is older than that.
"""

from __future__ import annotations

import base64
import fcntl
import functools
import hashlib
import logging
import os
import secrets
import tempfile
from pathlib import Path
from typing import Final, Self

from ragward.adapters.notes_ed25519 import verify_signature
from ragward.adapters.signatures_ed25519 import Ed25519Signer
from ragward.domain.checkpoints import LogKey, signed_note
from ragward.domain.errors import ConfigurationError, InvalidRequestError, UnavailableError
from ragward.domain.policy_roots import KEY_NAME, PolicyRoot, opened_root

_SEED_BYTES: Final = 32
_PATHS: Final = 1024
_LOGGER: Final = logging.getLogger(__name__)


def create_policy_key(path: Path) -> None:
    """A new private key at `path`, its public key beside it; what is there stays. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() or public_path(path).exists():
        return
    seed = secrets.token_bytes(_SEED_BYTES)
    public = LogKey(name=KEY_NAME, public=Ed25519Signer(seed).public_key)
    for where, text, mode in (
        (path, base64.b64encode(seed).decode(), 0o400),
        (public_path(path), public.text(), 0o444),
    ):
        descriptor = os.open(where, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")


def public_path(path: Path) -> Path:
    """Where the public key of a private one lies."""
    return path.with_suffix(".pub")


class PolicyRootKeeper:
    """Verifies roots by the public key; signs them where it has the private one. Thread-safe."""

    def __init__(self, key: LogKey, seed: bytes | None, seen: Path, model: str) -> None:
        self._key, self._seen, self._model = key, seen, model
        self._signer = None if seed is None else Ed25519Signer(seed)
        self._read: dict[str, tuple[tuple[int, int, int], PolicyRoot]] = {}
        self._path = functools.lru_cache(maxsize=_PATHS)(self._place)

    @classmethod
    def open(cls, path: Path, *, seen: Path, model_text: str) -> Self:
        """With the private key where this process may read it. Raises `config.policy_key`."""
        model = hashlib.sha256(model_text.encode()).hexdigest()
        try:
            key = LogKey.parse(public_path(path).read_text(encoding="ascii"))
        except (OSError, ValueError, InvalidRequestError):
            raise ConfigurationError(code="config.policy_key") from None
        seed = _seed(path)
        if seed is not None and Ed25519Signer(seed).public_key != key.public:
            raise ConfigurationError(
                "the administration key and its public key are not a pair", code="config.policy_key"
            )
        return cls(key, seed, seen, model)

    @property
    def key(self) -> LogKey:
        """Whose signature roots carry."""
        return self._key

    @property
    def model(self) -> str:
        return self._model

    @property
    def may_sign(self) -> bool:
        """Whether the private key is here."""
        return self._signer is not None

    def opened(self, note: str, tenant: str) -> PolicyRoot:
        return opened_root(note, tenant, self._key, verify_signature)

    def require_key(self) -> None:
        if self._signer is None:
            raise UnavailableError(code="unavailable.policy_key")

    def sign(self, root: PolicyRoot) -> str:
        if self._signer is None:
            raise UnavailableError(code="unavailable.policy_key")
        text = root.text()
        return signed_note(text, self._key, self._signer.sign(text.encode()))

    def newest(self, tenant: str) -> PolicyRoot | None:
        """One `stat` while nothing was written. Raises `integrity.policy_root` for a file that no key of ours signed."""
        path = self._path(tenant)
        try:
            found = os.stat(path)
            mark = (found.st_mtime_ns, found.st_ino, found.st_size)
            known = self._read.get(tenant)
            if known is None or known[0] != mark:
                note = Path(path).read_bytes().decode(errors="replace")
                known = self._read[tenant] = (mark, self.opened(note, tenant))
        except FileNotFoundError:
            return None
        return known[1]

    def keep(self, tenant: str, note: str) -> None:
        """A directory that cannot be written is logged: the database has the root already."""
        root = self.opened(note, tenant)
        try:
            before = self.newest(tenant)
            if before is None or before.serial < root.serial:
                self._replace(tenant, note, root)
        except OSError:
            _LOGGER.exception("the newest policy root cannot be kept outside the database")

    def forget(self) -> None:
        """Everything that was seen, for an installation that is created anew in an old one's place."""
        for path in self._seen.glob("*.root"):
            path.unlink()

    def _replace(self, tenant: str, note: str, root: PolicyRoot) -> None:
        self._seen.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._seen / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.newest(tenant)
            if before is not None and before.serial >= root.serial:
                return  # another process was quicker
            with tempfile.NamedTemporaryFile(dir=self._seen, delete=False) as file:
                file.write(note.encode())
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(self._path(tenant))
        finally:
            os.close(lock)

    def _place(self, tenant: str) -> str:
        name = hashlib.sha256(tenant.encode(errors="replace")).hexdigest()[:32]
        return str(self._seen / f"{name}.root")


def _seed(path: Path) -> bytes | None:
    """The private key, where it is and may be read."""
    try:
        text = path.read_text(encoding="ascii")
    except (FileNotFoundError, PermissionError):
        return None
    try:
        seed = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise ConfigurationError("not an administration key", code="config.policy_key")
    return seed
