"""The networks of a group, some at a time: a slice of them is trained together, one slice after another."""

from collections.abc import Callable, Sequence

import numpy as np

from weedout_core import Epoch, Trained

Checkpoint = Callable[[int, Callable[[], Trained]], None]
CheckpointAll = Callable[[int, Callable[[], tuple[Trained, ...]]], None]
TrainSlice = Callable[[slice, Trained | None, Checkpoint], Trained]


def slices(networks: int, together: int) -> list[slice]:
    """Networks in order, at most so many at a time."""
    return [slice(first, min(first + together, networks)) for first in range(0, networks, together)]


def train_slices(
    cut: Sequence[slice],
    epochs: int,
    train: TrainSlice,
    resume: tuple[Trained, ...],
    checkpoint: CheckpointAll,
) -> Trained:
    """Train the slices that are not trained yet, and put all networks side by side.

    Args:
        cut: from :func:`slices`.
        epochs: of the training of each.
        train: trains the networks of a slice, from where they are, with a ``checkpoint`` as of
            ``wc.train_together``.
        resume: the slices that are trained and the one that was in work, in order.
        checkpoint: called after each epoch but the very last with the epochs that the slice in work has done, and a
            function that fetches what can be resumed.
    """
    done: tuple[Trained, ...] = ()
    for number, some in enumerate(cut):
        before = resume[number] if number < len(resume) else None
        if before is not None and len(before.history) == epochs:
            done = (*done, before)
            continue
        done = (*done, train(some, before, _after(done, checkpoint)))
        if epochs and len(done) < len(cut):
            checkpoint(epochs, lambda done=done: done)
    return joined(done)


def _after(done: tuple[Trained, ...], checkpoint: CheckpointAll) -> Checkpoint:
    return lambda epoch, fetch: checkpoint(epoch, lambda: (*done, fetch()))


def joined(parts: Sequence[Trained]) -> Trained:
    """The networks of several slices, all after as many epochs, side by side."""

    def tree(name: str) -> dict[str, np.ndarray]:
        trees: list[dict[str, np.ndarray]] = [getattr(part, name) for part in parts]
        return {path: np.concatenate([tree[path] for tree in trees]) for path in trees[0]}

    histories = zip(*(part.history for part in parts), strict=True)
    losses = np.concatenate([part.losses for part in parts])
    return Trained(tree("params"), tree("statistics"), tree("velocity"), losses, tuple(map(_joined_epoch, histories)))


def _joined_epoch(parts: Sequence[Epoch]) -> Epoch:
    shown = {name: np.concatenate([getattr(part, name) for part in parts]) for name in Epoch._fields[1:]}
    return Epoch(parts[0].epoch, **shown)
