"""One thread for what learns in tests: many small fits on few cores only wait for each other."""

from __future__ import annotations

import os

# Read when the libraries load, which is after this.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
