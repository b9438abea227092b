"""The meaning, naively: pycasbin's own `enforce` with reference functions that share no code with ragward.

Everything faster is held equal to this, label by label.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import casbin
from casbin.model import Model

MODEL_FILE = Path(__file__).parents[2] / "policies" / "model.conf"
LEVELS = ["PUBLIC", "INTERNAL", "CONFIDENTIAL", "RESTRICTED"]


class Oracle:
    """One tenant's policy, decided by Casbin over plain strings and has_link."""

    def __init__(self, rows, memberships):
        model = Model()
        model.load_model_from_text(MODEL_FILE.read_text())
        self.enforcer = casbin.Enforcer(model)
        links = self.enforcer.get_role_manager
        self.enforcer.add_function(
            "in_corpus",
            lambda o, p: p.split("/")[0] == o.tenant and p.split("/")[1] in ("*", o.corpus),
        )
        self.enforcer.add_function("in_levels", self._in_levels)
        self.enforcer.add_function("in_compartment", lambda o, c: c == "*" or c in o.compartments)
        self.enforcer.add_function(
            "cleared",
            lambda s, o, c: all(
                links().has_link(s.id, f"compartment:{o.tenant}/{x}") for x in o.compartments
            ),
        )
        self.enforcer.add_function(
            "acl",
            lambda s, o, c: (
                not any(links().has_link(s.id, d) for d in o.denied)
                and (c.delegate or any(links().has_link(s.id, g) for g in o.granted))
            ),
        )
        self.enforcer.add_function(
            "current",
            lambda o, c: (
                (o.valid_from or 0) <= c.now and (o.valid_until is None or c.now < o.valid_until)
            ),
        )
        for row in rows:
            self.enforcer.add_policy(*row)
        for membership in memberships:
            self.enforcer.add_grouping_policy(*membership)

    @staticmethod
    def _in_levels(label, levels):
        ends = levels.split("..")
        return LEVELS.index(ends[0]) <= LEVELS.index(label.level) <= LEVELS.index(ends[-1])

    def may(self, principal, action, label, now, *, delegate=False):
        """Whether Casbin permits; `label` is anything with the label's fields."""
        plain = SimpleNamespace(
            tenant=label.tenant,
            corpus=label.corpus,
            level=label.classification.name,
            compartments=sorted(label.compartments),
            granted=sorted(label.granted),
            denied=sorted(label.denied),
            valid_from=label.valid_from,
            valid_until=label.valid_until,
        )
        context = SimpleNamespace(now=now, delegate=delegate)
        return self.enforcer.enforce(SimpleNamespace(id=principal), action, plain, context)
