"""Alembic's entry: runs the migrations on the connection, and in the transaction, that the catalog hands over."""

from __future__ import annotations

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run migrations with `ragward init --upgrade`, not with the alembic command")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
