"""Where a chunk came from: the source's address, its bytes, and the version of everything that made the chunk of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from urllib.parse import urlsplit

from ragward.domain.errors import IntegrityError


class Tool(StrEnum):
    """What has a version: the fields of a toolchain."""

    LOADER = "loader"
    CHUNKER = "chunker"
    FINDER = "finder"
    SCREENER = "screener"
    RULES = "rules"
    CLASSIFIER = "classifier"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """The versions of what made a chunk; equal ones are one row. Empty means that there was none, or that it was not kept."""

    loader: str = ""
    chunker: str = ""
    finder: str = ""
    """of personal data"""
    screener: str = ""
    """the rule set that judged the chunk last"""
    rules: str = ""
    """a steward's classification rules"""
    classifier: str = ""
    """the tenant's trained one"""
    model: str = ""
    """the embedding model's digest"""

    def digest(self) -> bytes:
        """SHA-256 over all of them; stands in the log beside what they made."""
        parts = [f"{name}={value}" for name, value in sorted(asdict(self).items())]
        text = "".join(f"{len(part.encode())}:{part}" for part in parts)
        return hashlib.sha256(b"ragward.toolchain.v1\0" + text.encode()).digest()

    @classmethod
    def of(cls, values: Mapping[str, str], digest: bytes) -> Toolchain:
        """A stored one. Raises `integrity.envelope` when it is not what its digest says."""
        found = cls(**{each.name: values[each.name] for each in fields(cls)})
        if found.digest() != bytes(digest):
            raise IntegrityError("a toolchain row was edited")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a version was read from, and by what. It stays when the text is scanned, judged or encrypted anew."""

    uri: str = ""
    """The source's own address, without credentials; empty for what was handed over without one."""
    bytes_sha256: str = ""
    """Of the file as it was read, in hex."""
    loader: str = ""
    chunker: str = ""
    rules: str = ""
    classifier: str = ""

    def toolchain(self, *, finder: str, screener: str, model: str) -> Toolchain:
        """With what may change while the origin stays."""
        return Toolchain(
            loader=self.loader,
            chunker=self.chunker,
            finder=finder,
            screener=screener,
            rules=self.rules,
            classifier=self.classifier,
            model=model,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkLineage:
    """One chunk of a document's current version, as the catalog has it."""

    chunk_id: str
    ordinal: int
    verdict: str
    document_id: str
    version: int
    uri: str
    bytes_sha256: str
    job_id: str | None
    toolchain: Toolchain | None
    """None for what was stored before this was kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLineage:
    """A document's current version, with the toolchains of its chunks and how many chunks each made."""

    document_id: str
    version: int
    uri: str
    bytes_sha256: str
    job_id: str | None
    toolchains: tuple[tuple[Toolchain | None, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInUse:
    """A version of one tool: how many documents have chunks of it, and how many toolchains came before its first."""

    tool: Tool
    version: str
    first_used: int
    """Rises with every toolchain that is new to the tenant: what was used first is the oldest."""
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLineage:
    """What somebody is told of a chunk. The digest would confirm a guess at what is hidden from them, and the address tells
    of the machine it lies on: both are for stewards of the label."""

    chunk_id: str
    ordinal: int
    document_id: str
    version: int
    corpus: str
    source: str
    state: str
    media_type: str
    created_at: int
    tools: Mapping[str, str] = field(default_factory=dict)
    uri: str | None = None
    bytes_sha256: str | None = None
    job_id: str | None = None


def without_credentials(uri: str) -> str:
    """The address, without what of it lets somebody in: user, password, query, fragment."""
    parts = urlsplit(uri)
    if not parts.scheme:
        return uri
    _, _, host = parts.netloc.rpartition("@")
    user = parts.netloc.rpartition("@")[0]
    # In abfs://container@account the first part is a place, not a name; a password follows a colon.
    place = f"{user}@{host}" if user and ":" not in user and parts.scheme in _PLACES else host
    return parts._replace(netloc=place, query="", fragment="").geturl()


_PLACES = frozenset({"abfs", "abfss", "az"})
