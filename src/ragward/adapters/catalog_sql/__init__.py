"""The catalog on SQLite or PostgreSQL: the only door to SQLAlchemy and Alembic.

`catalog.py` says what is one transaction; the other files hold the SQL, as functions over a connection.
"""

from ragward.adapters.catalog_sql.catalog import SQLCatalog

__all__ = ["SQLCatalog"]
