"""The networks of a group are cut into slices: those of a slice are trained together, one slice after another."""

from collections.abc import Callable, Sequence

from weedout_core import Trained

Checkpoint = Callable[[int, Callable[[], tuple[Trained, ...]]], None]
TrainSlice = Callable[[slice, tuple[Trained, ...] | None, Checkpoint], tuple[Trained, ...]]


def slices(networks: int, together: int) -> list[slice]:
    """Cut networks into slices of at most ``together``, in order."""
    return [slice(first, min(first + together, networks)) for first in range(0, networks, together)]


def train_slices(
    cut: Sequence[slice], epochs: int, train: TrainSlice, resume: tuple[Trained, ...], checkpoint: Checkpoint
) -> tuple[Trained, ...]:
    """Train the slices that are not trained yet, and return all networks in order.

    Args:
        cut: the slices, from :func:`slices`.
        epochs: the number of epochs for which each network is trained.
        train: a function that trains the networks of a slice, from their progress so far, with a ``checkpoint`` as in
            ``wc.train_together``.
        resume: the networks that are already trained and those of the unfinished slice, in order.
        checkpoint: called after each epoch but the very last, with the number of epochs that the present slice has done
            and a function that fetches what can be resumed.
    """
    done: tuple[Trained, ...] = ()
    for some in cut:
        before = resume[some]
        if before and len(before[0].history) == epochs:
            done = (*done, *before)
            continue
        done = (*done, *train(some, before or None, _after(done, checkpoint)))
        if epochs and some != cut[-1]:
            checkpoint(epochs, lambda done=done: done)
    return done


def _after(done: tuple[Trained, ...], checkpoint: Checkpoint) -> Checkpoint:
    return lambda epoch, fetch: checkpoint(epoch, lambda: (*done, *fetch()))
