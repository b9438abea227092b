"""Recognises matchers that can be decided for all labels at once: a conjunction of the shipped terms, in any order."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum
from typing import Final

from casbin.model import Model

from ragward.adapters.pdp_casbin.model import matcher_tree


class Term(Enum):
    """One conjunct of a matcher, as Casbin writes it."""

    ACTION = "keyMatch(r_act, p_act)"
    ROLE = "g(r_sub.id, p_sub)"
    CORPUS = "in_corpus(r_obj, p_corpus)"
    LEVELS = "in_levels(r_obj, p_levels)"
    COMPARTMENT = "in_compartment(r_obj, p_compartment)"
    CLEARED = "cleared(r_sub, r_obj, r_ctx)"
    ACL = "acl(r_sub, r_obj, r_ctx)"
    CURRENT = "current(r_obj, r_ctx)"


#: How a row is matched. A model that leaves one out means something else by a row, and goes the exact way.
_ROW_TERMS: Final = frozenset({Term.ACTION, Term.ROLE, Term.CORPUS, Term.LEVELS, Term.COMPARTMENT})
_ALLOW: Final = "some(where (p_eft == allow))"
_DENY_OVERRIDES: Final = f"{_ALLOW} && !some(where (p_eft == deny))"


@dataclass(frozen=True, slots=True)
class CompiledMatcher:
    """Which terms hold together (always those of a row; the subject's and label's own may be fewer), and whether one deny
    row outweighs every allow row."""

    terms: frozenset[Term]
    deny_overrides: bool


def compile_matcher(model: Model) -> CompiledMatcher | None:
    """The compiled matcher, or None when something in it is not one of ours: then `enforce` decides, label by label."""
    effect = " ".join(model["e"]["e"].value.split())
    if effect not in (_ALLOW, _DENY_OVERRIDES):
        return None
    names = {term.value: term for term in Term}
    try:
        tree = matcher_tree(model["m"]["m"].value)
    except SyntaxError:
        return None
    parts = tree.values if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And) else [tree]
    texts = [ast.unparse(part) for part in parts]
    if any(text not in names for text in texts):
        return None
    terms = frozenset(names[text] for text in texts)
    if not terms >= _ROW_TERMS:
        return None
    return CompiledMatcher(terms=terms, deny_overrides=effect == _DENY_OVERRIDES)
