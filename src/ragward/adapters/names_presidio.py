"""Names by an engine of presidio's own: spaCy, transformers or GLiNER, where their models can be had.

Off by default. The file is presidio's (AnalyzerEngineProvider); models it names are loaded from where it says, and may be
downloaded by the libraries: use local paths. docs/personal-data.md has examples.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ragward.adapters.names_head import KINDS
from ragward.adapters.presidio_imports import import_presidio
from ragward.domain.corpus import Vector
from ragward.domain.errors import ConfigurationError
from ragward.domain.findings import Span


class PresidioNames:
    """`finder_presidio.NameReader` by a configuration file. Loaded on first use; made before anything else imports presidio."""

    def __init__(self, file: Path) -> None:
        try:
            data = file.read_bytes()
        except OSError:
            raise ConfigurationError(f"names_engine: {file.name} cannot be read") from None
        import_presidio(with_models=True)
        self._file = file
        self._engine: Any = None
        self.version = f"engine-{hashlib.sha256(data).hexdigest()[:12]}"

    def read_chunks(self, texts: Sequence[str]) -> tuple[list[Vector] | None, list[list[Span]]]:
        """The names in each text; vectors are made elsewhere."""
        return None, self.read(texts)

    def read(self, texts: Sequence[str]) -> list[list[Span]]:
        """The names in each text. Raises `config.invalid` if the engine cannot be made."""
        if self._engine is None:
            self._engine = self._loaded()
        return [
            [
                Span(hit.start, hit.end, hit.entity_type, min(float(hit.score), 1.0))
                for hit in self._engine.analyze(text, language="en", entities=list(KINDS))
            ]
            for text in texts
        ]

    def _loaded(self) -> Any:
        from presidio_analyzer import AnalyzerEngineProvider

        try:
            return AnalyzerEngineProvider(analyzer_engine_conf_file=self._file).create_engine()
        except (Exception, SystemExit) as error:
            kind = type(error).__name__
            raise ConfigurationError(f"names_engine: the engine cannot be made: {kind}") from error
