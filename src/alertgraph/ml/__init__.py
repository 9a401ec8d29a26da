"""Learning: what an alert will become, from what alerts like it became. Only this package knows torch.

Nothing here is imported by the process that serves the API. What costs seconds to load (torch, scikit-learn)
is loaded by the modules that use it: `features`, `calibration` and `evaluation` need numpy alone.
"""
