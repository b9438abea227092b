"""For whoever runs it: alive, ready, which version, metrics."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from ragward.api.context import Asker, Parts
from ragward.api.problems import responses
from ragward.domain.access import Action, Context
from ragward.domain.errors import DeniedError
from ragward.domain.labels import administrative

router = APIRouter(tags=["operations"])


@router.get("/livez", operation_id="livez")
def livez() -> dict[str, str]:
    """The process answers; nothing is looked at."""
    return {"status": "ok"}


@router.get(
    "/readyz", operation_id="readyz", responses={503: {"description": "Something is not ready."}}
)
def readyz(parts: Parts) -> JSONResponse:
    """Whether every part works."""
    checks = parts.ragward.readiness()
    ready = all(state == "ok" for state in checks.values())
    body = {"ready": ready, "checks": checks, "degraded": parts.ragward.degraded()}
    return JSONResponse(body, status_code=200 if ready else 503)


@router.get("/version", operation_id="version")
def get_version() -> dict[str, str]:
    """The running version."""
    return {"version": version("ragward")}


@router.get(
    "/metrics", operation_id="metrics", response_class=PlainTextResponse, responses=responses(403)
)
def metrics(parts: Parts, subject: Asker) -> Response:
    """Prometheus' text format, for subjects with `metrics:read`."""
    context = Context(now=parts.ragward.clock.now())
    if not parts.ragward.pdp.decide(
        subject, Action.METRICS_READ, administrative(subject.tenant), context
    ):
        raise DeniedError
    waiting = parts.ragward.catalog.count_pending()
    parts.metrics.observe_pending(waiting, parts.ragward.rotations_waiting())
    return PlainTextResponse(parts.metrics.text())
