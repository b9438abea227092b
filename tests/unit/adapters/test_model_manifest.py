"""T14: a model is the files its manifest names, to the byte, or it is not loaded."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from ragward.adapters.chunker_semchunk import SemchunkChunker
from ragward.adapters.embedder_onnx import OnnxEmbedder
from ragward.adapters.model_manifest import ModelManifest, find_installed_model
from ragward.domain.errors import IntegrityError

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@pytest.fixture(scope="module")
def installed():
    return find_installed_model()


@pytest.fixture
def small(tmp_path):
    """A stand-in with the layout of a model."""
    for name in ("config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"word_embedding_dimension": 8, "name": "{name}"}}')
    return tmp_path / "model"


def refused(manifest, directory):
    with pytest.raises(IntegrityError) as caught:
        manifest.verify(directory)
    assert caught.value.code == "integrity.model"
    return caught.value.detail


def test_the_installed_model_is_the_shipped_manifest(installed):
    manifest = ModelManifest.shipped()
    manifest.verify(installed)
    assert manifest.files["model.safetensors"] == WEIGHTS
    assert {"tokenizer.json", "1_Pooling/config.json", "modules.json", "config.json"} <= set(
        manifest.files
    )
    assert manifest.digest() == ModelManifest.of(installed).digest()


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"]
)
def test_a_changed_or_missing_file_is_refused(small, name):
    manifest = ModelManifest.of(small)
    manifest.verify(small)
    path = small / name
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert name in refused(manifest, small)
    path.unlink()
    assert name in refused(manifest, small)


@pytest.mark.parametrize(
    "name",
    ["extra.json", "modeling.py", "pytorch_model.bin", "x/y.pkl", "a.so", "2_Dense/config.json"],
)
def test_an_additional_file_is_refused(small, name):
    manifest = ModelManifest.of(small)
    path = small / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    assert name in refused(manifest, small)


def test_files_that_run_code_are_refused_even_if_listed(small):
    (small / "pytorch_model.bin").write_text("x")
    assert "could run code" in refused(ModelManifest.of(small), small)


def test_a_link_out_of_the_directory_is_refused(small, tmp_path):
    manifest = ModelManifest.of(small)
    target = tmp_path / "elsewhere.json"
    shutil.move(small / "config.json", target)
    (small / "config.json").symlink_to(target)
    assert "config.json" in refused(manifest, small)


def test_nothing_is_loaded_before_it_is_verified(small):
    manifest = ModelManifest.of(small)
    (small / "tokenizer.json").write_text("changed")
    with pytest.raises(IntegrityError):
        OnnxEmbedder.load(small, manifest)


def test_the_digest_names_every_file(small):
    before = ModelManifest.of(small).digest()
    (small / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 8}')
    assert ModelManifest.of(small).digest() != before
    files = {"a": hashlib.sha256(b"1").hexdigest(), "b": hashlib.sha256(b"2").hexdigest()}
    assert ModelManifest(files).digest() == ModelManifest(dict(reversed(files.items()))).digest()


# Chunks, counted with the model's tokenizer. ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chunker(installed):
    return SemchunkChunker(installed / "tokenizer.json", max_tokens=60)


def test_chunks_hold_the_text_in_order_and_keep_to_the_limit(chunker):
    words = "The laboratory opens at nine. Über die Spannung: 5 µV — naïve 漢字. "
    text = "\n\n".join(words * n for n in (1, 5, 12, 30))
    chunks = chunker.chunk(text)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    end = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert not text[end : chunk.start].strip()  # nothing but space is lost between chunks
        assert chunker.count_tokens(chunk.text) <= 60
        end = chunk.end
    assert not text[end:].strip()


@pytest.mark.parametrize("text", ["", "   \n\t ", "\n" * 1000])
def test_white_space_is_no_chunk(chunker, text):
    assert chunker.chunk(text) == []


@pytest.mark.parametrize("text", ["x" * 20_000, "漢" * 5_000, "a\u0301" * 5_000, "-" * 20_000])
def test_text_without_any_boundary_is_cut_all_the_same(chunker, text):
    chunks = chunker.chunk(text)
    assert "".join(chunk.text for chunk in chunks) == text
    assert all(chunker.count_tokens(chunk.text) <= 60 for chunk in chunks)


def test_a_text_longer_than_the_window_keeps_its_offsets(chunker):
    text = "Sentence with a number 12345. " * 9_000
    chunks = chunker.chunk(text)
    assert all(text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert "".join("".join(c.text.split()) for c in chunks) == "".join(text.split())
