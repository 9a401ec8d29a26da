"""Add to the past of a sort of alerts how long the longest of those lasted that ended by themselves.

A page that is held waits for that: half of them outlast their median, and each of those was told all the same. The
release before this one goes on writing the median alone; of what it wrote, the median is waited for as before.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_223000"
down_revision = "2026_11_23_215500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, empty until who learns writes that sort the next time."""
    op.execute("ALTER TABLE noise_history ADD COLUMN quiet_longest interval")


def downgrade() -> None:
    """Take it away."""
    op.execute("ALTER TABLE noise_history DROP COLUMN quiet_longest")
