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
    """One policy, decided by Casbin over plain strings and has_link. `rows` and `memberships` are sequences of strings."""

    def __init__(self, rows, memberships):
        model = Model()
        model.load_model_from_text(MODEL_FILE.read_text())
        self.enforcer = casbin.Enforcer(model)
        self.links = self.enforcer.get_role_manager
        for function in (
            self.in_corpus,
            self.in_levels,
            self.in_compartment,
            self.cleared,
            self.acl,
            self.current,
        ):
            self.enforcer.add_function(function.__name__, function)
        # Straight into Casbin's model: its own add_policy looks through all rows for every new one.
        model["p"]["p"].policy = [list(row) for row in dict.fromkeys(map(tuple, rows))]
        model["g"]["g"].policy = [list(pair) for pair in dict.fromkeys(map(tuple, memberships))]
        self.enforcer.build_role_links()

    @staticmethod
    def in_corpus(label, pattern):
        tenant, corpus = pattern.split("/")
        return tenant == label.tenant and corpus in ("*", label.corpus)

    @staticmethod
    def in_levels(label, levels):
        ends = levels.split("..")
        return LEVELS.index(ends[0]) <= LEVELS.index(label.level) <= LEVELS.index(ends[-1])

    @staticmethod
    def in_compartment(label, compartment):
        return compartment == "*" or compartment in label.compartments

    def cleared(self, sub, label, ctx):
        return ctx.administrative or all(
            self.is_a(sub.id, f"compartment:{label.tenant}/{name}") for name in label.compartments
        )

    def acl(self, sub, label, ctx):
        if ctx.administrative:
            return True
        if any(self.is_a(sub.id, name) for name in label.denied):
            return False
        return ctx.delegate or any(self.is_a(sub.id, name) for name in label.granted)

    @staticmethod
    def current(label, ctx):
        if ctx.administrative:
            return True
        begun = label.valid_from is None or label.valid_from <= ctx.now
        return begun and (label.valid_until is None or ctx.now < label.valid_until)

    def is_a(self, principal, group):
        """Whether the principal is the group or a member of it, however many hops Casbin follows."""
        return self.links().has_link(principal, group)

    def may(self, principal, action, label, now, *, delegate=False, administrative=False):
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
        context = SimpleNamespace(now=now, delegate=delegate, administrative=administrative)
        return self.enforcer.enforce(SimpleNamespace(id=principal), action, plain, context)

    def permits(self, subject, action, label, now, *, administrative=False):
        """The person (or application alone) ∩ the application ∩ every agent."""
        application = subject.application
        if subject.principal == application.principal and label.classification.name != "PUBLIC":
            return False
        if label.tenant != application.tenant or label.classification > application.ceiling:
            return False
        if "*" not in application.corpora and label.corpus not in application.corpora:
            return False
        if not administrative and any(
            self.is_a(application.principal, name) for name in label.denied
        ):
            return False
        if not self.may(subject.principal, action, label, now, administrative=administrative):
            return False
        return all(
            self.may(agent, action, label, now, delegate=True, administrative=administrative)
            for agent in subject.agents
        )

    def reveals(self, subject, entity_type, label, now):
        """Whether a type of personal data is shown under a label that may be read.

        Rows decide that by corpus, level and compartment; the label's own grants were checked for reading it.
        """
        return self.permits(subject, f"reveal:{entity_type}", label, now, administrative=True)
