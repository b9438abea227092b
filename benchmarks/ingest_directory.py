"""Ingests a directory of text files through the command line and asks about it: time, chunks per second, peak memory.

    python benchmarks/ingest_directory.py DIRECTORY [--questions FILE] [--limit N]

Documents get labels by topic: a document that names a security word is CONFIDENTIAL and for `security`, one on packaging or
the project's process is INTERNAL and for `staff`, the rest is PUBLIC for everybody. Three people ask the same questions.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RAGWARD = [sys.executable, "-m", "ragward"]
PEOPLE = {"sam": "security officer", "eve": "employee", "guest": "guest"}
POLICY = """\
p, group:bench/everybody, corpus:retrieve, bench/*, PUBLIC, *, allow
p, group:bench/staff, corpus:retrieve, bench/*, PUBLIC..INTERNAL, *, allow
p, group:bench/security, corpus:retrieve, bench/*, PUBLIC..CONFIDENTIAL, *, allow
p, group:bench/security, reveal:*, bench/*, PUBLIC..CONFIDENTIAL, *, allow
p, user:bench/steward, document:*, bench/*, PUBLIC..RESTRICTED, *, allow
g, user:bench/sam, group:bench/security
g, user:bench/eve, group:bench/staff
g, user:bench/guest, group:bench/everybody
g, group:bench/security, group:bench/staff
g, group:bench/staff, group:bench/everybody
"""
SECURITY = re.compile(
    r"\b(?:secur\w+|crypt\w+|ssl|tls|vulnerab\w+|attack\w*|hash\w*)\b", re.IGNORECASE
)
PROCESS = re.compile(
    r"\b(?:packag\w+|release schedule|governance|workflow|wheel|PyPI)\b", re.IGNORECASE
)
QUESTIONS = (
    "How are hash functions protected against collisions?",
    "How are TLS certificates verified by default?",
    "What does the release schedule look like?",
    "How is a wheel file named?",
    "How are type hints written for generics?",
    "What do decorators look like?",
    "How does asynchronous iteration work?",
    "Why was the walrus operator introduced?",
    "How are f-strings parsed?",
    "What is structural pattern matching?",
    "How are secrets generated?",
    "What is a virtual environment?",
    "How does the import system find modules?",
    "How are exceptions chained?",
    "What are data classes?",
    "How is the global interpreter lock made optional?",
    "What is a context manager?",
    "How is dependency metadata specified?",
    "Who makes decisions about the language?",
    "How are byte strings formatted?",
)


def main() -> None:
    """Runs everything in a temporary directory."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="ragward-bench-") as name:
        home = Path(name)
        settings = _installation(home)
        files = sorted(
            p for p in arguments.directory.rglob("*") if p.suffix in (".rst", ".txt", ".md")
        )
        levels = _manifest(home, files[: arguments.limit])
        print(f"{len(files[: arguments.limit])} documents, {levels}, {os.cpu_count()} cores")
        _ingest(settings, home)
        _ask(settings, arguments.show)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--limit", type=int, default=None, help="only the first N files")
    parser.add_argument("--show", type=int, default=3, help="questions whose answers are printed")
    return parser.parse_args()


def _installation(home: Path) -> list[str]:
    keys = home / "keys"
    keys.mkdir(mode=0o700)
    (keys / "passphrase").write_text(os.urandom(24).hex())
    (keys / "passphrase").chmod(0o400)
    (home / "policy.csv").write_text(POLICY)
    (home / "ragward.toml").write_text(
        f'data_dir = "{home}/data"\nkeyring = "{keys}/keyring.json"\npassphrase = "file:{keys}/passphrase"\n'
        f'development_issuer = "{home}/issuer"\ndevelopment_tenants = ["bench"]\nrequests_per_minute = 100000\n'
    )
    settings = [*RAGWARD, "--settings", str(home / "ragward.toml")]
    first = ["init", "--tenant", "bench", "--admin", "user:bench/steward"]
    subprocess.run([*settings, *first, "--policy", str(home / "policy.csv")], check=True)
    return settings


def _manifest(home: Path, files: list[Path]) -> dict[str, int]:
    """Copies the files beside a manifest of our own; returns how many of each classification."""
    source = home / "source"
    source.mkdir()
    counts: dict[str, int] = {}
    with (source / "manifest.jsonl").open("w") as out:
        for path in files:
            text = path.read_text(encoding="utf-8", errors="replace")
            title = text[:2000]
            level, group = "PUBLIC", "everybody"
            if PROCESS.search(title):
                level, group = "INTERNAL", "staff"
            if SECURITY.search(title):
                level, group = "CONFIDENTIAL", "security"
            counts[level] = counts.get(level, 0) + 1
            (source / path.name).write_text(text)
            entry = {"uri": path.name, "corpus": "texts", "classification": level}
            out.write(json.dumps(entry | {"granted": [f"group:bench/{group}"]}) + "\n")
    return counts


def _ingest(settings: list[str], home: Path) -> None:
    begin = time.monotonic()
    manifest = home / "source" / "manifest.jsonl"
    subprocess.run([*settings, "ingest", str(manifest), "--as", "steward"], check=True)
    seconds = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    listed = subprocess.run(
        [*settings, "document", "list", "--limit", "1000", "--as", "steward", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    chunks = sum(document["chunks"] for document in json.loads(listed.stdout)["documents"])
    print(
        f"ingest: {seconds:.1f} s, {chunks} chunks, {chunks / seconds:.1f} chunks/s, peak {peak:.0f} MiB"
    )


def _ask(settings: list[str], shown: int) -> None:
    """All questions as all people in one process, in turn, so that nobody is always first."""
    from ragward.bootstrap import Ragward
    from ragward.domain.access import Credentials
    from ragward.opening import development_token
    from ragward.settings import Settings

    loaded = Settings.load(Path(settings[-1]))
    with Ragward.open(loaded) as ragward:
        credentials = {
            name: Credentials(
                untrusted_authorization=development_token(loaded, name, tenant="bench")
            )
            for name in PEOPLE
        }
        ragward.retrieve(credentials["guest"], "warm up")
        seconds: dict[str, list[float]] = {name: [] for name in PEOPLE}
        levels: dict[str, dict[str, int]] = {name: {} for name in PEOPLE}
        for number, question in enumerate(QUESTIONS):
            for name in PEOPLE:
                begin = time.perf_counter()
                answer = ragward.retrieve(credentials[name], question)
                seconds[name].append(time.perf_counter() - begin)
                for passage in answer.passages:
                    level = passage.classification.name
                    levels[name][level] = levels[name].get(level, 0) + 1
                if number < shown:
                    sources = [f"{p.source} ({p.classification.name})" for p in answer.passages[:3]]
                    print(f"  {name}: {question} -> {', '.join(sources) or 'nothing'}")
    for name, role in PEOPLE.items():
        p50 = statistics.median(seconds[name]) * 1000
        print(
            f"{name} ({role}): {len(QUESTIONS)} questions, p50 {p50:.1f} ms, passages {levels[name]}"
        )


if __name__ == "__main__":
    main()
