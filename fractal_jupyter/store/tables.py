"""The tables of the store. The baseline migration creates exactly these (a test compares them)."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself where a key is an INTEGER, which has 64 bits there.
Id = BigInteger().with_variant(Integer, "sqlite")
# Times are seconds since the epoch (UTC), as `time.time()` gives them.

resources = Table(
    "resources",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("document", JSON, nullable=False),
    Column("warm", Boolean, nullable=False),
    # the administrator's file that it comes from; null for what the user has added
    Column("source", String),
    Column("created", Float, nullable=False),
)

profiles = Table(
    "profiles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("resource_id", ForeignKey("resources.id"), nullable=False),
    Column("document", JSON, nullable=False),
    Column("source", String),
    Column("created", Float, nullable=False),
)

task_groups = Table(
    "task_groups",
    metadata,
    Column("id", Id, primary_key=True),
    Column("resource_id", ForeignKey("resources.id"), nullable=False, index=True),
    Column("package", String, nullable=False),
    Column("version", String),
    Column("origin", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("folder", String, nullable=False),
    Column("python_version", String, nullable=False),
    Column("python", String),
    Column("package_root", String),
    # what its environment consists of, exactly; see `environments.lock`
    Column("lock", JSON),
    # the size of all its files, and what of it no other environment shares
    Column("size_bytes", BigInteger),
    Column("own_bytes", BigInteger),
    Column("active", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    Column("last_used", Float),
    # another resource may be another machine, where the folder is another one
    UniqueConstraint("resource_id", "folder"),
)

activities = Table(
    "activities",
    metadata,
    Column("id", Id, primary_key=True),
    Column("task_group_id", ForeignKey("task_groups.id", ondelete="SET NULL"), index=True),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    # what is to be done, and the place that only one activity may change at a time
    Column("request", JSON, nullable=False),
    Column("place", String, index=True),
    Column("status", String, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("error", Text),
    # the name of the class of the error
    Column("error_type", String),
    Column("log", Text, nullable=False),
    Column("process", JSON, nullable=False),
    Column("result", JSON),
    Column("created", Float, nullable=False),
    Column("ended", Float),
)

# What ran, by the digest of its document: task groups come and go, jobs remember.
environments = Table(
    "environments",
    metadata,
    Column("digest", String, primary_key=True),
    Column("document", JSON, nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column(
        "task_group_id",
        ForeignKey("task_groups.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # in the manifest
    Column("position", Integer, nullable=False),
    Column("name", String, nullable=False, index=True),
    Column("entry", JSON, nullable=False),
    UniqueConstraint("task_group_id", "name"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("zarr_dir", String, nullable=False),
    Column("project_dir", String, nullable=False),
    Column("revision", Integer, nullable=False, default=0),
    Column("created", Float, nullable=False),
)

images = Table(
    "images",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("zarr_url", String, nullable=False),
    Column("origin", String),
    Column("attributes", JSON, nullable=False),
    Column("types", JSON, nullable=False),
    UniqueConstraint("dataset_id", "zarr_url"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("steps", JSON, nullable=False),
    Column("created", Float, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("owner", String, nullable=False),
    Column("name", String, nullable=False),
    Column("status", String, nullable=False),
    Column("error", Text),
    Column("waiting_for", Text),
    Column("dataset_id", ForeignKey("datasets.id"), nullable=False, index=True),
    Column("dataset_name", String, nullable=False),
    Column("resource_name", String, nullable=False),
    Column("profile_name", String, nullable=False),
    Column("request", JSON, nullable=False),
    Column("folder", String),
    Column("cancel_requested", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("seconds_before", Float, nullable=False, default=0.0),
    Column("cleaned", Float),
    Index(None, "owner", "status"),
)

steps = Table(
    "steps",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("task_name", String, nullable=False),
    Column("package", String, nullable=False),
    Column("version", String),
    Column("environment", ForeignKey("environments.digest")),
    Column("request", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("error", Text),
    Column("mode", Text),
    Column("phases_planned", Integer, nullable=False),
    Column("type_filter", JSON),
    Column("total", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("interrupted", Integer, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("seconds_before", Float, nullable=False, default=0.0),
)

units = Table(
    "units",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("step", Integer, nullable=False),
    Column("phase", String, nullable=False),
    Column("batch_id", Id),
    Column("zarr_url", String),
    Column("args", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("error", Text),
    Column("problem", String),
    Column("exit_code", BigInteger),
    Column("signal", Integer),
    Column("started", Float),
    Column("ended", Float),
    Column("peak_memory", BigInteger),
    Column("cpu_seconds", Float),
    Column("node", String),
    Column("output", JSON),
    Column("merged", Boolean, nullable=False),
    Column("log", JSON),
    Index(None, "job_id", "step", "status"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("step", Integer, nullable=False),
    Column("phase", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String, nullable=False),
    Column("folder", String, nullable=False),
    Column("status", String, nullable=False),
    Column("handle", JSON),
    Column("submissions", Integer, nullable=False),
    Column("fruitless", Integer, nullable=False),
    Column("positions", JSON, nullable=False),
    UniqueConstraint("job_id", "step", "phase", "number"),
)

leases = Table(
    "leases",
    metadata,
    Column("owner", String, primary_key=True),
    Column("token", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("released", Boolean, nullable=False),
    Column("process", JSON, nullable=False),
    Column("address", LargeBinary),
)
