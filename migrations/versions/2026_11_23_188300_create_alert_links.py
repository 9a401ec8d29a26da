"""Create what services need of one another, and the links between alerts that are believed to belong together.

Things watched are listed by name from what counts open alerts, which has every service that an alert ever named:
hence its index by name. No tenant's alerts are grouped by the model until an ADMIN asks for it; the release before
this one, while it runs, knows nothing of the setting and leaves it as it is.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_188300"
down_revision = "2026_11_23_187000"
branch_labels = None
depends_on = None

# A constant default is kept in the catalog: no row is written anew.
CORRELATION_ENABLED = "ALTER TABLE tenant_settings ADD COLUMN correlation_enabled boolean NOT NULL DEFAULT false"

SERVICE_DEPENDENCY = """
CREATE TABLE service_dependency (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    service text COLLATE "C" NOT NULL,
    needs text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (tenant_id, service, needs)
)
"""
SERVICE_DEPENDENCY_NEEDS = (
    "CREATE INDEX service_dependency_needs ON service_dependency (tenant_id, needs, service)"
)

# An alert and one that was there before it. The evidence as JSON: sort of reason, share of the score, words.
ALERT_LINK = """
CREATE TABLE alert_link (
    tenant_id uuid NOT NULL,
    alert_id uuid NOT NULL,
    earlier_id uuid NOT NULL,
    score real NOT NULL,
    evidence jsonb NOT NULL,
    PRIMARY KEY (tenant_id, alert_id, earlier_id)
)
"""
# Of an alert at which thousands of others came, only the best are read.
ALERT_LINK_EARLIER = "CREATE INDEX alert_link_earlier ON alert_link (tenant_id, earlier_id, score, alert_id)"

# Alerts that were recorded before this instant have the links that they got when they came.
LINK_POSITION = """
CREATE TABLE link_position (
    tenant_id uuid PRIMARY KEY,
    until timestamptz NOT NULL
) WITH (fillfactor = 50)
"""

OPEN_COUNT_SERVICE = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS open_count_service
ON open_count (tenant_id, monitored_service COLLATE "C")
"""


def upgrade() -> None:
    """Services depend on one another, and alerts are linked."""
    with op.get_context().autocommit_block():
        # One that was not finished is of no use, and has the name.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS open_count_service")
        op.execute(OPEN_COUNT_SERVICE)
    for statement in (
        CORRELATION_ENABLED,
        SERVICE_DEPENDENCY,
        SERVICE_DEPENDENCY_NEEDS,
        ALERT_LINK,
        ALERT_LINK_EARLIER,
        LINK_POSITION,
        "SELECT guard('service_dependency', 'SELECT, INSERT, UPDATE, DELETE')",
        "SELECT guard('alert_link', 'SELECT, INSERT, UPDATE')",
        "SELECT guard('link_position', 'SELECT, INSERT, UPDATE')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Nothing is known of what needs what, and no alert is linked to another."""
    op.execute("DROP TABLE link_position, alert_link")
    op.execute("DROP TABLE service_dependency")
    op.execute("DROP INDEX open_count_service")
    op.execute("ALTER TABLE tenant_settings DROP COLUMN correlation_enabled")
