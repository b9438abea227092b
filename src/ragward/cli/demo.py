"""`ragward demo`: two sample companies, the same questions asked by different people, every answer checked."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ragward import installation
from ragward.bootstrap import Ragward
from ragward.cli import render, render_jobs
from ragward.cli.serving import serve_api
from ragward.cli.working import run_with_progress
from ragward.domain.access import Credentials, Subject
from ragward.domain.explanation import Asked, DocumentExplanation, DocumentId
from ragward.domain.job_report import JobSummary
from ragward.domain.jobs import ItemResult, JobItem, JobRecord
from ragward.domain.passages import Answer, Passage, RetrievalRequest
from ragward.opening import development_token, manifest_items
from ragward.settings import Settings

TENANTS: Final = ("aurora", "borealis")
ASKERS: Final = (
    ("alice", None, "HR partner"),
    ("bob", None, "engineer"),
    ("carol", None, "contractor"),
    ("dave", None, "finance analyst"),
    ("alice", "scribe", "agent for alice"),
)
QUESTIONS_SHOWN: Final = 4
_PASSAGES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One sample company's files."""

    tenant: str
    root: Path
    steward: str
    golden: Mapping[str, Sequence[str]]
    questions: Sequence[Mapping[str, Any]]

    @classmethod
    def load(cls, tenant: str) -> Company:
        """From the source checkout."""
        root = installation.example_company() / tenant
        directory = json.loads((root / "directory.json").read_text(encoding="utf-8"))
        return cls(
            tenant=tenant,
            root=root,
            steward=directory["steward"],
            golden=json.loads((root / "golden.json").read_text(encoding="utf-8")),
            questions=directory.get("questions", []),
        )


@contextmanager
def sample_installation(keep: Path | None = None) -> Iterator[tuple[Ragward, list[Company]]]:
    """A new installation with both companies' policies and applications, open; removed afterwards unless kept."""
    home = keep or Path(tempfile.mkdtemp(prefix="ragward-demo-"))
    home.mkdir(mode=0o700, exist_ok=True)
    try:
        companies = [Company.load(tenant) for tenant in TENANTS]
        settings = _settings(home)
        first = companies[0]
        installation.initialise(
            settings,
            tenant=first.tenant,
            administrator=first.steward,
            policy=installation.read_policy_csv(first.root / "policy.csv"),
        )
        with Ragward.open(settings) as ragward:
            for company in companies[1:]:
                policy = installation.read_policy_csv(company.root / "policy.csv")
                installation.add_tenant(
                    ragward, tenant=company.tenant, administrator=company.steward, policy=policy
                )
            for company in companies:
                applications = installation.read_applications(company.root / "directory.json")
                installation.register_applications(ragward, applications, owner=company.steward)
            yield ragward, companies
    finally:
        if keep is None:
            shutil.rmtree(home)


def run_demo(keep: Path | None, *, serve: bool) -> int:
    """The whole demo; 1 if any answer is not what the companies' golden files say."""
    out = render.console()
    begin = time.monotonic()
    out.rule("[bold]ragward demo")
    out.print(
        "Aurora Instruments and its competitor Borealis share this installation, not their documents."
    )
    with sample_installation(keep) as (ragward, companies):
        for company in companies:
            ingest_company(ragward, company)
        out.print(f"ready after {time.monotonic() - begin:.0f} s", style="dim")
        problems = _ask_all(ragward, companies[0])
        for company in companies:
            problems += check_against_golden(ragward, company)
        verified = ragward.audit.verify()
        log = "consistent" if verified.consistent else "NOT CONSISTENT"
        out.rule()
        out.print(
            f"{verified.entries} events in the log, {log}; whole demo {time.monotonic() - begin:.0f} s"
        )
        for problem in problems:
            out.print(f"[bold red]wrong:[/] {problem}")
        if not problems:
            out.print(
                "[bold green]every answer is what the golden file says: nothing leaked, nothing lost"
            )
        _what_next(ragward.settings, kept=keep is not None)
        if serve and not problems:
            _serve(ragward)
    return 1 if problems else 0


