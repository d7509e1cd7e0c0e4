"""Runs the migrations on the connection that `s2b2c.db.migrate` hands over."""

from alembic import context

from s2b2c import models

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.Account.metadata,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
