"""A real installation filled with a world: catalog, keys, cipher, log, limits, policy and index as they are anywhere else.

Only the embedding model is left out, because vectors are given. Chunks are encrypted and committed as ingestion does it; reading
files, looking for personal data and embedding are not.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ragward.adapters.catalog_sql import SQLCatalog
from ragward.adapters.index_edge import EdgeChunkIndex
from ragward.bench.system_shard import memberships_of, policy_rows
from ragward.bench.systems import Site, files_of
from ragward.bench.world import TENANT, Asker, Question, World
from ragward.bootstrap import Ragward
from ragward.domain.access import Credentials, Subject
from ragward.domain.corpus import (
    Chunk,
    DocumentState,
    ScannedChunk,
    StagedVersion,
    Vector,
    View,
)
from ragward.domain.findings import Screening, Span, Verdict
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import Membership
from ragward.installation import Policy, initialise
from ragward.opening import Doubles, development_token, resource
from ragward.settings import Settings

MODEL_DIGEST: Final = "be" * 32
_GRAPH_FROM: Final = 5_000
_NAMES: Final = "chunks.json"


class GivenVectors:
    """`ports.Embedder` for questions whose vectors are known."""

    model_digest = MODEL_DIGEST

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._known: dict[str, list[float]] = {}

    def learn(self, questions: Iterable[Question]) -> None:
        """Takes questions in."""
        self._known |= {each.text: each.vector.tolist() for each in questions}

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of questions that were taken in."""
        return [self._known[text] for text in texts]


@dataclass(slots=True)
class Installed:
    """An open installation, and which of its chunks is which of the world's."""

    ragward: Ragward
    index: EdgeChunkIndex
    embedder: GivenVectors
    directory: Path
    point: list[str] = field(default_factory=list)
    number_of: dict[str, int] = field(default_factory=dict)
    """by point id and by chunk id"""

    def subject(self, asker: Asker) -> Subject:
        """The verified asker."""
        return self.ragward.identify(self.credentials(asker.name))

    def credentials(self, name: str) -> Credentials:
        """Somebody's token."""
        token = development_token(self.ragward.settings, name, tenant=TENANT)
        return Credentials(untrusted_authorization=token)

    def bytes_per_chunk(self, world: World) -> float:
        """Catalog and index."""
        return files_of(self.directory / "data") / world.size

    def forget(self) -> None:
        """Nothing that was read of the catalog is known any more: the next question is one that nobody asked."""
        catalog = self.ragward.catalog
        assert isinstance(catalog, SQLCatalog)
        catalog._database.unchanged.forget()

    def commit(self) -> None:
        """Somebody writes to the catalog: nothing is known, and the database's own caches are stale."""
        self.ragward.catalog.set_meta("bench", str(time.monotonic_ns()))

    def close(self) -> None:
        """Lets go of everything."""
        self.ragward.close()
        self.index.close()


def opened(site: Site) -> Installed:
    """The installation below the site's directory, made and filled if it is not there."""
    directory, world = site.directory / "installation", site.world
    fresh = not (directory / _NAMES).exists()
    if fresh and directory.exists():
        shutil.rmtree(directory)  # an interrupted run left it
    settings = settings_in(directory)
    if fresh:
        members = {each for asker in site.askers for each in memberships_of(asker)}
        members.add(Membership(f"user:{TENANT}/nobody", f"group:{TENANT}/readers"))
        policy = Policy(rows=policy_rows(world.shape.rules), memberships=tuple(sorted(members)))
        initialise(settings, tenant=TENANT, administrator=f"user:{TENANT}/root", policy=policy)
    made = open_in(directory, settings, world.shape.dimension)
    try:
        names = _filled(made, site) if fresh else json.loads((directory / _NAMES).read_text())
        made.point = [point for _, point in names]
        made.number_of = {name: n for n, pair in enumerate(names) for name in pair}
    except BaseException:
        made.close()
        raise
    return made


def open_in(directory: Path, settings: Settings, dimension: int) -> Installed:
    """An installation that there is."""
    embedder = GivenVectors(dimension)
    index = EdgeChunkIndex.open(
        directory / "data" / "bench-index",
        dimension=dimension,
        model_digest=MODEL_DIGEST,
        graph_from=_GRAPH_FROM,
    )
    try:
        ragward = Ragward.open(settings, Doubles(embedder=embedder, index=index))
    except BaseException:
        index.close()
        raise
    return Installed(ragward, index, embedder, directory)


