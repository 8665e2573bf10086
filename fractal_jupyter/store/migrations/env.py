"""Run by Alembic: migrate over the connection that `fractal_jupyter.store.schema` holds."""

from alembic import context

from fractal_jupyter.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
