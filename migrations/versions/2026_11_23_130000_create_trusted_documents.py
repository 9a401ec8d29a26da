"""Create the documents that tenants have registered, and say of each tenant which ones it executes.

Whatever was executed before still is: a tenant's mode is OPEN (1) until somebody changes it. A release that knows
nothing of the modes, and still runs, goes on executing everything.
"""

from __future__ import annotations

from alembic import op

revision = "2026_11_23_130000"
down_revision = "2026_11_23_090400"
branch_labels = None
depends_on = None

# A constant default is kept in the catalog: no row is written anew.
DOCUMENT_MODE = "ALTER TABLE tenant_settings ADD COLUMN document_mode smallint NOT NULL DEFAULT 1"

TRUSTED_DOCUMENT = """
CREATE TABLE trusted_document (
    tenant_id uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    sha256 bytea NOT NULL,
    name text,
    body text NOT NULL,
    source smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, sha256)
)
"""


def upgrade() -> None:
    """Documents can be registered."""
    for statement in (
        DOCUMENT_MODE,
        TRUSTED_DOCUMENT,
        "SELECT guard('trusted_document', 'SELECT, INSERT, UPDATE, DELETE')",
    ):
        op.execute(statement)


def downgrade() -> None:
    """Every document is executed again, and none by its hash."""
    op.execute("DROP TABLE trusted_document")
    op.execute("ALTER TABLE tenant_settings DROP COLUMN document_mode")
