"""What tests of F1 to F9 stand on; a module with a `ragward` or `index` of its own uses that."""

from __future__ import annotations

import pytest

from tests.abuse.others import CONFIDENTIAL, PUBLIC, RESTRICTED, document, edge, installation, put
from tests.installation import qdrant_client_index


@pytest.fixture(scope="module")
def ragward(tmp_path_factory):
    """One document for the staff, one for engineering, one for ann alone, one for nobody."""
    with installation(tmp_path_factory.mktemp("f01")) as made:
        put(
            made,
            document("open", level=PUBLIC),
            document("theirs", granted=["group:acme/eng"], level=CONFIDENTIAL),
            document("hers", corpus="hr", granted=["user:acme/ann"], level=RESTRICTED),
            document("nobodys", granted=[]),
        )
        yield made


@pytest.fixture(params=["edge", "edge without payload index", "qdrant-client"])
def index(request, tmp_path):
    if request.param == "qdrant-client":
        made = qdrant_client_index()
    else:
        made = edge(tmp_path / "index", payload_index="without" not in request.param)
    yield made
    made.close()
