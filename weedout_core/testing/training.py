"""Checks of the learning phase."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from weedout_core._algorithm.schedule import CROP_MARGIN, epoch_batches, train_plan
from weedout_core._configs.train_config import TrainConfig
from weedout_core._contract.calls import TrainState
from weedout_core._contract.record import Backend, stack
from weedout_core._networks.network import Network, activation_shapes, initial_statistics
from weedout_core._random.stream import split
from weedout_core.testing.draws import across, equal
from weedout_core.testing.precision import UNIT_ROUNDOFF
from weedout_core.testing.problems import Problem, networks, plain_problems, problems
from weedout_core.testing.scored import within
from weedout_core.testing.tolerances import bound

#: The bounds are those of float32; a TPU or GPU computes products in float32 only if it is asked to.
_CONFIG = TrainConfig(epochs=2, batch_size=8, precision="highest")

#: Every option of SGD, each with a value that changes the result visibly, such as a large decay or falling rates.
CONFIGS = (
    replace(_CONFIG, learning_rate=0.1, weight_decay=0.1),
    replace(_CONFIG, learning_rate=0.1, weight_decay=0.1, decayed="all", nesterov=False),
    replace(_CONFIG, momentum=0.5, schedule="step", step_epochs=(1,), weight_decay=0.0),
    replace(_CONFIG, warmup_epochs=1, batch_norm_group=4, augmentation="crop_flip"),
)


def _fitting(config: TrainConfig, net: Network) -> TrainConfig:
    """The configuration, without crops if the inputs are not images."""
    return config if len(net.input_shape) == 3 else replace(config, augmentation="none")


def _trained(
    backend: Backend, problem: Problem, config: TrainConfig, cells: list[int]
) -> tuple[TrainState, np.ndarray, np.ndarray]:
    """Train some candidates together: the state, the losses and the correct predictions, each ``(R, steps)``."""
    plan = train_plan(config, len(problem.y))
    keys = split(problem.keys[0], 6)[cells]
    masks = stack(backend, [problem.one(cell) for cell in cells])
    statistics = stack(backend, [initial_statistics(problem.net)] * len(cells))
    state = backend.train_init(problem.net, plan, keys, stack(backend, [problem.params] * len(cells)), statistics)
    losses: list[np.ndarray] = []
    corrects: list[np.ndarray] = []
    for epoch in range(config.epochs):
        batches = epoch_batches(list(keys), epoch, plan)
        x, y = backend.asarray(problem.x), backend.asarray(problem.y)
        before = [{path: backend.to_numpy(value).copy() for path, value in tree.items()} for tree in _trees(state)]
        after, result = backend.train_epoch(problem.net, plan, state, masks, x, y, batches)
        for tree, kept in zip(_trees(state), before, strict=True):
            for path, value in kept.items():
                equal(f"the state handed in, {path},", backend.to_numpy(tree[path]), value)
        assert after.epoch == epoch + 1, f"epoch {epoch} leads to epoch {after.epoch}"
        losses.append(backend.to_numpy(result.loss))
        corrects.append(backend.to_numpy(result.correct))
        state = after
    return state, np.concatenate(losses, axis=1), np.concatenate(corrects, axis=1)


def _trees(state: TrainState) -> tuple[Mapping[str, Any], ...]:
    return state.params, state.statistics, state.optimizer


def _off(problem: Problem, steps: int, trained: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The most that each parameter may be off after training: {path: bound}."""
    return {
        path: bound("train weights")(
            float(np.abs(value - problem.params[path]).max()), float(np.abs(value).max()), terms(problem), steps
        )
        for path, value in trained.items()
    }


def terms(problem: Problem) -> int:
    """The number of products that are summed for one gradient; see ``trained_error``."""
    places = max(math.prod(shape[:-1]) for shape in activation_shapes(problem.net))
    return 8 * places + sum(value.shape[-1] for value in problem.params.values())


