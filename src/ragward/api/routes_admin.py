"""Applications."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ragward.api.context import Asker, Parts, stamp
from ragward.api.problems import responses
from ragward.api.schemas import (
    ApplicationModel,
    ApplicationRequest,
)
from ragward.domain.access import ALL_CORPORA, Application
from ragward.domain.identities import Custody
from ragward.domain.labels import Classification, require_name

router = APIRouter(prefix="/v1", tags=["administration"])


@router.post(
    "/applications", status_code=201, operation_id="register_application", responses=responses(403)
)
def register_application(
    body: ApplicationRequest, parts: Parts, subject: Asker, response: Response
) -> ApplicationModel:
    """An AI application, what may pass through it, who answers for it and until when."""
    for corpus in body.corpora:
        if corpus != ALL_CORPORA:
            require_name(corpus, "corpus")
    application = Application(
        principal=body.principal,
        tenant=subject.tenant,
        client_id=body.client_id,
        corpora=frozenset(body.corpora),
        ceiling=Classification.parse(body.ceiling),
        public_client=body.public_client,
        expires_at=body.expires_at,
    )
    key = parts.ragward.identities.register_application(
        subject,
        application,
        Custody(owner=body.owner, purpose=body.purpose),
        with_key=body.with_key,
        replace_keys=body.replace_keys,
    )
    stamp(response, parts, subject)
    return ApplicationModel(principal=application.principal, api_key=key)
