"""T24: kill -9 in the middle of a rotation, again and again: it ends complete, and every DEK opens. 100,000 DEKs and 10 kills in `make prove`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import insert

from ragward.adapters.catalog_sql.labels import intern_label
from ragward.adapters.catalog_sql.schema import documents, versions
from ragward.domain.envelope import WrappingContext
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.labels import AccessLabel, Classification
from tests import company
from tests.conftest import PROVE
from tests.installation import initialised, opened, settings_in

DEKS, KILLS = (100_000, 10) if PROVE else (6_000, 2)
PAUSE = "0" if PROVE else "0.2"
LEVEL = Classification.CONFIDENTIAL
LABEL = AccessLabel(tenant="acme", corpus="hr", classification=LEVEL)
STEWARD = company.subject("steward")


def fill(ragward):
    """Documents with keys and without content; returns the DEKs by document."""
    keyring, deks = ragward.keyring, {}
    kek_id, version = keyring.active_kek("acme", LEVEL)
    rows = []
    for n in range(DEKS):
        context = WrappingContext(
            tenant="acme",
            kek_id=kek_id,
            kek_version=version,
            dek_id=str(uuid.UUID(int=n)),
            document_id=str(uuid.UUID(int=n)),
            document_version=1,
            label_digest=LABEL.digest(),
        )
        dek = deks[context.document_id] = os.urandom(32)
        rows.append((context, keyring.wrap(dek, context)))
    with ragward.catalog._database.write("acme") as connection:
        label_id = intern_label(connection, LABEL)
        connection.execute(
            insert(documents),
            [
                {
                    "document_id": c.document_id,
                    "tenant": "acme",
                    "corpus": "hr",
                    "source": c.document_id,
                    "current_version": 1,
                }
                for c, _ in rows
            ],
        )
        connection.execute(
            insert(versions), [_version(context, wrapped, label_id) for context, wrapped in rows]
        )
    return deks


def _version(context, wrapped, label_id):
    empty = dict.fromkeys(("title", "media_type", "model_digest", "pending", "earlier_keks"), "")
    return empty | {
        "document_id": context.document_id,
        "version": 1,
        "tenant": "acme",
        "state": "active",
        "source_digest": b"",
        "label_id": label_id,
        "dek_id": context.dek_id,
        "kek_id": context.kek_id,
        "kek_version": context.kek_version,
        "wrapped_dek": wrapped,
        "attributes": "{}",
        "evidence": "[]",
        "chunk_count": 0,
        "created_at": 1,
    }


def unreadable(ragward, deks):
    """Documents whose key is not the one they began with."""
    wrong, after = [], ("", 0)
    ledger = ragward.rotation._ports.ledger
    kek_id = ragward.rotation.keys(STEWARD)[0].status.kek_id
    while batch := ledger.held_under("acme", kek_id, 10**6, after=after, limit=5000):
        after = (batch[-1].document_id, batch[-1].version)
        items = [WrappedDEK(wrapped=h.dek.wrapped, context=h.dek.context) for h in batch]
        given = ragward.keyring.unwrap_all(items, Reading(subject=STEWARD))
        for held, dek in zip(batch, given, strict=True):
            if deks.pop(held.document_id) != dek:
                wrong.append(held.document_id)
    return wrong + list(deks)


def rotating(home):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.rotation_driver", str(home), PAUSE],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout.readline() == "begin\n"
    return process


def killed(home):
    """What it said, ended after its first batch."""
    process = rotating(home)
    lines = [process.stdout.readline()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    rest = process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    assert not any("end" in line for line in rest), "it was done before it was killed"
    return [line for line in lines + rest if line.endswith("\n")]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="kills by /proc's system")
def test_a_rotation_that_is_killed_again_and_again_ends_complete(tmp_path, capsys):
    home = tmp_path / "home"
    with opened(initialised(home)) as ragward:
        deks = fill(ragward)
    rates = []
    for _ in range(KILLS):
        rates += rate(killed(home))
    process = rotating(home)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    lines = out.splitlines()
    assert lines[-1].split()[::2] == ["end", "0"]
    rates += rate(lines[:-1])
    with opened(settings_in(home)) as ragward:
        found = {
            r.status.version: (r.status.state.value, r.held)
            for r in ragward.rotation.report("acme")
        }
        assert found == {1: ("decrypt_only", 0), 2: ("active", DEKS)}
        assert unreadable(ragward, deks) == []
        assert ragward.degraded() == []
    if PROVE:
        with capsys.disabled():
            for wall, own in rates:
                print(
                    f"\n{DEKS} DEKs, {KILLS} kills: {wall:,.0f} rewraps/s, {own:,.0f} of its own time"
                )
        assert (
            max(wall for wall, _ in rates) >= 30_000
        )  # of a quiet machine: on a busy one it fails, and says what it reached


def rate(lines):
    """DEKs per second, and per second of processor time, from the first batch to the last, if there are several."""
    points = [tuple(map(float, line.split())) for line in lines]
    if len(points) < 3:
        return []
    (done, wall, own), (before, *from_) = points[-1], points[0]
    return [((done - before) / (wall - from_[0]), (done - before) / (own - from_[1]))]
