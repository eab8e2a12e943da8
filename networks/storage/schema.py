"""The tables of a run file.

Every row has a checksum (`networks.storage.seal`), and the one row of RUN has the number of rows of
each table: changed values and missing rows are noticed. Rows of finished stages never
change, unless the surface has changed: then the trials since it was checked are dropped. Rows of
`planned` and `results` last until then, or as long as a trial in flight can see them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from networks.storage.seal import Blob, check_column

SCHEMA_VERSION = 8
"""Raised with every change of the tables: files of other versions are refused."""


def _point_columns() -> tuple[sa.Column[Any], ...]:
    """The columns of a stationary point: the fields of `afir.stationary.StationaryPoint`."""
    return (
        sa.Column("positions", Blob, nullable=False),
        sa.Column("energy", sa.Float, nullable=False),
        sa.Column("gradient_max", sa.Float, nullable=False),
        sa.Column("hessian", Blob, nullable=False),
        sa.Column("wavenumbers", Blob, nullable=False),
        sa.Column("mode", Blob, nullable=False),
        sa.Column("order", sa.Integer, nullable=False),
    )


METADATA = sa.MetaData()
RUN = sa.Table(
    "run",
    METADATA,
    sa.Column("schema_version", sa.Integer, nullable=False),
    sa.Column("numbers", sa.Text, nullable=False),
    sa.Column("charge", sa.Integer, nullable=False),
    sa.Column("multiplicity", sa.Integer, nullable=False),
    sa.Column("start", Blob, nullable=False),
    sa.Column("settings", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("stages", sa.Integer, nullable=False),
    # The last trial after which the surface was the same as at the start.
    sa.Column("checked", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("anything_left", sa.Boolean, nullable=False),
    sa.Column("stopped_by", sa.Text, nullable=False),
    sa.Column("wanted", Blob),
    sa.Column("wanted_energy", sa.Float),
    sa.Column("counts", sa.Text, nullable=False),
    check_column(),
)
EQS = sa.Table(
    "eqs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    *_point_columns(),
    sa.Column("flags", sa.Text, nullable=False),
    check_column(),
)
DCS = sa.Table(
    "dcs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("fragments", sa.Text, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("positions", Blob, nullable=False),
    check_column(),
)
TSS = sa.Table(
    "tss",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    *_point_columns(),
    sa.Column("first_end", sa.Text, nullable=False),
    sa.Column("second_end", sa.Text, nullable=False),
    sa.Column("proof", sa.Text, nullable=False),
    sa.Column("irc_positions", Blob, nullable=False),
    sa.Column("irc_energies", Blob, nullable=False),
    check_column(),
)
TRIALS = sa.Table(
    "trials",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("known", sa.Integer, nullable=False),
    sa.Column("eq", sa.Integer, sa.ForeignKey("eqs.number"), nullable=False),
    sa.Column("push", sa.Integer, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("offer", sa.Text, nullable=False),
    sa.Column("seed", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("crossed", sa.Boolean, nullable=False),
    sa.Column("gamma", sa.Float, nullable=False),
    sa.Column("gradients", sa.Text, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("met", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("pushes_left", sa.Integer, nullable=False),
    sa.UniqueConstraint("eq", "push"),
    check_column(),
)
STAGES = sa.Table(
    "stages",
    METADATA,
    # 0 is the start.
    sa.Column("number", sa.Integer, primary_key=True),
    # 0 for a stage without one.
    sa.Column("trial", sa.Integer, nullable=False),
    # Of tasks outside the trial: the start, rechecks of EQ0, and learning.
    sa.Column("gradients", sa.Text, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    check_column(),
)
PLANNED = sa.Table(
    "planned",
    METADATA,
    # Trials in flight, those that they can see, and those since the last check of the surface.
    sa.Column("stage", sa.Integer, primary_key=True),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("eq", sa.Integer, nullable=False),
    sa.Column("push", sa.Integer, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("offer", sa.Text, nullable=False),
    sa.Column("pushes_left", sa.Integer, nullable=False),
    sa.Column("ceiling", sa.Float),
    sa.Column("gamma", sa.Float),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("known", sa.Text, nullable=False),
    check_column(),
)
DISMISSED = sa.Table(
    "dismissed",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("energy", sa.Float, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("node", sa.Text),
    sa.Column("trial", sa.Integer, nullable=False),
    sa.Column("positions", Blob, nullable=False),
    check_column(),
)
RESULTS = sa.Table(
    "results",
    METADATA,
    sa.Column("stage", sa.Integer, primary_key=True),
    sa.Column("phase", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("outcome", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("gradients", sa.Text, nullable=False),
    sa.Column("cpu_seconds", sa.Float, nullable=False),
    sa.Column("value", sa.Text),
    sa.Column("arrays", Blob),
    # The node that the structure became, once its trial is judged.
    sa.Column("node", sa.Text),
    check_column(),
)


FRAMES = sa.Table(
    "frames",
    METADATA,
    sa.Column("stage", sa.Integer, primary_key=True),
    sa.Column("phase", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("origins", sa.Text, nullable=False),
    sa.Column("positions", Blob, nullable=False),
    sa.Column("energies", Blob, nullable=False),
    sa.Column("gradients", Blob, nullable=False),
    check_column(),
)


MODELS = sa.Table(
    "models",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("labels", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("errors", sa.Text, nullable=False),
    check_column(),
)


EXAMINED = sa.Table(
    "examined",
    METADATA,
    # 0 is the surface that is searched, 1 the reference.
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("surface", sa.Text, nullable=False),
    sa.Column("deviation", sa.Float, nullable=False),
    sa.Column("ratio", sa.Float, nullable=False),
    sa.Column("drift", sa.Float, nullable=False),
    sa.Column("doubt", sa.Text, nullable=False),
    check_column(),
)


COUNTED = tuple(table for table in METADATA.sorted_tables if table is not RUN)
"""The tables whose rows are counted in the row of the run."""
