"""A training under way, as a file: killed at any moment, it goes on from there and comes to the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from alertgraph.ml.container import ContainerError, contained, read_bytes, taken_out, write_bytes
from alertgraph.ml.model import Network

MAGIC = b"AGTRAIN1"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class CheckpointError(Exception):
    """A file is no checkpoint of this training; the message says what differs."""


class Checkpoint:
    """Where one stage of a training is kept."""

    def __init__(self, path: Path, belongs_to: Mapping[str, str]) -> None:
        """Name it.

        Args:
            path: The file; it need not be there.
            belongs_to: What decides how the training goes: examples, settings, versions. One that was written
                with anything else is refused.
        """
        self.path = path
        self.belongs_to = dict(belongs_to)

    def read(self, network: Network, optimizer: torch.optim.Optimizer) -> int:
        """Put weights and moments in place as they were kept, and return how many steps are done; 0: none.

        Raises:
            CheckpointError: It is damaged, or of another training.
        """
        if not self.path.exists():
            return 0
        try:
            header, arrays = taken_out(MAGIC, read_bytes(self.path), "checkpoint")
        except ContainerError as error:
            raise CheckpointError(f"{self.path}: {error}") from error
        kept = header.get("belongs_to", {})
        differs = sorted(
            name for name in kept.keys() | self.belongs_to.keys() if kept.get(name) != self.belongs_to.get(name)
        )
        if differs:
            raise CheckpointError(
                f"{self.path} was kept of another training: {', '.join(differs)} differ; name another folder"
            )
        try:
            network.load_state_dict(
                {name: torch.from_numpy(arrays[f"network/{name}"].copy()) for name in network.state_dict()}
            )
            for name, weights in network.named_parameters():
                optimizer.state[weights] = {
                    moment: torch.from_numpy(arrays[f"{moment}/{name}"].copy()) for moment in MOMENTS
                }
            return int(header["step"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{self.path} does not hold together: {error}") from error

    def write(self, step: int, network: Network, optimizer: torch.optim.Optimizer) -> None:
        """Keep weights and moments as they are after so many steps, in the place of what was kept before."""
        arrays = {f"network/{name}": tensor.detach().numpy() for name, tensor in network.state_dict().items()}
        for name, weights in network.named_parameters():
            for moment in MOMENTS:
                arrays[f"{moment}/{name}"] = optimizer.state[weights][moment].detach().numpy()
        write_bytes(self.path, contained(MAGIC, {"belongs_to": self.belongs_to, "step": step}, arrays))
