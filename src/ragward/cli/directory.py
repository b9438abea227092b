"""What the directory commands show."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer
from rich.table import Table

from ragward.bootstrap import Ragward
from ragward.cli import render
from ragward.cli.commands import Caller
from ragward.domain.directory import DirectoryGroup, DirectoryUser
from ragward.provisioning import MAX_PAGE
from ragward.settings import Settings

T = TypeVar("T")


def show_users(settings: Settings, limit: int, caller: Caller, *, as_json: bool) -> None:
    """`ragward directory users`."""
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        total, found = _pages(
            lambda offset, count: ragward.provisioning.users(
                subject, (), offset=offset, limit=count
            ),
            limit,
        )
    if as_json:
        typer.echo(json.dumps({"users": [_user(each) for each in found], "total": total}))
        return
    table = Table("id", "user name", "principal", "active", "groups")
    for user in found:
        table.add_row(
            user.user_id,
            user.profile.user_name,
            user.principal or "-",
            "yes" if user.profile.active else "no",
            str(len(user.groups)),
        )
    _print(table, total, len(found))


def show_groups(settings: Settings, limit: int, caller: Caller, *, as_json: bool) -> None:
    """`ragward directory groups`."""
    with Ragward.open(settings) as ragward:
        subject = ragward.identify(caller.credentials(settings))
        total, found = _pages(
            lambda offset, count: ragward.provisioning.groups(
                subject, (), offset=offset, limit=count
            ),
            limit,
        )
    if as_json:
        typer.echo(json.dumps({"groups": [_group(each) for each in found], "total": total}))
        return
    table = Table("principal", "display name", "members")
    for group in found:
        table.add_row(group.principal, group.profile.display_name, str(len(group.kinds)))
    _print(table, total, len(found))


def _pages(
    page: Callable[[int, int], tuple[int, Sequence[T]]], limit: int
) -> tuple[int, Sequence[T]]:
    total, found = page(0, min(limit, MAX_PAGE))
    every = list(found)
    while found and len(every) < min(limit, total):
        total, found = page(len(every), min(limit - len(every), MAX_PAGE))
        every += found
    return total, every


def _print(table: Table, total: int, shown: int) -> None:
    render.console().print(table)
    if shown < total:
        render.console().print(f"{total - shown} more: raise --limit", style="dim")


def _user(user: DirectoryUser) -> dict[str, Any]:
    return {
        "id": user.user_id,
        "user_name": user.profile.user_name,
        "display_name": user.profile.display_name,
        "external_id": user.profile.external_id,
        "principal": user.principal,
        "active": user.profile.active is True,
        "groups": [group.group_id for group in user.groups],
    }


def _group(group: DirectoryGroup) -> dict[str, Any]:
    return {
        "id": group.group_id,
        "display_name": group.profile.display_name,
        "external_id": group.profile.external_id,
        "principal": group.principal,
        "members": {member: kind.value for member, kind in sorted(group.kinds.items())},
    }
