"""Which models there are, told by their files alone: who answers requests never loads one."""

from __future__ import annotations

from pathlib import Path

import alertgraph
from alertgraph.edge.installation import StartError
from alertgraph.settings import Settings

SUFFIX = ".agmodel"
# Those that every installation has, and those that an operator has put beside its data.
BUNDLED_FOLDER = Path(alertgraph.__file__).parent / "ml" / "bundled"
OWN_FOLDER = "models"


def model_path(settings: Settings) -> Path | None:
    """Return the file of the model that is set; None where learning is off, or where no model is installed at all.

    Raises:
        StartError: There is no such model; the message names those there are.
    """
    if not settings.ml_enabled:
        return None
    wanted = settings.prediction_model
    if "/" in wanted or wanted.endswith(SUFFIX):
        path = Path(wanted).expanduser()
        if path.is_file():
            return path
        raise StartError(
            f"CRITICAL_ALERT_PREDICTION_MODEL names {wanted}, which is no file; {_those_there_are(settings)}"
        )
    names = model_names(settings)
    if not names and wanted == Settings.model_fields["prediction_model"].default:
        return None
    for folder in _folders(settings):
        path = folder / f"{wanted}{SUFFIX}"
        if path.is_file():
            return path
    raise StartError(
        f"CRITICAL_ALERT_PREDICTION_MODEL names {wanted}, and there is none; {_those_there_are(settings)}"
    )


def model_names(settings: Settings) -> list[str]:
    """Return the names of the models that are bundled or in the data directory."""
    return sorted({path.stem for folder in _folders(settings) for path in folder.glob(f"*{SUFFIX}")})


def _folders(settings: Settings) -> tuple[Path, Path]:
    return settings.data_dir / OWN_FOLDER, BUNDLED_FOLDER


def _those_there_are(settings: Settings) -> str:
    names = model_names(settings)
    return f"there are {', '.join(names)}." if names else "there are none in this installation."
