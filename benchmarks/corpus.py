"""A corpus of many documents in eight formats, ingested: documents and chunks per second, where the time goes, peak memory.

`python -m benchmarks.corpus [--documents 20000] [--engine local|dask] [--workers 2] [--directory DIR] [--json FILE]`

The corpus is made first (txt, md, html, eml, csv, json, docx, pdf; business prose of 60 to 500 words with names, addresses and
numbers). Then one job ingests it with the real model. Stages are timed in the process that asks; what of the wall clock is the
embedder's is put beside what the same texts take it in batches, in the same process afterwards: passes of the model over chunks
and redacted views.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from tests import company, office_files

from ragward.bootstrap import Ragward
from ragward.cli.working import run_with_progress
from ragward.domain.access import Credentials
from ragward.domain.jobs import SourceRequest
from ragward.installation import Policy, initialise
from ragward.opening import development_token, source_items
from ragward.settings import Settings

WORDS = [
    "agreement",
    "budget",
    "supplier",
    "delivery",
    "quarter",
    "report",
    "review",
    "meeting",
    "schedule",
    "decision",
    "invoice",
    "contract",
    "warehouse",
    "transport",
    "storage",
    "pump",
    "valve",
    "pressure",
    "test",
    "result",
    "engineer",
    "laboratory",
    "sample",
    "record",
    "policy",
    "insurance",
    "claim",
    "customer",
    "order",
    "product",
    "release",
    "version",
    "defect",
    "repair",
    "warranty",
    "training",
    "safety",
    "audit",
    "finding",
    "measure",
    "plan",
    "project",
    "phase",
    "risk",
    "owner",
    "approval",
    "request",
    "change",
    "system",
    "network",
    "server",
    "backup",
    "account",
    "payment",
    "transfer",
    "balance",
    "forecast",
    "market",
    "price",
    "region",
    "office",
    "team",
    "manager",
    "assistant",
    "position",
    "salary",
    "pension",
    "leave",
    "travel",
    "expense",
    "hotel",
    "flight",
    "visit",
    "partner",
    "offer",
]
FIRST = ("Anna", "Ben", "Clara", "David", "Elena", "Frank", "Greta", "Henry", "Iris", "Jonas")
LAST = ("Miller", "Fischer", "Rossi", "Dubois", "Novak", "Silva", "Jensen", "Kowalski", "Haddad", "Okafor")  # fmt: skip


def text(chance: random.Random, number: int) -> str:
    """Prose of 60 to 500 words; every third document names somebody and how to reach them."""
    left, sentences = int(chance.triangular(60, 500, 120)), []
    while left > 0:
        words = chance.choices(WORDS, k=chance.randint(7, 19))
        sentences.append(" ".join(words).capitalize() + ".")
        left -= len(words)
    if number % 3 == 0:
        person = f"{chance.choice(FIRST)} {chance.choice(LAST)}"
        mail = person.lower().replace(" ", ".")
        sentences.insert(
            len(sentences) // 2,
            f"Please write to {person} at {mail}@example.com or call +49 30 {number:07}.",
        )
    return " ".join(sentences)


def pdf(body: str) -> bytes:
    """A page of text, as the specification's smallest example has it."""
    lines, line = [], ""
    for word in body.split():
        if len(line) + len(word) > 90:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    lines.append(line)
    shown = " ".join(f"({each}) Tj T*".replace("\\", "") for each in lines)
    content = f"BT /F1 9 Tf 40 800 Td 11 TL {shown} ET".encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>"
        ),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body_of in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body_of)
    begin = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        begin,
    )
    return bytes(out)


def mail(body: str) -> bytes:
    """A message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "report"
    message.set_content(body)
    return message.as_bytes()


def rows(body: str) -> str:
    """The sentences of a text, numbered."""
    return "id,text\n" + "\n".join(f'{n},"{s}"' for n, s in enumerate(body.split(". ")))


FORMATS: dict[str, Callable[[str], bytes]] = {
    "txt": lambda body: body.encode(),
    "md": lambda body: f"# Report\n\n{body}\n".encode(),
    "html": lambda body: f"<html><title>Report</title><body><p>{body}</p></body></html>".encode(),
    "eml": mail,
    "csv": lambda body: rows(body).encode(),
    "json": lambda body: json.dumps({"title": "report", "body": body}).encode(),
    "docx": lambda body: office_files.word(*body.split(". ")),
    "pdf": pdf,
}


def made(directory: Path, documents: int) -> None:
    """The corpus, and a manifest that gives each document to a group."""
    chance, lines = random.Random(20), []
    for number in track(range(documents), "corpus", transient=True):
        suffix = list(FORMATS)[number % len(FORMATS)]
        name = f"{number % 100:02}/{number:05}.{suffix}"
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(FORMATS[suffix](text(chance, number)))
        level = ("PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED")[number % 4]
        entry = {
            "uri": name,
            "corpus": "eng",
            "classification": level,
            "granted": ["group:acme/staff"],
        }
        lines.append(json.dumps(entry))
    (directory / "manifest.jsonl").write_text("\n".join(lines))


class Stages:
    """Seconds in the methods that are the stages, by name; what a stage calls of another is counted there only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[float] = []
        self.texts: list[str] = []

    def timed(self, owner: object, method: str, stage: str) -> None:
        """Replaces the method of one object by itself, timed."""
        inner = getattr(owner, method)

        def outer(*args: Any, **named: Any) -> Any:
            if stage == "embed":
                self.texts += args[0]
            begin = time.perf_counter()
            self._open.append(0.0)
            try:
                return inner(*args, **named)
            finally:
                whole = time.perf_counter() - begin
                self.seconds[stage] += whole - self._open.pop()
                if self._open:
                    self._open[-1] += whole

        if hasattr(owner, "__dict__"):
            object.__setattr__(owner, method, outer)
        else:  # with slots a method is the class's; there is one object of it here
            setattr(type(owner), method, lambda _self, *args, **named: outer(*args, **named))


