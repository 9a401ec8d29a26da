"""Which types of alarm bring which about, told from when and where alarms begin; no label needed.

Five signs speak for "a brings b about", each turned into a rank among all ordered pairs, and all count the same:

- *followed*: how often an a has a b after it, on the same device or one next to it;
- *preceded*: how often a b has an a before it;
- *order*: how much more often a comes first than b does;
- *lasting*: how long an a lasts: a condition that stays is more often a cause than a passing event;
- *opening*: how often an a is the first of a burst of several types.

Repeats of a type on a device within ten minutes are one alarm: chatter would drown the order in time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUIET_SECONDS: Final = 600
WINDOW_SECONDS: Final = 900
BURST_GAP_SECONDS: Final = 60
EDGE_SHARE: Final = 0.25
"""The share of ordered pairs that are told as edges: how dense experts drew such graphs."""


@dataclass(frozen=True, slots=True)
class AlarmSigns:
    """What was counted, device by device, so that devices can be left out or drawn again.

    Attributes:
        after: (devices, types, types) b's on a device with an a within the window before, there or next to it.
        count: (devices, types) alarms without their repeats.
        opened: (devices, types) bursts of several types that this type was the first of, alone or among others.
        burst: (devices, types) bursts of several types that this type was in.
        lasted: (devices, types) seconds that all its alarms lasted, repeats included.
        raised: (devices, types) all its alarms, repeats included.
    """

    after: Floats
    count: Floats
    opened: Floats
    burst: Floats
    lasted: Floats
    raised: Floats


def alarm_signs(
    types: Ints,
    devices: Ints,
    began_at: Ints,
    ended_at: Ints,
    neighbours: Mapping[int, Collection[int]],
    type_count: int,
) -> AlarmSigns:
    """Return what alarms show, counted on each device.

    Args:
        types: (n,) from 0 to `type_count` - 1.
        devices: (n,) where each began.
        began_at: (n,) seconds.
        ended_at: (n,) seconds, not before.
        neighbours: The devices next to each device; those missing have none.
        type_count: How many types there are.
    """
    order = np.lexsort((types, began_at))
    types, devices, began_at, ended_at = types[order], devices[order], began_at[order], ended_at[order]
    names = np.unique(devices)
    shape = (len(names), type_count)
    after = np.zeros((*shape, type_count))
    count, opened, burst, lasted, raised = (np.zeros(shape) for _ in range(5))
    times: dict[int, dict[int, Ints]] = {}
    for place, device in enumerate(names.tolist()):
        here = devices == device
        kinds, starts = types[here], began_at[here]
        np.add.at(lasted[place], kinds, ended_at[here] - starts)
        np.add.at(raised[place], kinds, 1)
        _bursts(kinds, starts, opened[place], burst[place])
        times[device] = {
            int(kind): starts[kinds == kind][_first_of_chatter(starts[kinds == kind])] for kind in np.unique(kinds)
        }
        for kind, alone in times[device].items():
            count[place, kind] = len(alone)
    for place, device in enumerate(names.tolist()):
        around: dict[int, list[Ints]] = {}
        for near in (device, *(one for one in neighbours.get(device, ()) if one != device)):
            for kind, alone in times.get(near, {}).items():
                around.setdefault(kind, []).append(alone)
        merged = {kind: np.sort(np.concatenate(parts)) for kind, parts in around.items()}
        for later, moments in times[device].items():
            for earlier, before in merged.items():
                if earlier != later:
                    # From the window's start up to, not including, the very moment: together is no order.
                    low = np.searchsorted(before, moments - WINDOW_SECONDS, "left")
                    high = np.searchsorted(before, moments - 1, "right")
                    after[place, earlier, later] = np.count_nonzero(high > low)
    return AlarmSigns(after, count, opened, burst, lasted, raised)


def cause_scores(signs: AlarmSigns, weights: Floats | None = None) -> Floats:
    """Return (types, types) how much speaks for the row's type bringing the column's about; the diagonal is -inf.

    Args:
        signs: What was counted.
        weights: (devices,) how often each device counts; once where none are given.
    """
    counted = np.ones(len(signs.count)) if weights is None else weights
    after = np.tensordot(counted, signs.after, 1)
    count = np.maximum(counted @ signs.count, 1.0)
    lasting = (counted @ signs.lasted) / np.maximum(counted @ signs.raised, 1.0)
    opening = (counted @ signs.opened + 1) / (counted @ signs.burst + 2)
    whole = np.ones(len(count))
    evidence = (
        after / count[:, None],
        after / count[None, :],
        (after - after.T) / (after + after.T + 5),
        np.outer(lasting, whole),
        np.outer(opening, whole),
    )
    scores = np.sum([_ranks(one) for one in evidence], axis=0)
    np.fill_diagonal(scores, -np.inf)
    return np.asarray(scores, np.float64)


def causal_edges(scores: Floats, share: float = EDGE_SHARE) -> NDArray[np.bool_]:
    """Return (types, types) which pairs are edges: the best share of all, and never both ways."""
    type_count = len(scores)
    directed = np.where(scores >= scores.T, scores, -np.inf)
    wanted = int(share * type_count * (type_count - 1))
    edges = np.zeros(type_count * type_count, np.bool_)
    best = np.argsort(-directed.ravel(), kind="stable")[:wanted]
    edges[best[np.isfinite(directed.ravel()[best])]] = True
    return edges.reshape(scores.shape)


def _first_of_chatter(starts: Ints) -> NDArray[np.bool_]:
    return np.diff(starts, prepend=starts[0] - QUIET_SECONDS - 1) > QUIET_SECONDS


def _bursts(types: Ints, starts: Ints, opened: Floats, burst: Floats) -> None:
    """Count the bursts of one device that hold more than one type, and who opened them."""
    cuts = np.flatnonzero(np.diff(starts) > BURST_GAP_SECONDS) + 1
    bounds = np.concatenate(([0], cuts, [len(starts)]))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        inside = np.unique(types[low:high])
        if len(inside) > 1:
            burst[inside] += 1
            opened[np.unique(types[low:high][starts[low:high] == starts[low]])] += 1


def _ranks(values: Floats) -> Floats:
    """Return the rank of each off-diagonal value among all of them, 0 to 1; ties share the middle."""
    off = ~np.eye(len(values), dtype=np.bool_)
    held = values[off]
    _, place, count = np.unique(held, return_inverse=True, return_counts=True)
    ranks = np.zeros_like(values)
    ranks[off] = ((np.cumsum(count) - (count - 1) / 2)[place]) / len(held)
    return ranks
