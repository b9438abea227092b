"""What an operator does with an installation as a whole: create it, add a tenant, upgrade, back up, restore.

These need the keyring's passphrase and the data directory, not a token: nobody exists yet who could hold one. They are
recorded in the audit log like everything else. There is no default administrator.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from ragward.bootstrap import Ragward
from ragward.domain.access import ALL_CORPORA, Application
from ragward.domain.audit import AuditEvent, EventType
from ragward.domain.errors import (
    ConfigurationError,
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
)
from ragward.domain.identities import DAY, Custody
from ragward.domain.labels import Classification, require_name, require_principal, tenant_of
from ragward.domain.policy import Membership, PolicyRow, PolicySnapshot
from ragward.domain.policy_csv import read_csv
from ragward.domain.policy_review import require_acceptable
from ragward.opening import (
    CLI_CLIENT_ID,
    create_keyrings,
    open_audit,
    open_catalog,
    open_keyring,
    open_policy_keeper,
    resource,
)
from ragward.ports import AuditLog, Catalog, Clock
from ragward.settings import Settings

#: What `init` lets the first administrator do: everything about policy, keys and the log, and no content.
ADMINISTRATOR_ACTIONS: Final = (
    "access:approve",
    "access:evaluate",
    "access:explain",
    "application:write",
    "audit:read",
    "directory:read",
    "directory:write",
    "job:read",
    "key:rotate",
    "metrics:read",
    "policy:read",
    "policy:write",
    "pseudonym:erase",
    "restriction:read",
    "restriction:write",
)
_YEAR_SECONDS: Final = 366 * DAY
#: It has no secret that could be old, and without it nobody could renew anything.
_COMMAND_LINE_YEARS: Final = 10
_INITIALISED: Final = "initialised_tenant"
_BACKUP_FILES: Final = ("catalog.db", "audit.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rows and memberships as a file holds them."""

    rows: tuple[PolicyRow, ...]
    memberships: tuple[Membership, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialisedInstallation:
    """What `initialise` made."""

    tenant: str
    administrator: str
    keyring: Path
    data_dir: Path


def initialise(
    settings: Settings,
    *,
    tenant: str,
    administrator: str,
    passphrase: str | None = None,
    policy: Policy | None = None,
) -> InitialisedInstallation:
    """Creates keyring, catalog and log, and names the first administrator.

    Runs once: a second time raises `config.already_initialised`. After an interruption it may be run again.
    """
    from ragward.adapters.catalog_sql import SQLCatalog
    from ragward.adapters.clock_system import SystemClock
    from ragward.adapters.policy_keys_ed25519 import create_policy_key

    _require_administrator(tenant, administrator)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.keyring.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_keyrings(settings, passphrase)
    create_policy_key(settings.policy_key_file)
    SQLCatalog.migrate(settings.catalog_url, migrations_dir=resource("migrations"))
    catalog = open_catalog(settings)
    try:
        if catalog.meta(_INITIALISED):
            raise ConfigurationError(code="config.already_initialised")
        open_policy_keeper(settings).forget()
        audit = open_audit(settings, open_keyring(settings, passphrase))
        try:
            _create_tenant(catalog, audit, SystemClock(), tenant, administrator, policy)
        finally:
            audit.close()
        catalog.set_meta(_INITIALISED, tenant)
    finally:
        catalog.close()
    return InitialisedInstallation(
        tenant=tenant,
        administrator=administrator,
        keyring=settings.keyring,
        data_dir=settings.data_dir,
    )


def add_tenant(
    ragward: Ragward, *, tenant: str, administrator: str, policy: Policy | None = None
) -> None:
    """A further tenant with its first administrator. Raises `catalog.exists` for one that has a policy."""
    _require_administrator(tenant, administrator)
    if ragward.catalog.policy(tenant).rows:
        raise InvalidRequestError(f"tenant {tenant!r} exists", code="catalog.exists")
    _create_tenant(ragward.catalog, ragward.audit, ragward.clock, tenant, administrator, policy)


def repair_policy(ragward: Ragward, *, tenant: str) -> int:
    """Puts the newest version that is valid in the place of a stored policy that is not, which nobody could decide to change.

    Returns the number of the version that was put back. Raises `policy.conflict` where the policy in force is valid and what
    was signed, `access.not_found` where no version is.
    """
    if _decidable(ragward, partial(_in_force, ragward, tenant)) is not None:
        raise ConflictError("the policy in force is valid", code="policy.conflict")
    for version in ragward.catalog.policy_versions(tenant):
        good = _decidable(ragward, partial(_policy_of, ragward, tenant, version.number))
        if good is not None:
            _record(
                ragward.audit, ragward.clock, tenant, "repair_policy", f"version {version.number}"
            )
            reason = f"version {version.number} put back: what was stored was not valid"
            ragward.catalog.replace_policy(
                tenant, good.rows, good.memberships, "operator", reason=reason
            )
            return version.number
    raise NotFoundError


def _in_force(ragward: Ragward, tenant: str) -> PolicySnapshot:
    if ragward.signed is not None:
        ragward.signed.require_signed(tenant)
    return ragward.catalog.policy(tenant)


def _policy_of(ragward: Ragward, tenant: str, number: int) -> PolicySnapshot:
    return ragward.catalog.policy_version(tenant, number)[1]


def _decidable(ragward: Ragward, read: Callable[[], PolicySnapshot]) -> PolicySnapshot | None:
    """What `read` gives, if somebody can be decided on under it."""
    try:
        snapshot = read()
        require_acceptable(snapshot)
        ragward.pdp.check(snapshot)
    except (InvalidRequestError, IntegrityError):
        return None
    return snapshot


def register_applications(
    ragward: Ragward, applications: Iterable[Application], *, owner: str
) -> None:
    """Registers applications without keys, as an operator; one without an end gets a year."""
    custody = Custody(owner=owner, purpose="registered with the installation")
    for given in applications:
        custody.check(given.tenant)
        ends = given.expires_at or ragward.clock.now() + _YEAR_SECONDS
        application = replace(given, expires_at=ends)
        ragward.catalog.save_application(
            application, key_prefix=None, key_sha256=None, custody=custody
        )
        _record(
            ragward.audit,
            ragward.clock,
            application.tenant,
            "register_application",
            application.principal,
        )


def upgrade(settings: Settings) -> None:
    """Brings an older catalog to this version's schema."""
    from ragward.adapters.catalog_sql import SQLCatalog

    SQLCatalog.migrate(settings.catalog_url, migrations_dir=resource("migrations"))


def backup(ragward: Ragward, directory: Path) -> list[Path]:
    """A consistent copy of catalog and audit log; the index is rebuilt from the catalog, and no key is in it."""
    from ragward.adapters.sqlite_backup import copy_database

    if ragward.settings.database_url or ragward.settings.audit_database_url:
        raise ConfigurationError("use the database server's own backup for the catalog and the log")
    directory.mkdir(mode=0o700, parents=True, exist_ok=False)
    copies = []
    for name in _BACKUP_FILES:
        copy_database(ragward.settings.data_dir / name, directory / name)
        copies.append(directory / name)
    return copies


def restore(settings: Settings, directory: Path) -> None:
    """Puts a backup into an empty data directory; run `ragward index rebuild` afterwards."""
    if any(settings.data_dir.glob("*")):
        raise ConfigurationError("restore needs an empty data directory")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _BACKUP_FILES:
        if not (directory / name).is_file():
            raise ConfigurationError(f"the backup lacks {name}")
        shutil.copyfile(directory / name, settings.data_dir / name)


def read_policy_csv(path: Path) -> Policy:
    """A Casbin CSV file, every row validated. Raises `policy.invalid` with the line's number."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows, memberships = read_csv(lines)
    return Policy(rows=rows, memberships=memberships)


def read_applications(directory_file: Path) -> list[Application]:
    """The applications of a company directory (`directory.json`)."""
    directory = json.loads(directory_file.read_text(encoding="utf-8"))
    return [
        Application(
            principal=require_principal(item["principal"]),
            tenant=directory["tenant"],
            client_id=item["client_id"],
            corpora=frozenset(item["corpora"]),
            ceiling=Classification.parse(item["ceiling"]),
            public_client=item["client_id"] == CLI_CLIENT_ID,
        )
        for item in directory["applications"]
    ]


def example_company() -> Path:
    """The directory of the sample companies. Raises `config.invalid` outside a source checkout."""
    found = Path(__file__).parents[2] / "examples"
    if not (found / "aurora" / "manifest.jsonl").is_file():
        raise ConfigurationError(
            "the sample companies come with a source checkout, not with the wheel"
        )
    return found


def _require_administrator(tenant: str, administrator: str) -> None:
    require_name(tenant, "tenant")
    require_principal(administrator)
    if tenant_of(administrator) != tenant or not administrator.startswith("user:"):
        raise InvalidRequestError(
            f"the administrator is a user of tenant {tenant!r}", code="principal.invalid"
        )


def _create_tenant(
    catalog: Catalog,
    audit: AuditLog,
    clock: Clock,
    tenant: str,
    administrator: str,
    policy: Policy | None,
) -> None:
    role = f"role:{tenant}/administrator"
    rows = {
        PolicyRow(role, action, f"{tenant}/*", "PUBLIC..RESTRICTED", "*", "allow")
        for action in ADMINISTRATOR_ACTIONS
    }
    memberships = {Membership(administrator, role)}
    if policy is not None:
        rows |= set(policy.rows)
        memberships |= set(policy.memberships)
    _record(audit, clock, tenant, "create_tenant", administrator)
    reason = f"tenant {tenant} was created"
    catalog.replace_policy(tenant, sorted(rows), sorted(memberships), "operator", reason=reason)
    custody = Custody(owner=administrator, purpose="the command line")
    ends = clock.now() + _COMMAND_LINE_YEARS * _YEAR_SECONDS
    application = replace(command_line_application(tenant), expires_at=ends)
    catalog.save_application(application, key_prefix=None, key_sha256=None, custody=custody)


def command_line_application(tenant: str) -> Application:
    """The application behind the command line: a public client that narrows nothing."""
    return Application(
        principal=f"app:{tenant}/{CLI_CLIENT_ID}",
        tenant=tenant,
        client_id=CLI_CLIENT_ID,
        corpora=frozenset({ALL_CORPORA}),
        ceiling=Classification.RESTRICTED,
        public_client=True,
    )


def _record(audit: AuditLog, clock: Clock, tenant: str, act: str, target: str) -> None:
    event = AuditEvent(
        event_id=str(uuid.uuid4()),
        at=clock.now_milliseconds(),
        type=EventType.ADMIN_ACT,
        tenant=tenant,
        actor={"principal": "operator"},
        decision="permit",
        details={"act": act, "target": target},
    )
    audit.append(event, durable=True)
