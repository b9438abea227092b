"""Exports of the audit log, opened from the settings, and kept running beside a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

from ragward.adapters.egress import Egress
from ragward.adapters.export_cursor import FileCursor, cursor_path, next_index
from ragward.adapters.export_sinks import SinkOptions, sink_of
from ragward.domain.errors import RagwardError
from ragward.domain.ocsf import LineMaker
from ragward.domain.ocsf_names import names_of
from ragward.exporting import BackgroundExport, Export, ExportPorts
from ragward.opening import open_audit_reader
from ragward.ports import Keyring
from ragward.settings import Settings, outgoing_hosts


def open_export(settings: Settings, keyring: Keyring, uri: str) -> Export:
    """One export of the audit log, beside whoever writes it. Raises `config.invalid`, `config.index_owned`,
    `unavailable.egress`."""
    token, key = settings.audit_export_token, keyring.mac_key("export")
    options = SinkOptions(
        admits=Egress(outgoing_hosts(settings)).admits_name,
        token=token.get_secret_value() if token else None,
        authority=settings.audit_export_ca,
    )
    sink = sink_of(uri, options)
    maker = LineMaker(
        origin=settings.audit_origin,
        version=version("ragward"),
        names=names_of(key, tagged=settings.audit_export_names == "tagged"),
    )
    cursor = FileCursor(settings.export_places, uri, key)
    try:
        log = open_audit_reader(settings, keyring)
    except RagwardError:
        cursor.close()
        raise
    name = uri.partition("?")[0]
    return Export(ExportPorts(name=name, log=log, sink=sink, cursor=cursor, maker=maker))


@contextmanager
def exporting(settings: Settings, keyring: Keyring) -> Iterator[None]:
    """Sends the log to every receiver of the settings, until the end of the block. Raises as `open_export`."""
    with ExitStack() as stack:
        for uri in settings.audit_export:
            running = BackgroundExport(open_export(settings, keyring, uri))
            stack.callback(running.close)
        yield


def export_lags(settings: Settings, size: int) -> Mapping[str, int]:
    """How many of the log's `size` entries each receiver has not had, by the receiver's place in the settings."""
    return {
        f"{position}-{uri.partition(':')[0]}": max(
            0, size - next_index(cursor_path(settings.export_places, uri))
        )
        for position, uri in enumerate(settings.audit_export)
    }
