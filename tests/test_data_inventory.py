"""docs/data-inventory.md lists every table and every kind of file: what is not listed is not thought of when something is shredded."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from ragward.adapters.catalog_sql.schema import metadata
from tests import company
from tests.installation import initialised, opened

PAGE = (Path(__file__).parents[1] / "docs/data-inventory.md").read_text()
TABLES, FILES = PAGE.split("## Tables")[1].split("## Files")
ROWS = [row for row in TABLES.splitlines() if row.startswith("| `")]
LISTED = {name for row in ROWS for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_every_table_is_listed_and_every_one_listed_is_there():
    assert set(metadata.tables) | {"alembic_version"} == LISTED


def test_every_row_says_what_shredding_does():
    for row in ROWS:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4
        assert all(cells), row


def test_every_file_of_the_data_directory_is_listed(tmp_path):
    patterns = re.findall(r"`(?:data_dir/)?([\w*.-]+/?)`", FILES.split("## Elsewhere")[0])
    settings = initialised(tmp_path)
    with opened(settings) as ragward:
        ragward.share()
        for document in company.documents(3):
            ragward.ingestion.ingest(company.subject("steward"), document)
        found = list(settings.data_dir.iterdir())
        inside = list((settings.data_dir / "index").iterdir())
    assert {"catalog.db", "audit.db", "index"} <= {path.name for path in found}
    for path in found + inside:
        name = path.name + ("/" if path.is_dir() and path.parent == settings.data_dir else "")
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
