"""`ragward policy sign`, `root` and `verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from ragward.cli.options import AsJSON, Tenant
from ragward.cli.policy_group import policy_app

__all__ = ["policy_app"]


@policy_app.command("sign")
def sign(
    context: typer.Context,
    tenant: Annotated[str, typer.Option(help="Whose policy.")],
    accept: Annotated[
        bool, typer.Option(help="Also where the rows are not those of the last signature.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Sign a tenant's policy, applications and directory as they are, as an operator with the administration key."""
    from ragward import signing
    from ragward.cli import commands, render

    root = signing.sign(commands.load_settings(context.obj), tenant, accept=accept)
    told = f"signed: root {root.serial} of {tenant}, epoch {root.epoch}"
    render.result(
        {"tenant": tenant, "serial": root.serial, "epoch": root.epoch}, told, as_json=as_json
    )


@policy_app.command("root")
def root(context: typer.Context, tenant: Tenant = None, as_json: AsJSON = False) -> None:
    """What is signed: number, epoch, digests, and by which key."""
    from ragward import signing
    from ragward.cli import commands, render
    from ragward.opening import open_policy_keeper

    settings = commands.load_settings(context.obj)
    key = open_policy_keeper(settings).key.text()
    roots = [
        {
            "tenant": state.tenant,
            "serial": state.root.serial if state.root else None,
            "epoch": state.root.epoch if state.root else None,
            "model": state.root.model if state.root else None,
            "sections": {k: v.hex() for k, v in state.root.sections.items()} if state.root else {},
        }
        for state in signing.states(settings, tenant)
    ]
    lines = [f"signer {key}"]
    lines += [f"{each['tenant']}: root {each['serial']}, epoch {each['epoch']}" for each in roots]
    render.result({"signer": key, "roots": roots}, "\n".join(lines), as_json=as_json)


@policy_app.command("verify")
def verify(context: typer.Context, tenant: Tenant = None, as_json: AsJSON = False) -> None:
    """Whether the rows are what was signed, also those that are read only when something is written; exit 1 if not."""
    from ragward import signing
    from ragward.cli import commands, render

    found = signing.states(commands.load_settings(context.obj), tenant)
    told = [f"{state.tenant}: {state.problem or 'as it was signed'}" for state in found]
    values = [{"tenant": state.tenant, "problem": state.problem} for state in found]
    render.result({"roots": values}, "\n".join(told), as_json=as_json)
    raise typer.Exit(1 if any(state.problem for state in found) else 0)
