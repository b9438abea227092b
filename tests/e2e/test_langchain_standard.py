"""LangChain's own tests of a retriever (`langchain-tests`), unmodified, against a live server."""

from __future__ import annotations

import pytest

from tests.e2e.frameworks import framework

standard = framework("langchain_tests.integration_tests")

from ragward.client import RagwardClient  # noqa: E402 - after what is skipped without it
from ragward.integrations.langchain import RagwardRetriever  # noqa: E402

pytestmark = pytest.mark.asyncio  # their async tests do not say so themselves


class TestRagwardRetriever(standard.RetrieversIntegrationTests):
    """As ben, through the public client."""

    @pytest.fixture(autouse=True)
    def _live(self, served):
        with RagwardClient(served.url) as client:
            type(self).given = {
                "retriever": client,
                "user_token": lambda: served.token("ben"),
                "corpora": ("eng",),
            }
            yield

    @property
    def retriever_constructor(self):
        return RagwardRetriever

    @property
    def retriever_constructor_params(self):
        return dict(self.given)

    @property
    def retriever_query_example(self):
        return "budget travel report"
