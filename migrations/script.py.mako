"""${message}."""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say what the database has afterwards."""
    ${upgrades if upgrades else "raise NotImplementedError"}


def downgrade() -> None:
    """Say what is taken back."""
    ${downgrades if downgrades else "raise NotImplementedError"}
