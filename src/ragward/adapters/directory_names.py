"""Names of a source's access list, looked up among a tenant's people and groups."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from ragward.domain.directory import MAX_NAME_CHARACTERS, Condition, Operator
from ragward.domain.source_acl import NameKind, SourceName
from ragward.ports import DirectoryStore

_MOST: Final = 50


class DirectoryNames:
    """`domain.source_acl.Lookup` for one job: each name is asked for once.

    People are found by `userName` and `externalId`, groups by `externalId`, both also by `displayName` unless it looks like an
    e-mail address, which people may choose to be shown as. Raises `unavailable.catalog`.
    """

    def __init__(self, store: DirectoryStore, tenant: str) -> None:
        self._store, self._tenant = store, tenant
        self._known: dict[SourceName, frozenset[str]] = {}

    def __call__(self, name: SourceName) -> Collection[str]:
        """Every principal the name may mean."""
        if name not in self._known:
            self._known[name] = self._found(name)
        return self._known[name]

    def _found(self, name: SourceName) -> frozenset[str]:
        if not name.text.strip() or len(name.text) > MAX_NAME_CHARACTERS:
            return frozenset()
        if not name.text.isprintable():
            return frozenset()
        found: set[str] = set()
        if name.kind in (NameKind.USER, NameKind.ANY):
            found |= self._people(name)
        if name.kind in (NameKind.GROUP, NameKind.ANY):
            found |= self._groups(name)
        return frozenset() if len(found) > _MOST else frozenset(found)

    def _people(self, name: SourceName) -> set[str]:
        shown = () if name.is_address else ("displayName",)
        found = set()
        for attribute in ("userName", "externalId", *shown):
            _, users = self._store.list_users(
                self._tenant, _is(attribute, name.text), offset=0, limit=_MOST + 1
            )
            # Somebody without a principal still makes the name ambiguous: what stands for them is nobody's.
            found |= {user.principal or user.user_id for user in users}
        return found

    def _groups(self, name: SourceName) -> set[str]:
        shown = () if name.is_address and name.kind is NameKind.ANY else ("displayName",)
        found = set()
        for attribute in ("externalId", *shown):
            _, groups = self._store.list_groups(
                self._tenant, _is(attribute, name.text), offset=0, limit=_MOST + 1
            )
            found |= {group.principal for group in groups}
        return found


def _is(attribute: str, value: str) -> tuple[Condition, ...]:
    return (Condition(attribute, Operator.EQUALS, value),)
