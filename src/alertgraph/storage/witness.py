"""The newest checkpoint of each tenant in a folder of files: what a database can't forget that is restored."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from alertgraph.core.ids import NodeKind, TenantId, encode_id


class FolderWitness:
    """Keeps one file for each tenant. Fulfils `services.ports.Witness`.

    Args:
        folder: Made when the first note is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self, tenant_id: TenantId) -> str | None:
        """Return the note that was kept last; None where there is none."""
        try:
            return self.path(tenant_id).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def keep(self, tenant_id: TenantId, note: str) -> None:
        """Keep a note in place of the one before: whole, or not at all."""
        path = self.path(tenant_id)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Of a name that nobody else writes to: several sealers may share a folder.
        handle, new = tempfile.mkstemp(dir=self._folder, prefix=f"{path.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(path)
        except OSError:
            Path(new).unlink(missing_ok=True)
            raise

    def path(self, tenant_id: TenantId) -> Path:
        """Return the file of a tenant's newest checkpoint."""
        return self._folder / f"{encode_id(NodeKind.TENANT, tenant_id)}.checkpoint"
