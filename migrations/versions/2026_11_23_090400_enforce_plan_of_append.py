"""Have append_v2 change open alerts by their places, however many of them there have become.

Its plans are made once in a session, maybe while a tenant seems to have one alert. Then a join of places may begin
with all alerts that the tenant has, which is cheap only as long as it is true: a flush of 200 repeats took 3 s
beside 50,000 alerts. Where an entry of an index costs much, it begins with the places that are given, and those
lookups which need an index find no other way than theirs.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_090400"
down_revision = "2026_11_23_090300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Appends take as long as what they write, and no longer."""
    # The places of an array are taken for ten, which cost four each where nothing else is set.
    op.execute("ALTER FUNCTION append_v2 SET cpu_index_tuple_cost = 100")


def downgrade() -> None:
    """Appends may read all open alerts again."""
    op.execute("ALTER FUNCTION append_v2 RESET cpu_index_tuple_cost")
