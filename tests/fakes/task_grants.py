"""Task grants in memory: the part of the fake catalog that keeps them; and that it knows no agents."""

from __future__ import annotations

from dataclasses import replace

from ragward.domain.errors import ConflictError, NotFoundError


class FakeTaskGrants:
    """`ports.TaskGrantStore` over `self._task_grants`; `self._now`, `self._lock` and the epochs are the catalog's."""

    def find_agent(self, tenant, principal):
        return None

    def add_task_grant(self, record):
        with self._lock:
            if record.grant.grant_id in self._task_grants:
                raise ConflictError
            self._task_grants[record.grant.grant_id] = record

    def task_grant(self, tenant, grant_id):
        record = self._task_grants.get(grant_id)
        if record is None or record.grant.tenant != tenant:
            raise NotFoundError
        return record

    def task_grants(self, tenant, *, minted_by=None, limit):
        found = [
            record
            for record in self._task_grants.values()
            if record.grant.tenant == tenant and minted_by in (None, record.grant.minted_by)
        ]
        return sorted(found, key=lambda each: (-each.minted_at, each.grant.grant_id))[:limit]

    def revoke_task_grant(self, tenant, grant_id, *, by):
        with self._lock:
            record = self.task_grant(tenant, grant_id)
            if record.revoked_at is None:
                record = replace(record, revoked_at=self._now(), revoked_by=by, secret_sha256=b"")
            self._task_grants[grant_id] = record
            self._policy_epochs[tenant] = self._move(tenant)
            return self._policy_epochs[tenant]

    def spend_task_tokens(self, tenant, grant_id, tokens):
        with self._lock:
            record = self._task_grants.get(grant_id)
            if record is None or record.grant.tenant != tenant or record.revoked_at is not None:
                return False
            if record.spent_tokens + tokens > record.grant.budget_tokens:
                return False
            spent = record.spent_tokens + tokens
            self._task_grants[grant_id] = replace(record, spent_tokens=spent)
            return True
