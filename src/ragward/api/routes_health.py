"""For whoever runs it: alive, ready, which version, metrics."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from ragward.api.context import ApiParts, Asker, Parts
from ragward.api.problems import responses
from ragward.domain.access import Action, Context
from ragward.domain.errors import DeniedError, RagwardError
from ragward.domain.labels import administrative
from ragward.exports import export_lags

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
    _observe_log(parts)
    return PlainTextResponse(parts.metrics.text())


def _observe_log(parts: ApiParts) -> None:
    """How long the log is, what is spooled, what exports lack; a log that is away leaves the last figures."""
    settings = parts.ragward.settings
    try:
        size = int(parts.ragward.audit.checkpoint().split("\n")[1])  # C2SP tlog-checkpoint: line 2
    except RagwardError:
        return
    spooled = sum(path.stat().st_size for path in settings.audit_spools.glob("*.spool"))
    parts.metrics.observe_log(size, spooled, export_lags(settings, size))
