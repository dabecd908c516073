"""Training that was cut goes on to the same end: checkpoints, and what cannot be resumed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc

#: With a batch norm, so that there are statistics to carry over, on images, so that there are crops.
NET = wc.Network(
    (
        wc.nn.Flatten(),
        wc.nn.Dense("first", 6),
        wc.nn.BatchNorm("norm"),
        wc.nn.Relu(),
        wc.nn.Mask("hidden"),
        wc.nn.Dense("logits", 2),
    ),
    (2, 2, 1),
)
X = np.random.default_rng(5).normal(size=(30, 2, 2, 1))
Y = (X[:, 0, 0, 0] > X[:, 1, 1, 0]).astype(np.int64)
TEST = (X[20:], Y[20:])
MASKS = [{"hidden": np.arange(6) % 3 != index} for index in range(2)]
KEYS = [wc.key(23), wc.key(4)]
CONFIG = wc.TrainConfig(
    epochs=4, batch_size=8, batch_norm_group=4, warmup_epochs=1, augmentation="crop_flip", learning_rate=0.1
)
Cut = tuple[int, Callable[[], wc.Trained]]


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def start(backend: wc.backend.Backend) -> list[Any]:
    return [backend.initialise(NET, key) for key in KEYS]


def together(backend: wc.backend.Backend, start: Any, config: wc.TrainConfig = CONFIG, **options: Any) -> wc.Trained:
    return wc.train_together(NET, start, MASKS, (X, Y), config, backend=backend, keys=KEYS, **{"test": TEST, **options})


def stopped_after(backend: wc.backend.Backend, start: Any, epochs: int) -> wc.Trained:
    """The training as its checkpoint has it after so many epochs."""
    found: list[wc.Trained] = []
    together(backend, start, checkpoint=lambda epoch, fetch: found.append(fetch()) if epoch == epochs else None)
    return found[0]


def assert_same(found: wc.Trained, expected: wc.Trained) -> None:
    """Equal to the bit, history and all."""
    for name in ("params", "statistics", "velocity"):
        one, other = getattr(found, name), getattr(expected, name)
        assert list(one) == list(other), f"{name} have the same paths"
        for path, value in one.items():
            assert value.dtype == other[path].dtype, f"{name} {path}"
            np.testing.assert_array_equal(value, other[path], f"{name} {path}")
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        assert one.epoch == other.epoch
        for name in ("loss", "train_accuracy", "test_accuracy"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), f"{name} of epoch {one.epoch}")


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_resumed_training_is_the_same_training(backend: wc.backend.Backend, start: Any, epochs: int) -> None:
    whole, cut = together(backend, start), stopped_after(backend, start, epochs)
    assert len(cut.history) == epochs
    seen: list[wc.Epoch] = []
    resumed = together(backend, start, resume=cut, on_epoch=seen.append)
    assert_same(resumed, whole)
    assert [epoch.epoch for epoch in seen] == list(range(epochs + 1, 5)), "only epochs that are trained now are told"
    assert len(cut.history) == epochs, "what was handed in stays as it was"


def test_one_network_resumes_as_several_do(backend: wc.backend.Backend, start: Any) -> None:
    constant = dataclasses.replace(CONFIG, schedule="constant")

    def train(epochs: int, resume: wc.Trained | None = None) -> wc.Trained:
        config = dataclasses.replace(constant, epochs=epochs)
        return wc.train(NET, start[0], MASKS[0], (X, Y), config, backend=backend, key=KEYS[0], resume=resume)

    assert_same(train(4, resume=train(2)), train(4))
    assert_same(train(4, resume=train(0)), train(4))
    assert_same(train(2, resume=train(2)), train(2))


def test_one_of_several_resumes_alone(backend: wc.backend.Backend, start: Any) -> None:
    whole, cut = together(backend, start), stopped_after(backend, start, 2)
    alone = wc.train(
        NET, start[1], MASKS[1], (X, Y), CONFIG, backend=backend, key=KEYS[1], test=TEST, resume=cut.one(1)
    )
    np.testing.assert_array_equal(alone.losses, whole.losses[1])
    for path, value in alone.params.items():
        np.testing.assert_array_equal(value, whole.params[path][1])


def test_a_resumed_training_does_not_look_at_the_initial_weights(backend: wc.backend.Backend, start: Any) -> None:
    idle = dataclasses.replace(backend, train_init=never)
    assert_same(together(idle, start, resume=stopped_after(backend, start, 2)), together(backend, start))


# Checkpoints


def test_a_checkpoint_follows_every_epoch_but_the_last(backend: wc.backend.Backend, start: Any) -> None:
    told: list[str] = []
    together(
        backend,
        start,
        on_epoch=lambda epoch: told.append(f"epoch {epoch.epoch}"),
        checkpoint=lambda epoch, fetch: told.append(f"checkpoint {epoch}"),
    )
    assert told == ["epoch 1", "checkpoint 1", "epoch 2", "checkpoint 2", "epoch 3", "checkpoint 3", "epoch 4"]
    told.clear()
    together(backend, start, dataclasses.replace(CONFIG, epochs=0), checkpoint=lambda *cut: told.append("any"))
    assert told == []


def test_a_checkpoint_costs_nothing_until_it_is_fetched(backend: wc.backend.Backend, start: Any) -> None:
    fetched = 0

    def to_numpy(value: Any) -> np.ndarray:
        nonlocal fetched
        fetched += 1
        return backend.to_numpy(value)

    counting = dataclasses.replace(backend, to_numpy=to_numpy)
    together(counting, start)
    without, fetched = fetched, 0
    together(counting, start, checkpoint=lambda epoch, fetch: None)
    assert fetched == without, "nobody asked"
    fetched = 0
    together(counting, start, checkpoint=lambda epoch, fetch: fetch() and None)
    arrays = 2 * len(wc.nn.parameter_shapes(NET)) + len(wc.nn.initial_statistics(NET))
    assert fetched == without + 3 * arrays, "weights, velocities and statistics, each once a checkpoint"


def test_a_checkpoint_may_be_fetched_later(backend: wc.backend.Backend, start: Any) -> None:
    cuts: list[Cut] = []
    whole = together(backend, start, checkpoint=lambda *cut: cuts.append(cut))
    for epochs, fetch in cuts:
        assert fetch().losses.shape == (2, 3 * epochs), "the losses up to the checkpoint, not those that came after it"
        assert_same(together(backend, start, resume=fetch()), whole)


# What cannot be resumed


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


def refused(backend: wc.backend.Backend, start: Any, resume: wc.Trained, **options: Any) -> str:
    """The text of the error with which a resumed training is refused, before any work."""
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never, asarray=never)
    with pytest.raises(wc.errors.ConfigError) as caught:
        together(idle, start, resume=resume, **options)
    return str(caught.value)


def test_the_resume_of_other_networks_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    message = (
        "resume must be this training after at most 4 epochs of 3 steps, of 2 networks; got 2 epochs and losses of"
    )
    assert refused(backend, start, cut.one(0)) == f"{message} shape (6,)."
    assert refused(backend, start, cut.one(0).many()) == f"{message} shape (1, 6)."
    other = cut._replace(params={**cut.params, "first/kernel": np.zeros((2, 4, 7))})
    wanted = "params must be those of the network: 'first/kernel' must have shape (4, 6); got (4, 7)."
    assert refused(backend, start, other) == wanted
    other = cut._replace(statistics={})
    wanted = "statistics must be those of the network: 'norm/mean' must have shape (6,); got nothing."
    assert refused(backend, start, other) == wanted


def test_the_resume_of_an_optimiser_without_velocities_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    message = refused(backend, start, cut._replace(velocity={}))
    assert message.endswith("must be those of the network: 'first/kernel' must have shape (4, 6); got nothing.")


def test_the_resume_of_other_steps_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    assert refused(backend, start, cut, config=dataclasses.replace(CONFIG, batch_size=4)) == (
        "resume must be this training after at most 4 epochs of 7 steps, of 2 networks; got 2 epochs and losses of "
        "shape (2, 6)."
    )
    lost = cut._replace(history=cut.history[:1])
    assert refused(backend, start, lost).endswith("got 1 epochs and losses of shape (2, 6).")


def test_the_resume_of_more_epochs_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 3)
    message = refused(backend, start, cut, config=dataclasses.replace(CONFIG, epochs=2))
    assert message.startswith("resume must be this training after at most 2 epochs of 3 steps, of 2 networks;")
    assert message.endswith("got 3 epochs and losses of shape (2, 9).")


def test_the_resume_of_another_optimiser_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    assert refused(backend, start, cut, optimiser="mine") == (
        "resume needs the built-in SGD: the state of another optimiser is not in a Trained."
    )


@pytest.mark.parametrize("name", ["params", "velocity", "statistics"])
def test_the_resume_of_arrays_of_other_networks_is_an_error(backend: wc.backend.Backend, start: Any, name: str) -> None:
    trained = stopped_after(backend, start, 1)
    short = {path: value[:1] for path, value in getattr(trained, name).items()}
    message = refused(backend, start, trained._replace(**{name: short}))
    assert message == f"resume.{name} must have a leading axis of 2 networks."
