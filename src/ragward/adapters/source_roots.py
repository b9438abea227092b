"""Names below the roots that settings give a tenant, as places: nobody leads a job anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ragward.domain.errors import NotFoundError
from ragward.domain.jobs import SourceRequest


def located(
    request: SourceRequest, tenant: str, roots: Mapping[str, Path], urls: Mapping[str, str]
) -> SourceRequest:
    """The same source by its place. Raises `access.not_found`: outside of its root, absent and no root of the tenant's are the
    same."""
    if request.root is None:
        return request
    name, root = request.location, f"{tenant}/{request.root}"
    if (url := urls.get(root)) is not None:
        return replace(request, location=_below(url, name), root=None)
    base = roots.get(root)
    if base is None or not name.isprintable():
        raise NotFoundError
    path = (base / name).resolve()
    is_there = path.is_file() if request.is_manifest else path.is_dir()
    if not path.is_relative_to(base.resolve()) or not is_there:
        raise NotFoundError
    return replace(request, location=str(path), root=None)


def _below(url: str, name: str) -> str:
    """A name below a URL, which no spelling leads out of. Raises `access.not_found`."""
    if name == ".":
        return url
    parts = name.split("/")
    if {"", ".", ".."} & set(parts) or not name.isprintable() or set(name) & set("%?#\\:*["):
        raise NotFoundError
    return f"{url.rstrip('/')}/{name}"
