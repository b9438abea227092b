"""Reading documents on Dask workers: other processes of this machine, or of others that are reached by TLS.

What goes through the scheduler are places and digests, never text, labels or keys. What comes back is encrypted for the job (HPKE,
RFC 9180, with a key that lives as long as the job's process), so neither scheduler nor a worker's spill files hold text. A worker
that dies loses nothing: Dask gives what it had to another. There is one writer, the process that asked.
"""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from ragward.domain.errors import (
    CODES,
    ConfigurationError,
    IntegrityError,
    InvalidRequestError,
    RagwardError,
    UnavailableError,
    error_of,
)
from ragward.domain.reading import ReadDocument, ReadingTask

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_INFO: Final = b"ragward.reading.v1"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
#: A worker that dies of a document takes the document to others; after so many it is the document's fault.
_ALLOWED_DEATHS: Final = 2
_CONNECT_SECONDS: Final = 10


class _Reply(msgspec.Struct):
    """What a worker says of a task; with a code, why it could not."""

    read: ReadDocument | None = None
    code: str = ""
    detail: str = ""


def sealed_reply(task: ReadingTask, read: Callable[[], ReadDocument]) -> bytes:
    """What a worker sends back: the document, or the code of what is wrong with it, for the job's eyes only."""
    try:
        reply = _Reply(read=read())
    except RagwardError as error:
        reply = _Reply(code=error.code, detail=error.detail)
    public = X25519PublicKey.from_public_bytes(task.public)
    return _SUITE.encrypt(msgspec.msgpack.encode(reply), public, _INFO)


class DaskReader:
    """`ports.Reader` on a cluster. Not for forks; one job at a time."""

    def __init__(self, client: Any, read: Callable[[ReadingTask], bytes], ahead: int) -> None:
        self._client, self._read, self.ahead = client, read, ahead
        self._private = X25519PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()

    def submit(self, task: ReadingTask) -> Callable[[], ReadDocument]:
        """Has it read; the result is waited for when it is asked for, once. That raises `document.*`, `unavailable.workers`."""
        asked = dataclasses.replace(task, public=self._public)
        try:
            future = self._client.submit(self._read, asked, pure=False, retries=0)
        except Exception as error:
            raise UnavailableError(code="unavailable.workers") from error
        return lambda: self._received(future)

    def _received(self, future: Any) -> ReadDocument:
        killed: Any = importlib.import_module("distributed").scheduler.KilledWorker
        try:
            data = future.result()
        except killed:
            raise InvalidRequestError(code="document.loader") from None
        except Exception as error:
            raise UnavailableError(code="unavailable.workers") from error
        finally:
            with suppress(Exception):
                future.release()
        return self._opened(data)

    def _opened(self, data: bytes) -> ReadDocument:
        try:
            plain = _SUITE.decrypt(data, self._private, _INFO)
            reply = msgspec.msgpack.decode(plain, type=_Reply)
        except (InvalidTag, ValueError, msgspec.MsgspecError):
            raise IntegrityError(code="integrity.envelope") from None
        if reply.code in CODES:
            raise error_of(reply.code, reply.detail)
        if reply.read is None:
            raise IntegrityError(code="integrity.envelope")
        return reply.read


def connected(
    scheduler: str | None,
    *,
    workers: int,
    tls: tuple[Path, Path, Path] | None,
    setup: Callable[[], None],
    read: Callable[[ReadingTask], bytes],
    stack: ExitStack,
) -> DaskReader:
    """A reader on the cluster of a scheduler or, without one, on `workers` processes of this machine; `setup` runs in each worker
    before anything else. Raises `config.invalid`, `unavailable.workers`."""
    try:
        dask: Any = importlib.import_module("dask")
        distributed: Any = importlib.import_module("distributed")  # it has no types
    except ImportError:
        raise ConfigurationError("the Dask engine needs ragward[dask]") from None
    dask.config.set({
        "distributed.scheduler.allowed-failures": _ALLOWED_DEATHS,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.diagnostics.nvml": False,
        "distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s",
    })  # fmt: skip
    security = None
    if tls is not None:
        authority, certificate, key = (str(path) for path in tls)
        security = distributed.Security(
            tls_ca_file=authority,
            tls_client_cert=certificate,
            tls_client_key=key,
            require_encryption=True,
        )
    try:
        if scheduler is None:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=50,
            )
            stack.callback(cluster.close)
            client = distributed.Client(cluster)
        else:
            require_safe(scheduler, encrypted=tls is not None)
            client = distributed.Client(scheduler, security=security, timeout=_CONNECT_SECONDS)
        stack.callback(client.close)
        client.register_plugin(_setup(setup), name="ragward")
    except RagwardError:
        raise
    except Exception as error:
        raise UnavailableError(code="unavailable.workers") from error
    return DaskReader(client, read, ahead=4 * max(workers, len(client.nthreads())))


def require_safe(scheduler: str, *, encrypted: bool) -> None:
    """Raises `config.invalid` for a scheduler beyond this machine without TLS."""
    parts = urlsplit(scheduler)
    if parts.scheme == "tls" and encrypted and parts.hostname:
        return
    if parts.scheme == "tcp" and parts.hostname in _LOOPBACK:
        return
    raise ConfigurationError(
        "beyond this machine a scheduler is tls:, with dask_tls_ca, dask_tls_cert and dask_tls_key"
    )


def _setup(setup: Callable[[], None]) -> Any:
    plugin: Any = importlib.import_module("distributed").WorkerPlugin

    class _Setup(plugin):  # type: ignore[misc]  # distributed has no types
        def setup(self, worker: Any) -> None:  # noqa: ARG002 - Dask's signature
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
            os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
            setup()

    return _Setup()
