"""Training that was cut goes on to the same end: checkpoints, and what cannot be resumed."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.core.tiny_images import NET, X, Y

TEST = (X[20:], Y[20:])
MASKS = [{"hidden": np.arange(6) % 3 != index} for index in range(2)]
KEYS = [wc.key(23), wc.key(4)]
CONFIG = wc.TrainConfig(
    epochs=4, batch_size=8, batch_norm_group=4, warmup_epochs=1, augmentation="crop_flip", learning_rate=0.1
)
Together = tuple[wc.Trained, ...]
Cut = tuple[int, Callable[[], Together]]


@pytest.fixture(scope="module")
def backend() -> wc.backend.Backend:
    return wc.load_backend("numpy")


@pytest.fixture(scope="module")
def start(backend: wc.backend.Backend) -> list[wc.Subnetwork]:
    return [
        wc.Subnetwork(NET, backend.initialise(NET, key), mask, wc.nn.initial_statistics(NET))
        for key, mask in zip(KEYS, MASKS, strict=True)
    ]


def together(backend: wc.backend.Backend, start: Any, config: wc.TrainConfig = CONFIG, **options: Any) -> Together:
    given = {"keys": KEYS, "test": TEST, **options}
    return wc.train_together(start, (X, Y), backend=backend, config=config, **given)


def stopped_after(backend: wc.backend.Backend, start: Any, epochs: int) -> Together:
    """The training as its checkpoint has it after so many epochs."""
    found: list[Together] = []
    together(backend, start, checkpoint=lambda epoch, fetch: found.append(fetch()) if epoch == epochs else None)
    return found[0]


def assert_same(found: wc.Trained, expected: wc.Trained) -> None:
    """Equal to the bit, history and all."""
    assert found.network.net == expected.network.net
    for name, mine, its in (
        ("params", found.network.params, expected.network.params),
        ("mask", found.network.mask, expected.network.mask),
        ("statistics", found.network.statistics, expected.network.statistics),
        ("velocity", found.velocity, expected.velocity),
    ):
        one, other = (tree if tree is not None else {} for tree in (mine, its))
        assert (mine is None) == (its is None), name
        assert list(one) == list(other), f"{name} have the same paths"
        for path, value in one.items():
            assert value.dtype == other[path].dtype, f"{name} {path}"
            np.testing.assert_array_equal(value, other[path], f"{name} {path}")
    np.testing.assert_array_equal(found.losses, expected.losses)
    assert found.began == expected.began
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        assert one.epoch == other.epoch
        for name in ("loss", "train_accuracy", "test_accuracy", "not_finite"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), f"{name} of epoch {one.epoch}")


def assert_all_same(found: Together, expected: Together) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_resumed_training_is_the_same_training(backend: wc.backend.Backend, start: Any, epochs: int) -> None:
    whole, cut = together(backend, start), stopped_after(backend, start, epochs)
    assert [len(one.history) for one in cut] == [epochs] * 2
    seen: list[tuple[wc.Epoch, ...]] = []
    resumed = together(backend, start, resume=cut, on_epoch=seen.append)
    assert_all_same(resumed, whole)
    numbers = [tuple(epoch.epoch for epoch in told) for told in seen]
    assert numbers == [(number,) * 2 for number in range(epochs + 1, 5)], "only epochs that are trained now are told"
    assert [len(one.history) for one in cut] == [epochs] * 2, "what was handed in stays as it was"


def test_one_network_resumes_as_several_do(backend: wc.backend.Backend, start: Any) -> None:
    constant = dataclasses.replace(CONFIG, schedule="constant")

    def train(epochs: int, resume: wc.Trained | None = None) -> wc.Trained:
        config = dataclasses.replace(constant, epochs=epochs, warmup_epochs=min(epochs, 1))
        return wc.train(start[0], (X, Y), backend=backend, key=KEYS[0], config=config, resume=resume)

    assert_same(train(4, resume=train(2)), train(4))
    assert_same(train(4, resume=train(0)), train(4))
    assert_same(train(2, resume=train(2)), train(2))


def test_one_of_several_resumes_alone(backend: wc.backend.Backend, start: Any) -> None:
    whole, cut = together(backend, start), stopped_after(backend, start, 2)
    for index in (0, 1):
        alone = wc.train(
            start[index], (X, Y), backend=backend, key=KEYS[index], config=CONFIG, test=TEST, resume=cut[index]
        )
        np.testing.assert_array_equal(alone.losses, whole[index].losses)
        for path, value in alone.network.params.items():
            np.testing.assert_array_equal(value, whole[index].network.params[path])


def test_those_trained_alone_resume_together(backend: wc.backend.Backend, start: Any) -> None:
    constant = dataclasses.replace(CONFIG, schedule="constant")
    short = dataclasses.replace(constant, epochs=2)
    cut = [
        wc.train(network, (X, Y), backend=backend, key=key, config=short, test=TEST)
        for network, key in zip(start, KEYS, strict=True)
    ]
    found, whole = together(backend, start, constant, resume=cut), together(backend, start, constant)
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one.losses, other.losses)
        for path, value in other.network.params.items():
            np.testing.assert_array_equal(one.network.params[path], value)


def test_a_resumed_training_does_not_look_at_the_initial_weights(backend: wc.backend.Backend, start: Any) -> None:
    idle = dataclasses.replace(backend, train_init=never)
    assert_all_same(together(idle, start, resume=stopped_after(backend, start, 2)), together(backend, start))


# Checkpoints


def test_a_checkpoint_follows_every_epoch_but_the_last(backend: wc.backend.Backend, start: Any) -> None:
    told: list[str] = []
    together(
        backend,
        start,
        on_epoch=lambda epochs: told.append(f"epoch {epochs[0].epoch}"),
        checkpoint=lambda epoch, fetch: told.append(f"checkpoint {epoch}"),
    )
    assert told == ["epoch 1", "checkpoint 1", "epoch 2", "checkpoint 2", "epoch 3", "checkpoint 3", "epoch 4"]
    told.clear()
    none = dataclasses.replace(CONFIG, epochs=0, warmup_epochs=0)
    together(backend, start, none, checkpoint=lambda *cut: told.append("any"))
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
        shapes = [one.losses.shape for one in fetch()]
        assert shapes == [(3 * epochs,)] * 2, "the losses up to the checkpoint, not those that came after it"
        assert_all_same(together(backend, start, resume=fetch()), whole)


# What cannot be resumed


def never(*args: Any) -> Any:
    raise AssertionError("work began before everything was checked")


def refused(backend: wc.backend.Backend, start: Any, resume: Any, **options: Any) -> str:
    """The text of the error with which a resumed training is refused, before any work."""
    idle = dataclasses.replace(backend, train_init=never, train_epoch=never, predict=never, asarray=never)
    with pytest.raises(wc.errors.ConfigError) as caught:
        together(idle, start, resume=resume, **options)
    return str(caught.value)


def test_a_resume_must_be_one_for_each_network(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    for count in (0, 1, 3):
        message = refused(backend, start, (*cut, *cut)[:count])
        assert message == f"resume must be one for each of 2 networks; got {count}."


@pytest.mark.parametrize("place", [0, 1])
def test_the_resume_of_another_network_is_an_error(backend: wc.backend.Backend, start: Any, place: int) -> None:
    """Whichever of the networks it is: one with other layers, with another mask or with none."""
    cut = stopped_after(backend, start, 2)
    net = wc.Network(tuple(layer for layer in NET.layers if not isinstance(layer, wc.nn.Relu)), NET.input_shape)
    before = cut[place].network
    for other in (
        wc.Subnetwork(net, before.params, before.mask, before.statistics),
        dataclasses.replace(before, mask={"hidden": ~MASKS[place]["hidden"]}),
        dataclasses.replace(before, mask=None),
    ):
        changed = [one._replace(network=other) if index == place else one for index, one in enumerate(cut)]
        assert refused(backend, start, changed) == (
            "resume must be this training: its network has other layers, or another mask."
        )
    assert " params SHA-256 " in refused(backend, start, cut[::-1]), "in the order of the networks"


@pytest.mark.parametrize("place", [0, 1])
def test_the_resume_of_an_optimizer_without_velocities_is_an_error(
    backend: wc.backend.Backend, start: Any, place: int
) -> None:
    cut = stopped_after(backend, start, 2)
    wanted = "velocity must be those of the network: 'first/kernel' must have shape (4, 6); got"
    for velocity, got in (
        ({}, "nothing"),
        ({**cut[place].velocity, "first/kernel": np.zeros((4, 7))}, "(4, 7)"),
        ({path: value[None] for path, value in cut[place].velocity.items()}, "(1, 4, 6)"),
    ):
        changed = [one._replace(velocity=velocity) if index == place else one for index, one in enumerate(cut)]
        assert refused(backend, start, changed) == f"{wanted} {got}."


def test_the_resume_of_other_steps_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    lost = [one._replace(history=one.history[:1]) for one in cut]
    assert refused(backend, start, lost) == (
        "resume must be this training after at most 4 epochs of 3 steps, all networks after as many; got 1 epochs and "
        "losses of shape (6,)."
    )
    flat = [one._replace(losses=one.losses[None]) for one in cut]
    assert refused(backend, start, flat).endswith("got 2 epochs and losses of shape (1, 6).")


def test_the_resume_of_networks_after_unlike_epochs_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    early, late = stopped_after(backend, start, 1), stopped_after(backend, start, 2)
    assert refused(backend, start, [early[0], late[1]]).endswith("got 2 epochs and losses of shape (6,).")
    assert refused(backend, start, [late[0], early[1]]).endswith("got 1 epochs and losses of shape (3,).")


def test_the_resume_of_more_epochs_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 3)
    message = refused(backend, start, cut, config=dataclasses.replace(CONFIG, epochs=2))
    assert message.startswith("resume must be this training after at most 2 epochs of 3 steps, all networks after")
    assert message.endswith("got 3 epochs and losses of shape (9,).")


def test_the_resume_of_another_optimizer_is_an_error(backend: wc.backend.Backend, start: Any) -> None:
    cut = stopped_after(backend, start, 2)
    config = wc.TrainConfig(epochs=4, batch_size=8, batch_norm_group=4, augmentation="crop_flip")
    assert refused(backend, start, cut, config=config, optimizer="mine") == (
        "resume needs the built-in SGD: the state of another optimizer is not in a Trained."
    )


@pytest.mark.parametrize("name", ["params", "statistics"])
def test_arrays_of_other_networks_make_no_resume(backend: wc.backend.Backend, start: Any, name: str) -> None:
    """A Trained holds a Subnetwork, which is checked when it is made."""
    network = stopped_after(backend, start, 1)[0].network
    tree = getattr(network, name)
    path, value = next(iter(tree.items()))
    for changed, got in (
        ({}, "nothing"),
        ({**tree, path: value[:-1]}, str(value[:-1].shape)),
        ({one: array[None] for one, array in tree.items()}, str(value[None].shape)),
    ):
        with pytest.raises(wc.errors.ConfigError) as caught:
            dataclasses.replace(network, **{name: changed})
        assert str(caught.value) == (
            f"{name} must be those of the network: {path!r} must have shape {value.shape}; got {got}."
        )