def _compare(name: str, problem: Problem, steps: int, got: Any, wanted: Any) -> None:
    for path, most in _off(problem, steps, wanted).items():
        off = float(np.abs(got[path] - wanted[path]).max())
        moved = float(np.abs(wanted[path] - problem.params[path]).max())
        assert off <= most, f"{name}: {path} is off by {off:.3g}, more than {most:.3g} (it moved by {moved:.3g})"


def _steps_off(
    problem: Problem, config: TrainConfig, cells: list[int], steps: int, trained: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The bounds on losses and counts ``(R, steps)`` and on the running statistics {path: ``(R, *shape)``}.

    The first loss is computed with the given weights, which have no error. The weights of a later step lie between the
    given and the last ones, and their error is at most that of the last ones. Running statistics are weighted means of
    the statistics of the steps.
    """
    numbers, plan = _off(problem, steps, trained), train_plan(config, len(problem.y))
    off = {path: np.full(value.shape, numbers[path]) for path, value in problem.params.items()}
    losses, counts = np.empty((len(cells), steps)), np.empty((len(cells), steps))
    statistics: list[dict[str, np.ndarray]] = []
    for row, cell in enumerate(cells):
        last = {path: value[row] for path, value in trained.items()}
        ends = [(problem.params, off), (last, off)]
        found = [
            [
                bound("train losses")(problem.net, params, problem.one(cell), x, error, plan.groups)
                for params, error in (ends if step else [(problem.params, {})])
            ]
            for step, x in enumerate(_shown(problem, config, cell))
        ]
        losses[row] = [max(loss for loss, _, _ in step) for step in found]
        counts[row] = [max(count for _, count, _ in step) for step in found]
        every = [errors for step in found for _, _, errors in step]
        statistics.append({path: np.max([errors[path] for errors in every], axis=0) for path in every[0]})
    return losses, counts, {path: np.stack([item[path] for item in statistics]) for path in statistics[0]}


def _shown(problem: Problem, config: TrainConfig, cell: int) -> Iterator[np.ndarray]:
    """The images of each step, in NumPy."""
    plan = train_plan(config, len(problem.y))
    for epoch in range(config.epochs):
        batches = epoch_batches([split(problem.keys[0], 6)[cell]], epoch, plan)
        for step in range(plan.steps):
            x = problem.x[batches.order[0, step]]
            yield (
                x
                if batches.crops is None
                else np.stack([_cropped(*pair) for pair in zip(x, batches.crops[0, step], strict=True)])
            )


def _cropped(image: np.ndarray, crop: np.ndarray) -> np.ndarray:
    (height, width, _), (row, column, mirrored) = image.shape, crop
    padded = np.pad(image, [(CROP_MARGIN, CROP_MARGIN), (CROP_MARGIN, CROP_MARGIN), (0, 0)])
    part = padded[row : row + height, column : column + width]
    return part[:, ::-1] if mirrored else part


def epoch_agrees(backend: Backend, reference: Backend) -> None:
    """Losses and weights of two epochs agree, with momentum, Nesterov momentum, weight decay and schedules."""
    cases = [
        st.tuples(strategy, st.just(config))
        for place, (net, strategy) in enumerate(zip(networks(backend), problems(backend), strict=True))
        for config in _shared_out(net, place)
    ]

    @across(cases)
    def agree(case: tuple[Problem, TrainConfig]) -> None:
        epochs_agree(backend, reference, *case)

    agree()


def _shared_out(net: Network, place: int) -> tuple[TrainConfig, TrainConfig]:
    """Two of the configurations for each network: for those of images, one is that with crops.

    What SGD does with a gradient is the same whatever the layers, and each pair is a program to compile.
    """
    uncropped = CONFIGS[:-1]
    first, second = (uncropped[(place + step) % len(uncropped)] for step in range(2))
    return first, CONFIGS[-1] if len(net.input_shape) == 3 else second


def epochs_agree(backend: Backend, reference: Backend, problem: Problem, config: TrainConfig) -> None:
    """Assert that two candidates of a problem are trained alike on both backends, within bounds."""
    cells, config = [0, 1], _fitting(config, problem.net)
    got, losses, correct = _trained(backend, problem, config, cells)
    wanted, true, right = _trained(reference, problem, config, cells)
    for path, value in got.params.items():
        assert backend.to_numpy(value).shape == reference.to_numpy(wanted.params[path]).shape, path
    trained = {path: reference.to_numpy(value) for path, value in wanted.params.items()}
    losses_off, correct_off, statistics_off = _steps_off(problem, config, cells, losses.shape[1], trained)
    within("losses", losses, true, losses_off)
    within("correct", correct, right, correct_off)
    assert set(got.statistics) == set(statistics_off), f"statistics {sorted(got.statistics)}"
    for path, most in statistics_off.items():
        true = reference.to_numpy(wanted.statistics[path])
        # The running average itself: three roundings a step, of values that begin at 0 or 1.
        rounded = 3 * losses.shape[1] * UNIT_ROUNDOFF * np.maximum(1, np.abs(true))
        within(path, backend.to_numpy(got.statistics[path]), true, most + rounded)
    drawn = {path: backend.to_numpy(value) for path, value in got.params.items()}
    _compare("train_epoch", problem, losses.shape[1], drawn, trained)
    for path, value in wanted.optimizer.items():
        true = reference.to_numpy(value)
        # A velocity is a weighted sum of gradients, as the change of the weights is.
        most = bound("train weights")(
            losses.shape[1] * np.abs(true).max(), np.abs(true).max(), terms(problem), losses.shape[1]
        )
        within(f"velocity of {path}", backend.to_numpy(got.optimizer[path]), true, most + UNIT_ROUNDOFF)


def bfloat16_step_agrees(backend: Backend, reference: Backend) -> None:
    """With bfloat16 products, the loss before the first update agrees, and the trained weights stay float32."""
    config = TrainConfig(epochs=1, batch_size=8, learning_rate=0.1, compute="bfloat16")

    @across(plain_problems(backend))
    def agree(problem: Problem) -> None:
        cells, plan = [0, 1], train_plan(config, len(problem.y))
        got, losses, _ = _trained(backend, problem, config, cells)
        _, true, _ = _trained(reference, problem, config, cells)
        most = [
            bound("train losses", "bfloat16")(
                problem.net, problem.params, problem.one(cell), next(_shown(problem, config, cell)), None, plan.groups
            )[0]
            for cell in cells
        ]
        within("the first losses in bfloat16", losses[:, 0], true[:, 0], np.asarray(most))
        for path, value in got.params.items():
            weights = backend.to_numpy(value)
            assert weights.dtype.itemsize >= 4, f"{path} is trained in {weights.dtype}, not in float32"
            # bfloat16 drops the lower 16 bits of a float32.
            moved = weights[weights != problem.params[path]].astype(np.float32)
            assert moved.size < 8 or (moved.view(np.uint32) & 0xFFFF).any(), f"{path} is rounded to bfloat16"

    agree()


def networks_are_independent(backend: Backend, reference: Backend) -> None:
    """A network is trained alike whether it is trained alone or together with another."""
    del reference
    # The configurations of ``epoch_agrees``, whose programs train two networks together here too.
    cases = [
        st.tuples(strategy, st.just(_shared_out(net, place)[0]))
        for place, (net, strategy) in enumerate(zip(networks(backend), problems(backend), strict=True))
    ]

    @across(cases)
    def holds(case: tuple[Problem, TrainConfig]) -> None:
        problem, config = case
        together, _, _ = _trained(backend, problem, config, [0, 1])
        again, _, _ = _trained(backend, problem, config, [0, 1])
        for path, value in together.params.items():
            equal(f"{path} of the same call", backend.to_numpy(again.params[path]), backend.to_numpy(value))
        alone, losses, _ = _trained(backend, problem, config, [1])
        _compare(
            "together and alone",
            problem,
            2 * losses.shape[1],
            {path: backend.to_numpy(value)[1] for path, value in together.params.items()},
            {path: backend.to_numpy(value)[0] for path, value in alone.params.items()},
        )

    holds()
