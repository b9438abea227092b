"""The meaning: `model.conf` as Casbin reads it, and the functions it names. The only door to Casbin."""

from __future__ import annotations

import ast
import logging
from dataclasses import dataclass
from typing import Any, Final

import casbin  # the dist is pycasbin
from casbin.model import Model
from casbin.util import key_match

from ragward.domain.errors import ConfigurationError, InvalidRequestError
from ragward.domain.labels import AccessLabel
from ragward.domain.policy import PolicySnapshot, parse_levels

logging.getLogger("casbin").setLevel(logging.CRITICAL)  # it logs denials with the request's content

#: What a model's matcher may call: `g`, the functions below, and Casbin's own that take linear time. No `eval`, no regular expressions.
ALLOWED_CALLS: Final = frozenset({"g", "keyMatch", "keyGet"})
_REQUEST: Final = ["r_sub", "r_act", "r_obj", "r_ctx"]
_POLICY: Final = ["p_sub", "p_act", "p_corpus", "p_levels", "p_compartment", "p_eft"]


@dataclass(frozen=True, slots=True)
class Sub:
    """What the model sees as r.sub. Slotted objects only: Casbin re-walks containers for every rule."""

    id: str
    reached: frozenset[str]


@dataclass(frozen=True, slots=True)
class Ctx:
    """What the model sees as r.ctx."""

    now: int
    delegate: bool
    administrative: bool


def matches_action(action: str, pattern: str) -> bool:
    """What the model's keyMatch is."""
    return bool(key_match(action, pattern))


def in_corpus(label: AccessLabel, pattern: str) -> bool:
    """`tenant/corpus` or `tenant/*`."""
    tenant, _, corpus = pattern.partition("/")
    return label.tenant == tenant and corpus in ("*", label.corpus)


def in_levels(label: AccessLabel, levels: str) -> bool:
    """`PUBLIC..INTERNAL` or one level."""
    low, high = parse_levels(levels)
    return low <= label.classification <= high


def in_compartment(label: AccessLabel, compartment: str) -> bool:
    """`*`, or a compartment the label carries."""
    return compartment == "*" or compartment in label.compartments


def cleared(sub: Sub, label: AccessLabel, ctx: Ctx) -> bool:
    """Every compartment of the label is one the subject is cleared for."""
    return ctx.administrative or all(
        f"compartment:{label.tenant}/{compartment}" in sub.reached
        for compartment in label.compartments
    )


def acl(sub: Sub, label: AccessLabel, ctx: Ctx) -> bool:
    """Granted and not denied; a delegate needs no grant of its own."""
    if ctx.administrative:
        return True
    if label.denied & sub.reached:
        return False
    return ctx.delegate or bool(label.granted & sub.reached)


def current(label: AccessLabel, ctx: Ctx) -> bool:
    """Within the label's validity window."""
    return ctx.administrative or label.is_valid_at(ctx.now)


_FUNCTIONS: Final = (in_corpus, in_levels, in_compartment, cleared, acl, current)


def load_model(text: str) -> Model:
    """The model, if this installation can decide by it. Raises `config.invalid`.

    Requests and rows have the shipped shape; the matcher calls nothing but `ALLOWED_CALLS` and the functions of this page.
    """
    model = Model()
    try:
        model.load_model_from_text(text)
        shape = model["r"]["r"].tokens, model["p"]["p"].tokens
        calls = _calls(model["m"]["m"].value)
    except Exception as error:
        raise ConfigurationError(
            f"the Casbin model cannot be read: {type(error).__name__}"
        ) from error
    if shape != (_REQUEST, _POLICY):
        raise ConfigurationError(
            "the Casbin model must define r = sub, act, obj, ctx and p = sub, act, corpus, levels, compartment, eft"
        )
    unknown = calls - ALLOWED_CALLS - {function.__name__ for function in _FUNCTIONS}
    if unknown:
        raise ConfigurationError(
            f"the Casbin model calls {', '.join(sorted(unknown))}, which is not allowed"
        )
    return model


def matcher_tree(matcher: str) -> ast.expr:
    """Casbin's expression as Python's grammar sees it."""
    text = matcher.replace("&&", " and ").replace("||", " or ")
    return ast.parse(text.strip(), mode="eval").body


def enforcer(snapshot: PolicySnapshot, model_text: str) -> Any:
    """A Casbin enforcer over the snapshot's rows. Raises `policy.invalid`, `config.invalid`."""
    try:
        made = casbin.Enforcer(load_model(model_text))
        for function in _FUNCTIONS:
            made.add_function(function.__name__, function)
        made.add_policies([list(row.fields()) for row in snapshot.rows])
        if snapshot.memberships:
            made.add_grouping_policies([[m.member, m.group] for m in snapshot.memberships])
        made.build_role_links()
    except ConfigurationError:
        raise
    except Exception as error:
        raise InvalidRequestError(
            f"Casbin refuses this policy: {type(error).__name__}", code="policy.invalid"
        ) from error
    if len(made.get_policy()) != len(set(snapshot.rows)):
        raise InvalidRequestError("Casbin dropped a row", code="policy.invalid")
    return made


def _calls(matcher: str) -> set[str]:
    """Names of everything the matcher calls; a call of anything but a plain name is no name we allow."""
    readable = matcher.replace("!=", "\0").replace("!", " not ").replace("\0", "!=")
    return {
        node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        for node in ast.walk(matcher_tree(readable))
        if isinstance(node, ast.Call)
    }