def ingest_company(ragward: Ragward, company: Company) -> None:
    """Ingests one company under a progress bar and prints the summary."""
    job, results = ingested(ragward, company)
    render_jobs.job(job, JobSummary.of(results))


def ingested(ragward: Ragward, company: Company) -> tuple[JobRecord, Sequence[ItemResult]]:
    """Ingests one company under a progress bar."""
    return run_with_progress(ragward, steward_of(ragward, company), items_of(company))


def steward_of(ragward: Ragward, company: Company) -> Subject:
    """Who ingests its documents."""
    name = company.steward.partition("/")[2]
    return ragward.identify(_credentials(ragward.settings, company.tenant, name, None))


def items_of(company: Company) -> Sequence[JobItem]:
    """Its documents."""
    return manifest_items(company.root / "manifest.jsonl", company.tenant)


def check_against_golden(ragward: Ragward, company: Company) -> list[str]:
    """What the tenant's people get beyond, or never get of, what the golden file grants them."""
    problems = []
    for person, readable in company.golden.items():
        name, agent = _asker(person)
        if name is None:
            continue
        for item in company.questions[:3] or [{"question": "policy report"}]:
            answer = _answer(ragward, company.tenant, name, agent, item["question"])
            extra = {p.source for p in answer.passages} - set(readable)
            problems += [f"{person} was given {source}" for source in sorted(extra)]
    return problems


def _ask_all(ragward: Ragward, company: Company) -> list[str]:
    problems: list[str] = []
    out = render.console()
    for item in company.questions[:QUESTIONS_SHOWN]:
        question = item["question"]
        answers = [
            _answer(ragward, company.tenant, name, agent, question) for name, agent, _ in ASKERS
        ]
        table = Table(
            title=f"[bold]“{question}”", expand=True, show_lines=True, title_justify="left"
        )
        for _, _, role in ASKERS:
            table.add_column(role, ratio=1, overflow="fold")
        table.add_row(*(_cell(answer) for answer in answers))
        table.add_row(*_whys(ragward, company, answers))
        out.print()
        out.print(table)
    for item in company.questions:
        problems += _expectations(ragward, company, item)
    return problems


def _cell(answer: Answer) -> Group | Text:
    if not answer.passages:
        return Text("nothing that you may read", style="dim italic")
    return Group(*(part for passage in answer.passages[:_PASSAGES] for part in _passage(passage)))


def _passage(passage: Passage) -> list[Text]:
    head = Text.assemble(
        render.badge(passage.classification.name),
        " ",
        (passage.source.removeprefix("documents/"), "bold"),
    )
    notes = []
    if passage.share < 1:
        notes.append(f"{1 - passage.share:.0%} cut as unneeded")
    if passage.removed:
        notes.append(
            "removed " + ", ".join(f"{n} {kind}" for kind, n in sorted(passage.removed.items()))
        )
    if passage.flagged:
        notes.append("looks like instructions to a model")
    return [head, render.shown(passage.text, 180), Text("; ".join(notes), style="dim"), Text("")]


def _whys(ragward: Ragward, company: Company, answers: Sequence[Answer]) -> list[Text]:
    """One line per asker: the term that kept the best document that another asker got from this one."""
    best = [answer.passages[0] for answer in answers if answer.passages]
    steward = ragward.identify(
        _credentials(ragward.settings, company.tenant, company.steward.partition("/")[2], None)
    )
    lines = []
    for (name, agent, _), answer in zip(ASKERS, answers, strict=True):
        own = {passage.document_id for passage in answer.passages}
        missed = next((p for p in best if p.document_id not in own), None)
        if missed is None:
            lines.append(Text("why: sees what the others see here", style="dim"))
            continue
        principal = f"agent:{company.tenant}/{agent}" if agent else f"user:{company.tenant}/{name}"
        found = ragward.explainer.document(
            steward, Asked(principal=principal), DocumentId(missed.document_id)
        )
        lines.append(Text(f"why not {Path(missed.source).name}: {_because(found)}", style="dim"))
    return lines


