"""Which kind of source a steward names: a folder, a manifest, or either at a URL."""

from __future__ import annotations

from pathlib import Path

from ragward.adapters import source_directory, source_url
from ragward.adapters.source_items import AccessRules
from ragward.domain.errors import InvalidRequestError
from ragward.domain.jobs import JobItem, SourceRequest


def source_items(request: SourceRequest, tenant: str, rules: AccessRules) -> list[JobItem]:
    """What is to be ingested. Raises `source.invalid`, `label.invalid`, `principal.invalid`, `unavailable.egress`."""
    location = request.location
    if request.is_manifest:
        if request.corpus or request.granted or request.posix:
            raise InvalidRequestError(
                "a manifest says of each document itself who may read it", code="source.invalid"
            )
        if source_url.is_url(location):
            return source_url.url_manifest_items(location, tenant, rules)
        return source_directory.manifest_items(Path(location), tenant, rules)
    if request.corpus is None or bool(request.granted) == request.posix:
        raise InvalidRequestError(
            "a folder needs a corpus, and either who may read it or that modes and owners say so",
            code="source.invalid",
        )
    if source_url.is_url(location):
        return source_url.url_items(
            location, tenant, corpus=request.corpus, granted=request.granted, rules=rules
        )
    if not Path(location).is_dir():
        raise InvalidRequestError("there is no such folder", code="source.invalid")
    return source_directory.directory_items(
        Path(location), tenant, corpus=request.corpus, granted=request.granted, rules=rules
    )
