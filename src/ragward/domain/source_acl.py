"""The access list a document had at its source, turned into whom its label grants and denies.

Two steps: `named` reads any of the shapes below and says whom it names; `resolved` turns names into principals. What is
unknown, malformed or ambiguous grants nobody; a denial that cannot be resolved leaves nobody granted, because the one it
meant might be in a group that is. Denied beats granted.

    ["user:acme/ann", "ann@acme.example", "group:Sales"]             principals and names
    {"granted": [...], "denied": [...]}                              the same, with denials
    {"external_user_emails": [...], "external_user_group_ids": [...],
     "is_public": false}                                             Onyx' ExternalAccess
    {"authorized_identities": [...]}                                 LangChain loaders with load_auth
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ragward.domain.errors import InvalidRequestError
from ragward.domain.labels import require_principal, tenant_of

MAX_NAMES: Final = 5_000
_MAX_NAME: Final = 256
_TOLD: Final = 20
_EVERYBODY: Final = frozenset({"public", "everyone", "everybody"})
_ONYX: Final = frozenset({"external_user_emails", "external_user_group_ids", "is_public"})
_OWN: Final = frozenset({"granted", "denied"})
_LANGCHAIN: Final = frozenset({"authorized_identities"})


class NameKind(StrEnum):
    """What a name may stand for."""

    PRINCIPAL = "principal"
    USER = "user"
    GROUP = "group"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class SourceName:
    """A name as the source wrote it. `PRINCIPAL` is ours already; the others are looked up."""

    kind: NameKind
    text: str

    @property
    def is_address(self) -> bool:
        """Whether it is an e-mail address: compared with what a directory says a person is, never with how they are shown."""
        return "@" in self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAccess:
    """Whom an access list names. `everybody` says that it is open; `problems` why it, or a part, was not understood."""

    granted: frozenset[SourceName] = frozenset()
    denied: frozenset[SourceName] = frozenset()
    everybody: bool = False
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAccess:
    """What goes into a label, and remarks for the steward: who was left out, in the source's words."""

    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    notes: tuple[str, ...] = field(default=(), repr=False)


#: The principals a name may mean: none if nobody has it, several if it is ambiguous.
Lookup = Callable[[SourceName], Collection[str]]

NOT_UNDERSTOOD: Final = NamedAccess(problems=("the access list was not understood",))


def named(acl: object) -> NamedAccess:
    """Whom an access list in one of the shapes names; anything else names nobody."""
    if isinstance(acl, list):
        return _own({"granted": acl})
    if not isinstance(acl, Mapping) or not acl:
        return NOT_UNDERSTOOD
    keys = frozenset(acl)
    if keys <= _OWN:
        return _own(acl)
    if keys <= _ONYX:
        return _onyx(acl)
    if keys == _LANGCHAIN:
        names = _texts(acl["authorized_identities"])
        return NOT_UNDERSTOOD if names is None else _granting(_any(name) for name in names)
    return NOT_UNDERSTOOD


