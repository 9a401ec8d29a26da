"""Several processes that fit one network together, started by torch's own launcher (torchrun), or one by itself.

Rows are dealt into eight blocks, whoever takes them, and what blocks come to is added up pairwise in one order:
the same sums, bit by bit, by one process, two, four or eight.

References:
    Li et al., *PyTorch distributed: experiences on accelerating data parallel training*, 2020.
    Rabenseifner, *Optimization of collective reduction operations*, 2004 (recursive doubling).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist

BLOCK_COUNT = 8


class ProcessesError(Exception):
    """The processes can't work together: too many of them, or of different minds; the message says which."""


class Processes:
    """Who trains together."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        """Take a place among them.

        Args:
            rank: Which of them this one is, from 0.
            count: How many there are.

        Raises:
            ProcessesError: The blocks can't be dealt evenly to so many.
        """
        if count < 1 or BLOCK_COUNT % count:
            raise ProcessesError(f"1, 2, 4 or 8 processes can train together, not {count}")
        self.rank = rank
        self.count = count
        share = BLOCK_COUNT // count
        self.blocks = range(rank * share, (rank + 1) * share)

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def total(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the sum over all blocks of all processes.

        Args:
            parts: One for each of `blocks`, in order, all of one shape.
        """
        sums = list(parts)
        while len(sums) > 1:
            sums = [left + right for left, right in zip(sums[::2], sums[1::2], strict=True)]
        whole = sums[0]
        distance = 1
        while distance < self.count:
            # Each doubling adds what a neighbour twice as far away has; one plus other is other plus one.
            other, theirs = self.rank ^ distance, torch.empty_like(whole)
            exchange = [dist.P2POp(dist.isend, whole, other), dist.P2POp(dist.irecv, theirs, other)]
            for work in dist.batch_isend_irecv(exchange):
                work.wait()
            whole = whole + theirs
            distance *= 2
        return whole

    def check_agreed(self, what: str, digest: bytes) -> None:
        """Return where all processes have the same; else raise in each that differs from the first.

        Raises:
            ProcessesError: It differs; the message says what.
        """
        if self.count == 1:
            return
        mine = torch.frombuffer(bytearray(digest), dtype=torch.uint8)
        firsts = mine.clone()
        dist.broadcast(firsts, src=0)
        if not torch.equal(mine, firsts):
            raise ProcessesError(f"process {self.rank} has another {what} than the first; all need the same files")


@contextmanager
def joined() -> Iterator[Processes]:
    """Yield the processes that the launcher started together; just this one where there was no launcher.

    Raises:
        ProcessesError: There are too many.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    processes = Processes(int(os.environ.get("RANK", "0")), count)
    if count == 1:
        yield processes
        return
    dist.init_process_group("gloo")
    try:
        yield processes
    finally:
        dist.destroy_process_group()
