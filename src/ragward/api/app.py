"""The REST API over a wired installation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from ragward.api import (
    problems,
    routes_access_audit,
    routes_access_requests,
    routes_admin,
    routes_agent_events,
    routes_audit,
    routes_authzen,
    routes_dify,
    routes_documents,
    routes_explain,
    routes_health,
    routes_holds,
    routes_honey,
    routes_identities,
    routes_jobs,
    routes_keys,
    routes_lineage,
    routes_mcp,
    routes_outputs,
    routes_personal,
    routes_policy,
    routes_receipts,
    routes_restrictions,
    routes_retrieval,
    routes_reviews,
    routes_scim,
    routes_screening,
    routes_task_grants,
)
from ragward.api.console import mount_console
from ragward.api.context import ApiParts
from ragward.api.job_events import Streams
from ragward.api.jobs import JobRunner
from ragward.api.maintenance import Maintenance
from ragward.api.metrics import Metrics
from ragward.api.middleware import RequestBoundary, TraceContext
from ragward.bootstrap import Ragward


def create_app(ragward: Ragward, *, console: bool = True) -> FastAPI:
    """The application; it does not close `ragward`. Its `console` is left out where other processes answer too: they would not
    know who signed in."""
    metrics = Metrics(ragward.event_counts.so_far)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        ragward.retrieval.warm_up()
        jobs = JobRunner(ragward)
        maintenance = Maintenance(ragward)
        try:
            async with routes_mcp.sessionless(ragward, metrics.observe_answer) as mcp:
                app.state.parts = ApiParts(
                    ragward=ragward,
                    jobs=jobs,
                    streams=Streams(ragward.settings.concurrent_requests),
                    metrics=metrics,
                    maintenance=maintenance,
                    mcp=mcp,
                )
                yield
        finally:
            maintenance.close()
            jobs.close()

    app = _application(lifespan)
    if console:
        mount_console(app, ragward)
    app.add_middleware(
        RequestBoundary,
        max_body_bytes=ragward.settings.max_body_bytes,
        request_seconds=ragward.settings.request_seconds,
        observe=metrics.observe_request,
    )
    if ragward.tracing is not None:
        app.add_middleware(TraceContext, tracing=ragward.tracing)
    return app


def openapi_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document, without an installation."""
    return _application(None).openapi()


def _application(lifespan: Any) -> FastAPI:
    app = FastAPI(
        title="ragward",
        version=version("ragward"),
        description="Retrieval authorization and data protection for RAG.",
        lifespan=lifespan,
        docs_url=None,  # the pages load scripts from elsewhere
        redoc_url=None,
    )
    problems.install(app)
    for routes in (
        routes_retrieval,
        routes_mcp,
        routes_dify,
        routes_outputs,
        routes_documents,
        routes_jobs,
        routes_reviews,
        routes_policy,
        routes_access_requests,
        routes_admin,
        routes_identities,
        routes_task_grants,
        routes_agent_events,
        routes_audit,
        routes_receipts,
        routes_access_audit,
        routes_keys,
        routes_holds,
        routes_honey,
        routes_restrictions,
        routes_explain,
        routes_personal,
        routes_screening,
        routes_lineage,
        routes_authzen,
        routes_scim,
        routes_health,
    ):
        app.include_router(routes.router)
    plain = app.openapi

    def documented() -> dict[str, Any]:
        document = plain()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = problems.PROBLEM_SCHEMA
        schemas["ScimError"] = problems.SCIM_PROBLEM_SCHEMA
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        for path, operations in document["paths"].items():
            if path.startswith((routes_authzen.PREFIX, problems.SCIM_PREFIX)):
                for (
                    operation
                ) in operations.values():  # FastAPI declares it of every body; here it is a 400
                    operation["responses"].pop("422", None)
        return document

    app.openapi = documented  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app
