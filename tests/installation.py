"""A whole installation for tests: real catalog, index, keys, cipher, log and PDP; fakes where real parts load for seconds."""

from __future__ import annotations

from pathlib import Path

from ragward.adapters.index_qdrant import QdrantChunkIndex
from ragward.bootstrap import Ragward
from ragward.domain.access import Credentials
from ragward.installation import Policy, initialise
from ragward.opening import Doubles
from ragward.settings import Settings
from tests import company
from tests.fakes.chunker_semchunk import FakeChunker
from tests.fakes.embedder_sentence_transformers import FakeEmbedder
from tests.fakes.extractor_process import FakeExtractor
from tests.fakes.finder_presidio import FakeFinder
from tests.fakes.identity_jwt import FakeIdentityVerifier
from tests.fakes.limiter_memory import FakeLimiter
from tests.fakes.watch import FakeWatch

PASSPHRASE = "correct horse battery staple"


def settings_in(directory: Path) -> Settings:
    """Settings of an installation below `directory`."""
    keys = directory / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = keys / "passphrase"
    if not passphrase.exists():
        passphrase.write_text(PASSPHRASE)
        passphrase.chmod(0o400)
    return Settings.load(
        data_dir=directory / "data",
        keyring=keys / "keyring.json",
        passphrase=f"file:{passphrase}",
        development_issuer=directory / "issuer",
        development_tenants=(company.TENANT,),
    )


def initialised(directory: Path) -> Settings:
    """A new installation with the test company's policy."""
    settings = settings_in(directory)
    initialise(
        settings,
        tenant=company.TENANT,
        administrator="user:acme/root",
        policy=Policy(rows=company.ROWS, memberships=company.MEMBERSHIPS),
    )
    return settings


def doubles(**given) -> Doubles:
    """Fakes for what loads slowly; the rest is real."""
    parts = {
        "embedder": FakeEmbedder(),
        "chunker": FakeChunker(),
        "finder": FakeFinder(),
        "extractor": FakeExtractor(),
        "identity": FakeIdentityVerifier(),
        "limiter": FakeLimiter(),
        "clock": company.SetClock(),
        "watch": FakeWatch(),
    }
    return Doubles(**(parts | given))


def opened(settings: Settings, **given) -> Ragward:
    """The installation, open."""
    return Ragward.open(settings, doubles(**given))


def qdrant_client_index(**given) -> QdrantChunkIndex:
    """The other backend, in its local mode."""
    return QdrantChunkIndex.local(
        dimension=FakeEmbedder.dimension, model_digest=FakeEmbedder.model_digest, **given
    )


def asked_by(name: str) -> Credentials:
    """What FakeIdentityVerifier takes."""
    return Credentials(untrusted_authorization=name)
