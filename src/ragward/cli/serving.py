"""`ragward serve`: one process, or one that owns the installation and several that answer.

The owner holds the embedded index, the log's writer and the limits, and shares them over a Unix socket; workers take
requests from one listening socket. A worker that dies is started again; workers end with their owner.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ragward.bootstrap import Ragward
from ragward.exports import exporting
from ragward.opening import (
    Doubles,
    hold_to_allowed_hosts,
    open_broker,
    open_keyring,
    protect_process_memory,
    read_passphrase,
)
from ragward.settings import Settings

_RESTART_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 15.0


def serve(settings: Settings, settings_file: Path | None, workers: int) -> None:
    """Serves until interrupted."""
    protect_process_memory()
    if workers == 1:
        with Ragward.open(settings) as ragward:
            serve_api(ragward)
        return
    passphrase = read_passphrase(settings) if settings.needs_passphrase else ""
    keyring = open_keyring(settings, passphrase)
    with (
        Ragward.open(settings, Doubles(keyring=keyring)) as ragward,
        _bound(settings) as listener,
        exporting(settings, keyring),
    ):
        ragward.share()
        _Workers(listener, passphrase, settings_file, workers).run()


def serve_keys(settings: Settings, directory: Path) -> None:
    """`ragward keys broker`: holds the KEKs and decides, until interrupted."""
    protect_process_memory()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with open_broker(settings, directory):
        print(f"key broker: sockets in {directory}", file=sys.stderr, flush=True)  # noqa: T201 - to who started it
        stop.wait()


def serve_api(ragward: Ragward) -> None:
    """Serves an open installation in this process until it is interrupted; other processes may use it meanwhile."""
    ragward.share()
    with (
        _bound(ragward.settings) as listener,
        exporting(ragward.settings, ragward.keyring),
    ):
        _run_uvicorn(ragward, listener)


def serve_as_worker(settings: Settings, descriptor: int) -> None:
    """One of several: answers on a socket that it was given, until its owner is gone."""
    protect_process_memory()
    with Ragward.open(settings) as ragward, socket.socket(fileno=descriptor) as listener:
        threading.Thread(target=_end_with_owner, daemon=True).start()
        _run_uvicorn(ragward, listener, console=False)


def _run_uvicorn(ragward: Ragward, listener: socket.socket, *, console: bool = True) -> None:
    import uvicorn

    from ragward.api import logs
    from ragward.api.app import create_app

    hold_to_allowed_hosts(ragward.settings)
    logs.configure(ragward.settings.log_format)
    app = create_app(ragward, console=console)
    leave_alone_what_stays()
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # it would believe X-Forwarded-For of any process of this machine
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])


def leave_alone_what_stays() -> None:
    """Keeps the collector of garbage from going through what there is by now, again and again: a request would wait for it."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off on what is accepted; without, each answer waits 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
        yield listener


def _end_with_owner() -> None:
    """Standard input is a pipe that nobody writes to: it ends when the owner does."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass(slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    alive: int  # our end of the pipe that tells it we are there

    def end(self) -> None:
        """Asks it to finish what it is answering."""
        os.close(self.alive)


class _Workers:
    """The worker processes, kept at their number until a signal ends them."""

    def __init__(
        self, listener: socket.socket, passphrase: str, settings_file: Path | None, count: int
    ) -> None:
        self._listener, self._passphrase, self._file = listener, passphrase, settings_file
        self._count = count
        self._stop = threading.Event()

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        workers = [self._started() for _ in range(self._count)]
        while not self._stop.wait(_RESTART_SECONDS):
            for position, worker in enumerate(workers):
                if worker.process.poll() is not None:
                    worker.end()
                    workers[position] = self._started()
        for worker in workers:
            worker.end()
        give_up = time.monotonic() + _STOP_SECONDS
        for worker in workers:
            try:
                worker.process.wait(timeout=max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def _started(self) -> _Worker:
        """A worker with the listening socket, the passphrase in a pipe, and a pipe that ends when we do."""
        secret, give = os.pipe()
        theirs, alive = os.pipe()
        os.write(give, self._passphrase.encode())
        os.close(give)
        descriptor = self._listener.fileno()
        chosen = ["--settings", str(self._file)] if self._file else []
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "ragward", *chosen, "serve", "--worker", str(descriptor)],
            stdin=theirs,
            pass_fds=(descriptor, secret),
            env=os.environ | {"RAGWARD_PASSPHRASE": f"fd:{secret}"},
            start_new_session=True,  # an interrupt at the terminal comes to the owner, who tells them
        )
        os.close(secret)
        os.close(theirs)
        return _Worker(process, alive)
