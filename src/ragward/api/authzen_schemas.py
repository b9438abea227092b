"""AuthZEN 1.0 over the wire. Unknown members are ignored, as the specification demands; values of another type are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragward.api.schemas import TermModel, Whole
from ragward.domain.evaluation import (
    Malformed,
    PageRequest,
    Question,
    ResourceName,
    ResultPage,
    Semantic,
    SubjectName,
    Verdict,
)
from ragward.evaluation import MAX_EVALUATIONS

Word = Annotated[str, Field(max_length=512)]
Properties = dict[str, Any] | None


class Lenient(BaseModel):
    """Unknown fields are ignored (AuthZEN 1.0, 10.1.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class EntityType(Lenient):
    """An entity that is searched for: an id is ignored."""

    type: Word = Field(examples=["user"])


class SubjectModel(Lenient):
    """Who: type `user`, `app` or `agent`, and the id within the caller's tenant. Properties are ignored."""

    type: Word = Field(examples=["user"])
    id: Word = Field(examples=["ann"])
    properties: Properties = None

    def name(self) -> SubjectName:
        """For the flow."""
        return SubjectName(type=self.type, id=self.id)


class ActionModel(Lenient):
    """What: an action of the policy language. Properties are ignored."""

    name: Word = Field(examples=["corpus:retrieve"])
    properties: Properties = None


class ResourceModel(Lenient):
    """On what: a `document`, `chunk` or `corpus` by id, or a `label` that its properties describe (`classification` and
    `corpus`; `compartments`, `granted`, `denied`). Other resources' properties are ignored."""

    type: Word = Field(examples=["document"])
    id: Word = Field(examples=["6f1c8c9e-5f1b-4c39-9f0c-3d3e0c4f7a10"])
    properties: Properties = None

    def name(self) -> ResourceName:
        """For the flow."""
        return ResourceName(type=self.type, id=self.id, properties=self.properties or {})


class EvaluationRequest(Lenient):
    """One question. `context` is ignored: time is ours."""

    subject: SubjectModel
    action: ActionModel
    resource: ResourceModel
    context: Properties = None

    def question(self) -> Question:
        """For the flow."""
        return Question(
            subject=self.subject.name(), action=self.action.name, resource=self.resource.name()
        )


class OptionsModel(Lenient):
    """How a batch is evaluated."""

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = (
        "execute_all"
    )


class EvaluationsRequest(Lenient):
    """Several questions; what one leaves out is taken whole from the top. Without `evaluations` it is one question."""

    subject: SubjectModel | None = None
    action: ActionModel | None = None
    resource: ResourceModel | None = None
    context: Properties = None
    evaluations: list[dict[str, Any]] | None = Field(
        None,
        max_length=MAX_EVALUATIONS,
        description="Objects with `subject`, `action`, `resource`, `context`; one that is malformed is denied by itself.",
    )
    options: OptionsModel | None = None

    def questions(self) -> list[Question | Malformed]:
        """The batch with its defaults filled in."""
        names = ("subject", "action", "resource")
        defaults = {name: value for name in names if (value := getattr(self, name)) is not None}
        return [_question(defaults | item) for item in self.evaluations or ()]

    def semantic(self) -> Semantic:
        """How far the batch is evaluated."""
        return Semantic((self.options or OptionsModel()).evaluations_semantic)


class PageModel(Lenient):
    """Which part of the results."""

    token: str | None = Field(None, description="`next_token` of the page before.")
    limit: Whole | None = Field(
        None, ge=0, le=2**53 - 1, description="100 by default, at most 1000 are given."
    )
    properties: Properties = None


class _Search(Lenient):
    context: Properties = None
    page: PageModel | None = None

    def wanted(self) -> PageRequest:
        """For the flow."""
        if self.page is None:
            return PageRequest()
        return PageRequest(untrusted_token=self.page.token or "", limit=self.page.limit)


class SubjectSearchRequest(_Search):
    """Who may do this?"""

    subject: EntityType
    action: ActionModel
    resource: ResourceModel


class ResourceSearchRequest(_Search):
    """On what may they do this? Types `document` and `corpus` are found."""

    subject: SubjectModel
    action: ActionModel
    resource: EntityType


class ActionSearchRequest(_Search):
    """What may they do?"""

    subject: SubjectModel
    resource: ResourceModel


# Answers. -----------------------------------------------------------------------------------------------------------


class ReasonModel(BaseModel):
    """Why not, for stewards."""

    terms: list[TermModel]


class ErrorModel(BaseModel):
    """What was wrong with one evaluation of a batch."""

    status: int
    message: str


class DecisionContext(BaseModel):
    """What comes with a decision."""

    obligations: list[dict[str, Any]] | None = Field(
        None,
        description="Each with an `id`: `budget`, `redact`, `audit`, `recheck_epoch`, `step-up`.",
    )
    epoch_token: str | None = None
    reason_admin: ReasonModel | None = None
    error: ErrorModel | None = None


class DecisionModel(BaseModel):
    """A decision. A denial says nothing more to who may not have it explained."""

    decision: bool
    context: DecisionContext | None = None

    @classmethod
    def of(cls, verdict: Verdict) -> DecisionModel:
        """From the domain's."""
        return cls(decision=verdict.decision, context=_context(verdict))


class DecisionsModel(BaseModel):
    """Decisions in the order of the questions."""

    evaluations: list[DecisionModel]


class NextPage(BaseModel):
    """Where the results go on; the token is empty after the last."""

    next_token: str
    count: int


class EntityModel(BaseModel):
    """A subject or resource that was found."""

    type: str
    id: str


class ActionName(BaseModel):
    """An action that was found."""

    name: str


class EntitiesResponse(BaseModel):
    """What was found, sorted by id."""

    page: NextPage
    results: list[EntityModel]

    @classmethod
    def of(cls, entity_type: str, found: ResultPage) -> EntitiesResponse:
        """From the domain's."""
        return cls(
            page=next_page(found),
            results=[EntityModel(type=entity_type, id=name) for name in found.ids],
        )


class ActionsResponse(BaseModel):
    """What was found, sorted by name."""

    page: NextPage
    results: list[ActionName]


class MetadataModel(BaseModel):
    """Where the decision point is and what it offers (AuthZEN 1.0, 9.1)."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str


def next_page(found: ResultPage) -> NextPage:
    """The page object of a search's answer."""
    return NextPage(next_token=found.next_token, count=len(found.ids))


def _question(item: dict[str, Any]) -> Question | Malformed:
    try:
        return EvaluationRequest.model_validate(item).question()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part)[:64] for part in first["loc"])
        return Malformed(detail=f"{where}: {first['msg'][:200]}")


def _context(verdict: Verdict) -> DecisionContext | None:
    parts: dict[str, Any] = {}
    if verdict.obligations:
        parts["obligations"] = [{"id": each.id, **each.values} for each in verdict.obligations]
    if verdict.epoch_token:
        parts["epoch_token"] = verdict.epoch_token
    if verdict.reason is not None:
        terms = [TermModel.of(term) for term in verdict.reason.terms]
        parts["reason_admin"] = ReasonModel(terms=terms)
    if verdict.error:
        parts["error"] = ErrorModel(status=400, message=verdict.error)
    return DecisionContext(**parts) if parts else None