def _because(found: DocumentExplanation) -> str:
    failed = [f"{term.term}: {term.because}" for term in found.terms if not term.holds]
    return failed[0] if failed else "ranked below what is shown"


def _expectations(ragward: Ragward, company: Company, item: Mapping[str, Any]) -> list[str]:
    problems = []
    everybody = {**item.get("expects", {}), **item.get("forbidden", {})}
    for person in everybody:
        name, agent = _asker(person)
        if name is None:
            continue
        answer = _answer(ragward, company.tenant, name, agent, item["question"], limit=10)
        got = {passage.source for passage in answer.passages}
        for source in item.get("expects", {}).get(person, []):
            if source not in got:
                problems.append(f"{person} did not get {source} for “{item['question']}”")
        for source in item.get("forbidden", {}).get(person, []):
            if source in got:
                problems.append(f"{person} was given {source} for “{item['question']}”")
    return problems


def _asker(person: str) -> tuple[str | None, str | None]:
    """`user:t/alice via agent:t/scribe` as ("alice", "scribe"); applications alone are not people."""
    principal, _, agent = person.partition(" via ")
    if not principal.startswith("user:"):
        return None, None
    return principal.partition("/")[2], agent.partition("/")[2] or None


def _answer(
    ragward: Ragward, tenant: str, name: str, agent: str | None, question: str, limit: int = 5
) -> Answer:
    credentials = _credentials(ragward.settings, tenant, name, agent)
    return ragward.retrieve(credentials, RetrievalRequest(query=question, limit=limit))


def _credentials(settings: Settings, tenant: str, name: str, agent: str | None) -> Credentials:
    token = development_token(settings, name, tenant=tenant, agent=agent)
    return Credentials(untrusted_authorization=token)


def _settings(home: Path) -> Settings:
    keys = home / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    passphrase = keys / "passphrase"
    passphrase.write_text(secrets.token_urlsafe(32), encoding="utf-8")
    passphrase.chmod(0o400)
    settings_file = home / "ragward.toml"
    settings_file.write_text(
        f'data_dir = "{home / "data"}"\nkeyring = "{keys / "keyring.json"}"\npassphrase = "file:{passphrase}"\n'
        f'development_issuer = "{home / "issuer"}"\ndevelopment_tenants = {json.dumps(TENANTS)}\n'
        "requests_per_minute = 100000\ndemo = true\n",
        encoding="utf-8",
    )
    return Settings.load(settings_file)


def _what_next(settings: Settings, *, kept: bool) -> None:
    out = render.console()
    if not kept:
        out.print(
            "keep it with: ragward demo --keep DIR   then: ragward --settings DIR/ragward.toml query … --as bob"
        )
        return
    home = settings.data_dir.parent
    out.print(
        f"ask:     ragward --settings {home}/ragward.toml query 'How many weeks of parental leave do I get?' --as bob"
    )
    out.print(
        f"explain: ragward --settings {home}/ragward.toml explain DOCUMENT --principal user:aurora/bob --as frank"
    )
    out.print(f"serve:   ragward --settings {home}/ragward.toml serve")


def _serve(ragward: Ragward) -> None:
    settings = ragward.settings
    token = development_token(settings, "bob", tenant=TENANTS[0])
    url = f"http://{settings.host}:{settings.port}"
    out = render.console()
    out.print(f"serving on {url}; ask as bob, for an hour, with", soft_wrap=True)
    out.print(
        f"curl -s {url}/v1/retrieve -H 'content-type: application/json' -d "
        f"'{{\"query\": \"How many weeks of parental leave do I get?\"}}' -H 'authorization: Bearer {token}'",
        soft_wrap=True,
    )
    serve_api(ragward)
