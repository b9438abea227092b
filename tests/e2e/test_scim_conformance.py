"""The SCIM service as scim2-tester sees it, over a socket: 0 failures."""

from __future__ import annotations

from collections import Counter

import httpx
import pytest
from scim2_client.client import BaseSyncSCIMClient
from scim2_tester import Status, check_server

from tests.e2e.scim import provisioner


class Client(BaseSyncSCIMClient):
    """scim2-client over httpx."""

    def __init__(self, http, **given):
        super().__init__(**given)
        self.http = http

    def _stays_under_base_url(self, endpoint):
        return not endpoint.startswith("http") or endpoint.startswith(str(self.http.base_url))

    def _parse_json(self, response):
        return response.json()

    def request(self, method, url, **given):
        return self.http.request(method, url, **given)


@pytest.fixture
def results(served):
    with httpx.Client(
        base_url=f"{served.url}/scim/v2", headers=provisioner(served.ragward), timeout=20
    ) as http:
        yield check_server(Client(http))


@pytest.mark.prove
def test_scim2_tester_finds_nothing_wrong(results):
    wrong = [
        f"{r.title} ({r.resource_type}): {r.reason}"
        for r in results
        if r.status not in (Status.SUCCESS, Status.SKIPPED)
    ]
    assert not wrong, "\n".join(wrong)
    counted = Counter(r.status for r in results)
    assert counted[Status.SUCCESS] >= 60
    skipped = [
        f"{r.title} ({r.resource_type}): {r.reason}" for r in results if r.status is Status.SKIPPED
    ]
    assert not skipped, "\n".join(skipped)