def settings_in(directory: Path) -> Settings:
    """Settings of an installation whose limits do not end a benchmark: rates, and what is taken for misuse."""
    keys, policies = directory / "keys", directory / "policies"
    if not policies.exists():
        keys.mkdir(mode=0o700, parents=True)
        (keys / "passphrase").write_text(secrets.token_hex(24))
        (keys / "passphrase").chmod(0o400)
        shutil.copytree(resource("policies"), policies)
        _relaxed(policies / "behaviour.toml", r"respond = \[[^\]]*\]", "respond = []")
        _relaxed(policies / "handling.toml", r"(?m)^daily_tokens = .*$", "")
    return Settings.load(
        data_dir=directory / "data",
        keyring=keys / "keyring.json",
        passphrase=f"file:{keys / 'passphrase'}",
        policies_dir=policies,
        development_issuer=directory / "issuer",
        development_tenants=(TENANT,),
        requests_per_minute=10**9,
        concurrent_requests=64,
    )


def _relaxed(path: Path, pattern: str, by: str) -> None:
    path.write_text(re.sub(pattern, by, path.read_text(encoding="utf-8")), encoding="utf-8")


def _filled(made: Installed, site: Site) -> list[tuple[str, str]]:
    """(chunk id, point id) of every chunk, in order of their numbers. A document for every label."""
    world, names = site.world, [("", "")] * site.world.size
    stage = Staging(made.ragward)
    done = 0
    for label, numbers in world.by_label():
        texts = [world.text(int(n)) for n in numbers]
        vectors = [world.vectors[n] for n in numbers]
        version = stage.version(f"document-{label}", world.access_label(label), texts, vectors)
        made.ragward.catalog.commit_version(version)
        for number, chunk in zip(numbers, version.chunks, strict=True):
            names[int(number)] = chunk.chunk_id, chunk.points[0].point_id
        done += len(numbers)
        site.progress("catalog", done / world.size)
    made.ragward.index_sync.run()
    site.progress("index", 1.0)
    if world.size >= _GRAPH_FROM:
        wait_for_graph(made.index)
    (made.directory / _NAMES).write_text(json.dumps(names))
    return names


def wait_for_graph(index: EdgeChunkIndex) -> None:
    """Until there is one: `index_sync` begins to build it in the background."""
    builder = index._builder
    if builder is not None:
        builder.join()
    if not index._has_graph:
        index.build_graph()


class Staging:
    """Documents made ready as ingestion makes them, of chunks that are given with their vectors."""

    def __init__(self, ragward: Ragward) -> None:
        ports = ragward.retrieval._ports
        # The retrieval flow's keyring does not wrap; the ingest flow's does.
        self._protection = ragward.ingestion._ports.protection
        self._detector = ports.disclosure.finder.version
        self._rule_set = ports.screener.rule_set

    def version(
        self,
        document_id: str,
        label: AccessLabel,
        texts: Sequence[str],
        vectors: Sequence[Vector],
        find: Callable[[str], tuple[Span, ...]] = lambda _text: (),
        number: int = 1,
    ) -> StagedVersion:
        """A version of a document; the first, unless it is told which."""
        made = self._protection.new_version(document_id, number, label)
        screening = Screening(verdict=Verdict.ALLOW, rules=(), rule_set=self._rule_set)
        scanned = [
            ScannedChunk(
                chunk=Chunk(ordinal=n, start=0, end=len(text), text=text),
                spans=find(text),
                screening=screening,
            )
            for n, text in enumerate(texts)
        ]
        known = {(n, view): vector for n, vector in enumerate(vectors) for view in View}
        chunks = made.staged_chunks(scanned, self._detector, kept={MODEL_DIGEST: known})
        return StagedVersion(
            document_id=document_id,
            version=number,
            tenant=label.tenant,
            corpus=label.corpus,
            source=f"{document_id}.txt",
            source_digest=uuid.uuid4().bytes * 2,
            state=DocumentState.ACTIVE,
            title="",
            media_type="text/plain",
            label=label,
            dek_id=made.key.dek_id,
            kek_id=made.key.kek_id,
            kek_version=made.key.kek_version,
            wrapped_dek=made.key.wrapped_dek,
            attributes={},
            evidence=(),
            model_digest=MODEL_DIGEST,
            job_id=None,
            chunks=chunks,
        )
