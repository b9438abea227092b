"""What was made by older versions, page by page: for flows that bring it up to date."""

from __future__ import annotations

from collections.abc import Sequence

from ragward.domain.corpus import DocumentRecord
from ragward.domain.errors import InvalidRequestError
from ragward.domain.lineage import Tool
from ragward.ports import Catalog


def page_of(
    catalog: Catalog,
    tenant: str,
    tool: Tool,
    older_than: str,
    *,
    in_force: str,
    limit: int,
    after: tuple[str, str] | None,
) -> Sequence[DocumentRecord]:
    """The next documents, by corpus and source: all, or those made by a version in use before `older_than`.

    Raises `request.invalid` for a version that is neither in force nor ever was here: a slip must not mean everything."""
    if not older_than:
        return catalog.documents(tenant, limit=limit, after=after)
    if older_than != in_force and not catalog.was_used(tenant, tool, older_than):
        raise InvalidRequestError(f"there is nothing that {tool.value} {older_than!r} made")
    return catalog.documents_older(tenant, tool, older_than, limit=limit, after=after)
