"""The persistent store: SQLAlchemy tables, migrations, and one repository per noun.

`Store` (in `fractal_jupyter.store.store`) is the only thing that other layers use.
"""
