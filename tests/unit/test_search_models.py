"""Further models by the settings: pinned by the digest of their manifest, verified file by file."""

from __future__ import annotations

import json
import shutil

import pytest

from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.domain.errors import ConfigurationError, IntegrityError
from ragward.opening import open_embedder, open_search_embedders
from ragward.settings import SearchModelSettings
from tests.installation import settings_in


@pytest.fixture(scope="module")
def revision(tmp_path_factory):
    """The installed model as another revision of it: a line of its configuration is another one."""
    directory = tmp_path_factory.mktemp("models")
    copy = directory / "revision"
    shutil.copytree(find_installed_model(), copy)
    configuration = copy / "config.json"
    values = json.loads(configuration.read_text()) | {"_name_or_path": "another revision"}
    configuration.write_text(json.dumps(values))
    found = ModelManifest.of(copy)
    (directory / "revision.json").write_text(json.dumps({"files": dict(found.files)}))
    return SearchModelSettings(
        model_dir=copy, manifest=directory / "revision.json", sha256=found.digest()
    )


def settings_with(tmp_path, *models):
    return settings_in(tmp_path).model_copy(update={"search_models": models})


@pytest.mark.model
def test_another_revision_is_loaded_and_embeds(revision, tmp_path):
    settings = settings_with(tmp_path, revision)
    [further] = open_search_embedders(settings)
    first = open_embedder(settings)
    assert further.model_digest == revision.sha256 != first.model_digest
    [mine], [other] = further.embed(["travel budget"]), first.embed(["travel budget"])
    assert len(mine) == further.dimension == 384
    assert mine == pytest.approx(other, abs=1e-5)  # the same weights


@pytest.mark.model
def test_what_is_not_what_was_pinned_is_refused(revision, tmp_path):
    swapped = revision.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(IntegrityError) as refused:
        open_search_embedders(settings_with(tmp_path, swapped))
    assert refused.value.code == "integrity.model"
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    with pytest.raises(ConfigurationError):
        open_search_embedders(
            settings_with(tmp_path, revision.model_copy(update={"manifest": manifest}))
        )
    hidden = revision.model_dir / "code.py"
    hidden.write_text("print()")
    try:
        with pytest.raises(IntegrityError):
            open_search_embedders(settings_with(tmp_path, revision))
    finally:
        hidden.unlink()