def installed(home: Path, arguments: argparse.Namespace) -> Settings:
    """A new installation of the test company."""
    (home / "keys").mkdir(mode=0o700)
    passphrase = home / "keys" / "passphrase"
    passphrase.write_text("correct horse battery staple")
    passphrase.chmod(0o400)
    settings = Settings.load(
        data_dir=home / "data",
        keyring=home / "keys" / "keyring.json",
        passphrase=f"file:{passphrase}",
        development_issuer=home / "issuer",
        development_tenants=(company.TENANT,),
        ingest_engine=arguments.engine,
        dask_workers=arguments.workers,
        embedding_threads=os.cpu_count() or 1,
    )
    policy = Policy(rows=company.ROWS, memberships=company.MEMBERSHIPS)
    initialise(settings, tenant=company.TENANT, administrator="user:acme/root", policy=policy)
    return settings


def watched(ragward: Ragward) -> Stages:
    """The stages of the process that asks."""
    stages, ports = Stages(), ragward.ingestion._ports
    analyser: Any = ports.analyser
    stages.timed(analyser.extractor, "extract", "extract (a process beside)")
    stages.timed(analyser.chunker, "chunk", "chunk")
    stages.timed(analyser.finder, "scan", "find personal data")
    stages.timed(analyser.screener, "screen", "screen")
    stages.timed(ragward.embedder, "embed", "embed")
    if hasattr(ragward.embedder, "embed_and_read"):
        stages.timed(ragward.embedder, "embed_and_read", "embed")
    stages.timed(ports.catalog, "commit_version", "catalog")
    stages.timed(ports.catalog, "record_item", "catalog")
    stages.timed(ports.index_sync, "run", "index")
    stages.timed(ports.recorder.audit, "append", "audit")
    return stages


def main() -> None:
    """Makes, ingests, measures, shows."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--documents", type=int, default=20_000)
    options.add_argument("--engine", choices=("local", "dask"), default="local")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--directory", type=Path, help="Where it is made; kept if it is there.")
    options.add_argument("--json", type=Path)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        home = Path(scratch)
        source = home / "corpus"
        source.mkdir()
        made(source, arguments.documents)
        found = ingested(home, source, arguments)
    show(found, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def ingested(home: Path, source: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of one job."""
    settings = installed(home, arguments)
    with Ragward.open(settings) as ragward:
        token = development_token(settings, "steward", tenant=company.TENANT)
        subject = ragward.identify(Credentials(untrusted_authorization=token))
        wanted = SourceRequest(location=str(source / "manifest.jsonl"), is_manifest=True)
        items = source_items(settings, ragward.catalog, company.TENANT, wanted)
        stages = watched(ragward)
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        job, results = run_with_progress(ragward, subject, items, source=wanted)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
        chunks = sum(result.chunks for result in results)
        batched = _in_batches(ragward, stages.texts)
    return {
        "engine": arguments.engine,
        "documents": arguments.documents,
        "state": job.state.value,
        "outcomes": dict(job.counts),
        "chunks": chunks,
        "seconds": wall,
        "documents_per_second": arguments.documents / wall,
        "chunks_per_second": chunks / wall,
        "cpu_share": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        / wall
        / (os.cpu_count() or 1),
        "stages": dict(stages.seconds),
        "peak_mib": after.ru_maxrss / 1024,
        "peak_child_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "texts_embedded": len(stages.texts),
        "embed_in_batches_seconds": batched,
    }


def _in_batches(ragward: Ragward, texts: list[str]) -> float:
    """Seconds that the same texts take the embedder in batches of 64, from a sample of at most 2,000."""
    sample = random.Random(1).sample(texts, min(2_000, len(texts)))
    if not sample:
        return 0.0
    embed = type(ragward.embedder).embed
    begin = time.perf_counter()
    for start in range(0, len(sample), 64):
        embed(ragward.embedder, sample[start : start + 64])  # type: ignore[arg-type]  # past the timing
    return (time.perf_counter() - begin) * len(texts) / len(sample)


def show(found: dict[str, Any], arguments: argparse.Namespace) -> None:
    """What a person reads."""
    table = Table(
        "stage",
        "s",
        "of the wall clock",
        title=f"{arguments.documents:,} documents, {arguments.engine}",
    )
    wall = found["seconds"]
    for name, seconds in sorted(found["stages"].items(), key=lambda item: -item[1]):
        table.add_row(name, f"{seconds:,.1f}", f"{seconds / wall:.0%}")
    rest = wall - sum(found["stages"].values())
    table.add_row("the rest (labels, encryption, progress)", f"{rest:,.1f}", f"{rest / wall:.0%}")
    console = Console()
    console.print(table)
    console.print(
        f"{found['chunks']:,} chunks in {wall:,.0f} s: {found['documents_per_second']:.1f} documents/s, "
        f"{found['chunks_per_second']:.1f} chunks/s; CPU {found['cpu_share']:.0%} of {os.cpu_count()} cores; "
        f"peak {found['peak_mib']:,.0f} MiB, a child's {found['peak_child_mib']:,.0f} MiB; {found['outcomes']}"
    )
    if found["texts_embedded"]:
        own, took = found["embed_in_batches_seconds"], found["stages"].get("embed", 0.0)
        console.print(
            f"embedder: {found['texts_embedded']:,} texts (all passes) in {took:,.1f} s; in batches of 64 "
            f"{own:,.1f} s: {own / took:.0%} of its own throughput while it runs, {own / wall:.0%} of the wall clock"
        )


if __name__ == "__main__":
    main()
