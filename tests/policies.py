"""Policy administration over fakes and the real PDP, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ragward.adapters.pdp_casbin import CasbinPolicyDecisionPoint
from ragward.domain.policy import Membership, PolicyRow
from ragward.evidence import Recorder
from ragward.opening import policy_duties
from ragward.policy_administration import PolicyAdministration, PolicyAdministrationPorts
from tests import company
from tests.fakes.audit_sqlite import FakeAuditLog
from tests.fakes.catalog_sql import FakeCatalog

MODEL = Path(__file__).parents[1] / "policies" / "model.conf"
ADMINISTRATION = PolicyRow(
    "role:acme/admin", "policy:*", "acme/*", "PUBLIC..RESTRICTED", "*", "allow"
)
ADMINISTRATORS = (
    Membership("user:acme/steward", "role:acme/admin"),
    Membership("user:acme/second", "role:acme/admin"),
)


@dataclass
class Office:
    """Policy administration and what it stands on."""

    administration: PolicyAdministration
    catalog: FakeCatalog
    pdp: CasbinPolicyDecisionPoint
    audit: FakeAuditLog
    clock: company.SetClock


def office(rows, memberships=(), *, four_eyes=True, now=250, catalog=None) -> Office:
    """With these rows in force beside those of two administrators, `steward` and `second`."""
    clock = company.SetClock(seconds=now)
    catalog = catalog or FakeCatalog(now=clock.now)
    catalog.replace_policy(
        "acme", [*rows, ADMINISTRATION], [*memberships, *ADMINISTRATORS], "operator"
    )
    pdp = CasbinPolicyDecisionPoint(
        catalog, model_text=MODEL.read_text(), entity_types=frozenset({"PERSON"})
    )
    audit = FakeAuditLog()
    administration = PolicyAdministration(
        PolicyAdministrationPorts(
            catalog=catalog,
            pdp=pdp,
            recorder=Recorder(audit=audit, clock=clock),
            clock=clock,
            duties=policy_duties(),
            four_eyes=four_eyes,
        )
    )
    return Office(administration, catalog, pdp, audit, clock)
