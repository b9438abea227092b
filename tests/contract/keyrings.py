"""What tests of keyrings say to them."""

from __future__ import annotations

import dataclasses
import os
import uuid

from ragward.domain.access import Action
from ragward.domain.envelope import WrappingContext
from ragward.domain.keys import Reading, WrappedDEK
from ragward.domain.labels import Classification
from tests import company

RESTRICTED = Classification.RESTRICTED


def reading(name="ann", *, epoch=1, action=Action.CORPUS_RETRIEVE):
    return Reading(subject=company.subject(name), epoch=epoch, action=action)


def context(keyring, *, tenant="acme", level=RESTRICTED, **changes):
    """Somewhere under the active KEK."""
    kek_id, version = keyring.active_kek(tenant, level)
    made = WrappingContext(
        tenant=tenant,
        kek_id=kek_id,
        kek_version=version,
        dek_id=str(uuid.uuid4()),
        document_id="doc",
        document_version=1,
        label_digest=bytes(32),
    )
    return dataclasses.replace(made, **changes)


def wrapped(keyring, **given):
    """(DEK, the same wrapped)."""
    dek, where = os.urandom(32), context(keyring, **given)
    return dek, WrappedDEK(wrapped=keyring.wrap(dek, where), context=where)


def opened(keyring, *items, by="ann", **given):
    """Per item the DEK, or the code of why not."""
    out = keyring.unwrap_all(items, reading(by, **given))
    return [value if isinstance(value, bytes) else value.code for value in out]


def moved(item, **changes):
    """The wrapped DEK, claimed to be somewhere else."""
    return WrappedDEK(wrapped=item.wrapped, context=dataclasses.replace(item.context, **changes))