def resolved(
    access: NamedAccess, tenant: str, lookup: Lookup, everybody: str | None = None
) -> SourceAccess:
    """Names as principals of `tenant`. `everybody` is the group that an open document is granted to; without it, nobody is."""
    notes = list(access.problems)
    granted, lost = _principals(access.granted, tenant, lookup, is_denial=False)
    denied, undeniable = _principals(access.denied, tenant, lookup, is_denial=True)
    if access.everybody:
        if everybody is None:
            notes.append("open to everybody at its source, which no setting turns into a group")
        else:
            granted |= {everybody}
    if lost:
        notes.append(_listed(lost, len(access.granted), "names could not be resolved"))
    if undeniable:
        notes.append(_listed(undeniable, len(access.denied), "denials could not be resolved"))
        notes.append("so nobody is granted")
        granted = frozenset()
    return SourceAccess(granted=granted - denied, denied=denied, notes=tuple(notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class PosixStep:
    """One file, or one directory on the way to it: who owns it, and its permission bits. `uid`, `gid` are keys of the mapping."""

    uid: str
    gid: str
    mode: int
    is_directory: bool = False
    has_acl: bool = False
    """Whether it has a POSIX access list beside its mode, which then means something else."""


def posix_named(steps: Iterable[PosixStep], principals: Mapping[str, str]) -> NamedAccess:
    """Whom the modes of a file and of the directories above it let read, as far as that can be said of each by name.

    Owner, group and others are classes of which only the first that fits counts (POSIX.1-2017, 4.5): an owner without the
    bit is denied though their group has it. `principals` maps `uid:N` and `gid:N` to ours; what it lacks is not resolved.
    """
    way = list(steps)
    if not way or way[-1].is_directory or any(step.has_acl for step in way):
        return NOT_UNDERSTOOD
    file = way[-1]
    denied = {step.uid for step in way if not _allows(step, 6)}
    denied |= {step.gid for step in way if not _allows(step, 3) and _allows(step, 0)}
    granted = set()
    if all(_allows(step, 6 if step.uid == file.uid else 0) for step in way):
        granted.add(file.uid)
    if all(_allows(step, 3 if step.gid == file.gid else 0) for step in way):
        granted.add(file.gid)
    return NamedAccess(
        granted=frozenset(_posix(key, principals) for key in granted),
        denied=frozenset(_posix(key, principals) for key in denied),
        everybody=all(_allows(step, 0) for step in way),
    )


def _allows(step: PosixStep, shift: int) -> bool:
    return bool(step.mode >> shift & (1 if step.is_directory else 4))


def _posix(key: str, principals: Mapping[str, str]) -> SourceName:
    found = principals.get(key)
    return SourceName(NameKind.PRINCIPAL, found if found is not None else key)


def _own(acl: Mapping[object, object]) -> NamedAccess:
    granted, denied = _texts(acl.get("granted", [])), _texts(acl.get("denied", []))
    if granted is None or denied is None:
        return NOT_UNDERSTOOD
    names = [_any(name) for name in granted]
    return NamedAccess(
        granted=frozenset(name for name in names if not _is_everybody(name)),
        denied=frozenset(map(_any, denied)),
        everybody=any(map(_is_everybody, names)),
    )


def _onyx(acl: Mapping[object, object]) -> NamedAccess:
    emails = _texts(acl.get("external_user_emails", []))
    groups = _texts(acl.get("external_user_group_ids", []))
    is_public = acl.get("is_public", False)
    if emails is None or groups is None or not isinstance(is_public, bool):
        return NOT_UNDERSTOOD
    return NamedAccess(
        granted=frozenset(SourceName(NameKind.USER, text) for text in emails)
        | frozenset(SourceName(NameKind.GROUP, text) for text in groups),
        everybody=is_public,
    )


def _granting(names: Iterable[SourceName]) -> NamedAccess:
    every = frozenset(names)
    open_to = frozenset(name for name in every if _is_everybody(name))
    return NamedAccess(granted=every - open_to, everybody=bool(open_to))


def _is_everybody(name: SourceName) -> bool:
    return name.kind is NameKind.ANY and name.text.casefold() in _EVERYBODY


def _texts(value: object) -> list[str] | None:
    """The strings of a list; None for anything else, and for more than anybody reads."""
    if not isinstance(value, list) or len(value) > MAX_NAMES:
        return None
    if not all(isinstance(item, str) and 0 < len(item) <= _MAX_NAME for item in value):
        return None
    return [item.strip() for item in value]


def _any(text: str) -> SourceName:
    """`kind:tenant/id` is a principal; `user:NAME` and `group:NAME` are looked up as what they say, the rest as either."""
    try:
        return SourceName(NameKind.PRINCIPAL, require_principal(text))
    except InvalidRequestError:
        prefix, colon, rest = text.partition(":")
    if colon and rest and prefix in (NameKind.USER, NameKind.GROUP):
        return SourceName(NameKind(prefix), rest)
    return SourceName(NameKind.ANY, text)


def _principals(
    names: Collection[SourceName], tenant: str, lookup: Lookup, *, is_denial: bool
) -> tuple[frozenset[str], list[str]]:
    """(principals, names without one). A name of several is nobody's to be granted, and all of theirs to be denied."""
    found: set[str] = set()
    lost: list[str] = []
    for name in sorted(names, key=lambda each: (each.kind, each.text)):
        meant = frozenset(_meant(name, lookup))
        ours = {each for each in meant if _is_ours(each, tenant)}
        if ours and (is_denial or len(meant) == 1):
            found |= ours
        else:
            lost.append(name.text)
    return frozenset(found), lost


def _meant(name: SourceName, lookup: Lookup) -> Collection[str]:
    return (name.text,) if name.kind is NameKind.PRINCIPAL else lookup(name)


def _is_ours(principal: str, tenant: str) -> bool:
    try:
        return tenant_of(require_principal(principal)) == tenant
    except InvalidRequestError:
        return False


def _listed(names: list[str], total: int, what: str) -> str:
    told = ", ".join(
        name[:80] if name.isprintable() else ascii(name[:80]) for name in names[:_TOLD]
    )
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"{len(names)} of {total} {what}: {told}{more}"
