"""Two processes on one installation, as deploy/ has them: one ingests and owns the log, one answers. Each does its part only."""

from __future__ import annotations

import pytest

from ragward.domain.errors import RagwardError
from tests import company
from tests.e2e.conftest import served_settings
from tests.installation import asked_by, initialised, opened


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """(the owner, which ingests; the other, which answers)."""
    home = tmp_path_factory.mktemp("roles")
    initialised(home)
    wide = served_settings(home)
    with opened(wide.model_copy(update={"keys_role": "ingest"})) as ingesting:
        ingesting.share()
        with opened(wide.model_copy(update={"keys_role": "query"})) as answering:
            answering.share()
            yield ingesting, answering


def test_one_ingests_and_the_other_answers_sealed_content_too(beside):
    ingesting, answering = beside
    for document in company.documents(30):
        ingesting.ingestion.ingest(company.subject("steward"), document)
    answer = answering.retrieve(asked_by("ann"), "salary contract pension")
    assert answer.passages
    assert max(passage.classification for passage in answer.passages).name == "RESTRICTED"


def test_neither_does_the_others_part(beside):
    ingesting, answering = beside
    with pytest.raises(RagwardError) as caught:
        answering.ingestion.ingest(company.subject("steward"), company.documents(1, seed=5)[0])
    assert caught.value.code == "unavailable.keys"
    with pytest.raises(RagwardError) as caught:
        ingesting.retrieve(asked_by("ann"), "salary contract pension")
    assert caught.value.code == "unavailable.keys"


def test_sharing_beside_an_owner_leaves_the_owners_socket(beside):
    """It used to take its place: whoever came next asked the process that asks."""
    ingesting, answering = beside
    before = (ingesting.settings.data_dir / "owner.sock").stat().st_ino
    answering.share()
    assert (ingesting.settings.data_dir / "owner.sock").stat().st_ino == before
    with opened(answering.settings) as third:
        assert third.audit.verify().consistent
