"""Create what holding likely noise needs: how far each tenant goes, what its own alerts taught, and what it cost.

Nothing is held until an ADMIN asks for it. The release before this one, while it runs, knows nothing of it: it
pages what this one would hold, and judges what this one holds by its time, as it does with every hold.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_195000"
down_revision = "2026_11_23_188300"
branch_labels = None
depends_on = None

# Constant defaults are kept in the catalog: no row is written anew.
_SETTINGS = """
ALTER TABLE tenant_settings
    ADD COLUMN noise_mode smallint NOT NULL DEFAULT 1,
    ADD COLUMN noise_hold_max interval NOT NULL DEFAULT '5 minutes',
    ADD COLUMN noise_regret_budget interval NOT NULL DEFAULT '1 hour',
    ADD COLUMN noise_armed_at timestamptz
"""

NOISE_POLICY = """
CREATE TABLE noise_policy (
    tenant_id uuid PRIMARY KEY,
    spare_key bytea NOT NULL,
    model_threshold double precision,
    history_threshold double precision,
    predicts boolean NOT NULL,
    fresh_until timestamptz NOT NULL
)
"""

# How alerts of one dedup key, or of one kind, ended before.
NOISE_HISTORY = """
CREATE TABLE noise_history (
    tenant_id uuid NOT NULL,
    key bytea NOT NULL,
    noise_probability double precision NOT NULL,
    ended_count double precision NOT NULL,
    quiet_count double precision NOT NULL,
    quiet_median interval,
    PRIMARY KEY (tenant_id, key)
) WITH (fillfactor = 70)
"""

# One row for each alert whose page was held, and what came of it.
NOISE_HOLD = """
CREATE TABLE noise_hold (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    held_at timestamptz NOT NULL,
    until timestamptz,
    probability double precision NOT NULL,
    basis smallint NOT NULL,
    ended_at timestamptz,
    regret interval,
    PRIMARY KEY (tenant_id, alert_id)
) WITH (fillfactor = 70)
"""
# What counts is read from the index alone; what is older than anybody asks for is taken from its begin.
NOISE_HOLD_COUNTED = "CREATE INDEX noise_hold_counted ON noise_hold (tenant_id, held_at) INCLUDE (regret)"

# Held alerts are looked at again when the tenant's mind has changed, as with the other reasons.
ALERT_OPEN_HELD = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS alert_open_held_as_noise ON alert_open (tenant_id, hold_reason, id)
WHERE hold_reason = 7
"""


def upgrade() -> None:
    """Pages of likely noise can be held."""
    with op.get_context().autocommit_block():
        # One that was not finished is of no use, and has the name.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS alert_open_held_as_noise")
        op.execute(ALERT_OPEN_HELD)
    for statement in (
        _SETTINGS,
        NOISE_POLICY,
        NOISE_HISTORY,
        NOISE_HOLD,
        NOISE_HOLD_COUNTED,
        "SELECT guard('noise_policy', 'SELECT, INSERT, UPDATE, DELETE')",
        "SELECT guard('noise_history', 'SELECT, INSERT, UPDATE, DELETE')",
        "SELECT guard('noise_hold', 'SELECT, INSERT, UPDATE, DELETE')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """What is held is due at once, and nothing is held any more."""
    op.execute("UPDATE alert_open SET judge_at = now(), due_at = least(due_at, now()) WHERE hold_reason = 7")
    op.execute("DROP TABLE noise_hold, noise_history, noise_policy")
    op.execute("DROP INDEX alert_open_held_as_noise")
    op.execute(
        "ALTER TABLE tenant_settings DROP COLUMN noise_mode, DROP COLUMN noise_hold_max,"
        " DROP COLUMN noise_regret_budget, DROP COLUMN noise_armed_at"
    )
