"""A trained network knows which training it is a part of: everything that may differ, one thing at a time."""

import dataclasses
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from tests.core.tiny_images import NET, X, Y
from weedout_core._phases import digests

KEY = wc.key(23)
#: A step schedule, so that each field of the configuration may be another one alone.
CONFIG = wc.TrainConfig(
    epochs=4, batch_size=8, learning_rate=0.1, schedule="step", step_epochs=(1, 3), warmup_epochs=1,
    augmentation="crop_flip", batch_norm_group=4,
)  # fmt: skip
START = wc.Subnetwork(
    NET,
    dict(wc.load_backend("numpy").initialise(NET, KEY)),
    {"hidden": np.arange(6) % 3 != 0},
    wc.nn.initial_statistics(NET),
)
#: What wc.train is handed, and what a Trained has to do with.
GIVEN: dict[str, Any] = {"network": START, "data": (X, Y), "key": KEY, "config": CONFIG, "optimizer": None}


def train(resume: wc.Trained | None = None, backend: Any = "numpy", **other: Any) -> wc.Trained:
    given = GIVEN | other
    network, data = given.pop("network"), given.pop("data")
    return wc.train(network, data, backend=backend, resume=resume, **given)


def cut(epochs: int = 2) -> wc.Trained:
    """The training after some of its epochs."""
    found: list[wc.Trained] = []
    wc.train_together(
        [START], (X, Y), backend="numpy", keys=[KEY], config=CONFIG,
        checkpoint=lambda done, fetch: found.extend(fetch()) if done == epochs else None,
    )  # fmt: skip
    return found[0]


def refused(**other: Any) -> str:
    """The text of the error, before any work."""

    def never(*args: Any) -> Any:
        raise AssertionError("work began before everything was checked")

    idle = dataclasses.replace(wc.load_backend("numpy"), train_init=never, train_epoch=never, asarray=never)
    with pytest.raises(wc.errors.ConfigError) as caught:
        train(cut(), idle, **other)
    return str(caught.value)


def said(name: str, was: Any, now: Any) -> str:
    rates = ", by which the 6 steps that are done would have had other learning rates" if name in RATES else ""
    return (
        f"resume must be of this very training, but it began with {name} {was}, and the training has {now}{rates}. "
        "Hand in what it began with, or leave resume out."
    )


#: What matters by the learning rate of each step.
RATES = {"epochs", "learning_rate", "schedule", "step_epochs", "step_factor", "warmup_epochs"}
#: Nothing is done under it.
IDLE: dict[str, Any] = {"epochs": 0, "schedule": "constant", "step_epochs": (), "warmup_epochs": 0}


def assert_same(found: wc.Trained, whole: wc.Trained) -> None:
    """Equal to the bit."""
    np.testing.assert_array_equal(found.losses, whole.losses)
    for mine, its in (
        (found.network.params, whole.network.params),
        (found.network.moving, whole.network.moving),
        (found.velocity, whole.velocity),
    ):
        assert mine.keys() == its.keys()
        for path, value in its.items():
            np.testing.assert_array_equal(mine[path], value, path)
    assert found.began == whole.began


#: Another value of every field of the configuration, with what it needs of the others.
OTHER_CONFIG: dict[str, dict[str, Any]] = {
    "batch_size": {"batch_size": 4},
    "learning_rate": {"learning_rate": 0.2},
    "momentum": {"momentum": 0.8},
    "nesterov": {"nesterov": False},
    "weight_decay": {"weight_decay": 1e-3},
    "decayed": {"decayed": "all"},
    "schedule": {"schedule": "constant", "step_epochs": ()},
    "step_epochs": {"step_epochs": (2,)},
    "step_factor": {"step_factor": 0.5},
    "warmup_epochs": {"warmup_epochs": 0},
    "augmentation": {"augmentation": "none"},
    "batch_norm_group": {"batch_norm_group": 8},
    "compaction": {"compaction": False},
    "compute": {"compute": "bfloat16"},
    "precision": {"precision": "highest"},
}


def test_every_field_of_the_configuration_is_tested() -> None:
    """But epochs, below, what has one value only, and the search while training, in test_throughout."""
    names = {field.name for field in dataclasses.fields(wc.TrainConfig)}
    assert names == {*OTHER_CONFIG, "epochs", "mask_in_testing", "search_epochs", "search_part"}


@pytest.mark.parametrize("name", OTHER_CONFIG)
def test_the_resume_of_another_configuration_is_refused_by_name(name: str) -> None:
    other = dataclasses.replace(CONFIG, **OTHER_CONFIG[name])
    assert refused(config=other) == said(name, repr(getattr(CONFIG, name)), repr(getattr(other, name)))


def moved(tree: Any, last: bool = True) -> dict[str, np.ndarray]:
    """A tree of which one value, the last of the last array or the first of the first, is the next float."""
    changed = {path: np.array(value) for path, value in tree.items()}
    array = changed[list(changed)[-1 if last else 0]].reshape(-1)
    array[-1 if last else 0] = np.nextafter(array[-1 if last else 0], np.inf, dtype=array.dtype)
    return changed


NO_RELU = wc.Network(tuple(layer for layer in NET.layers if not isinstance(layer, wc.nn.Relu)), NET.input_shape)
X_MOVED = X.copy()
X_MOVED[-1, -1, -1, 0] = np.nextafter(X[-1, -1, -1, 0], np.inf)
ORDER = np.roll(np.arange(30), 1)
#: Another one of everything else that is handed in, and the name of what is found to differ.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "net": ("net", {"network": dataclasses.replace(START, net=NO_RELU)}),
    "first weight": ("params", {"network": dataclasses.replace(START, params=moved(START.params, last=False))}),
    "last weight": ("params", {"network": dataclasses.replace(START, params=moved(START.params))}),
    "type of weights": (
        "params",
        {
            "network": dataclasses.replace(
                START, params={path: np.asarray(value, np.float32) for path, value in START.params.items()}
            )
        },
    ),
    "mask": ("mask", {"network": dataclasses.replace(START, mask={"hidden": np.arange(6) % 3 != 1})}),
    "no mask": ("mask", {"network": dataclasses.replace(START, mask=None)}),
    "statistics": ("statistics", {"network": dataclasses.replace(START, statistics=moved(START.statistics))}),
    "x": ("x", {"data": (X_MOVED, Y)}),
    "y": ("y", {"data": (X, np.where(np.arange(30) == 29, 1 - Y, Y))}),
    "order of the data": ("x", {"data": (X[ORDER], Y[ORDER])}),
    "test split": ("test", {"test": (X, Y)}),
    "fewer data": ("x", {"data": (X[:-1], Y[:-1])}),
    "key": ("key", {"key": wc.key(24)}),
    "high word of the key": ("key", {"key": wc.key(23 + 2**32)}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_the_resume_of_another_training_is_refused_by_name(what: str) -> None:
    name, other = OTHERS[what]
    was = cut().began
    began = train(**other, config=dataclasses.replace(CONFIG, **IDLE)).began
    shown = [
        f"SHA-256 {value[:12]}…" if isinstance(value, str) else repr(value)
        for value in (getattr(was, name), getattr(began, name))
    ]
    assert shown[0] != shown[1]
    assert refused(**other) == said(name, *shown)


def test_all_that_a_training_begins_with_is_tested() -> None:
    names = {name for name, _ in OTHERS.values()}
    assert names | {"config", "optimizer", "searched"} == {*wc.Beginning._fields}


def test_what_another_optimizer_trained_is_not_resumed_with_sgd() -> None:
    foreign = cut()
    foreign = foreign._replace(began=foreign.began._replace(optimizer=True))
    with pytest.raises(wc.errors.ConfigError) as caught:
        train(foreign)
    assert str(caught.value) == said("optimizer", True, False)


def test_a_trained_says_whether_an_optimizer_of_the_users_was_taken() -> None:
    backend = wc.load_backend("numpy")

    def train_init(net: Any, plan: wc.backend.TrainPlan, *rest: Any) -> wc.backend.TrainState:
        return backend.train_init(net, plan._replace(optimizer=None), *rest)

    idle = wc.TrainConfig(epochs=0, batch_size=8, batch_norm_group=4)
    fake = dataclasses.replace(backend, train_init=train_init)
    assert train(None, fake, optimizer="mine", config=idle).began.optimizer is True
    assert train(config=idle).began.optimizer is False


#: The same in another form.
SAME: dict[str, dict[str, Any]] = {
    "labels of another type": {"data": (X, Y.astype(np.uint8))},
    "lists": {"data": [X.tolist(), Y.tolist()]},
    "another layout": {"data": (np.asfortranarray(X), Y)},
    "arrays in another order": {
        "network": dataclasses.replace(
            START, params={path: START.params[path] for path in sorted(START.params, reverse=True)}
        )
    },
    "a key from JSON": {"key": np.array(KEY.tolist(), dtype=np.int64)},
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", SAME)
def test_the_same_in_another_form_is_the_same_training(what: str) -> None:
    assert_same(train(cut(), **SAME[what]), train())


def prolonged(config: wc.TrainConfig, epochs: int) -> wc.TrainConfig:
    """So many epochs, and of what is set for an epoch as much as has an effect."""
    steps = tuple(epoch for epoch in config.step_epochs if epoch < epochs)
    schedule = "constant" if config.schedule == "step" and not steps else config.schedule
    return dataclasses.replace(
        config, epochs=epochs, step_epochs=steps, schedule=schedule, warmup_epochs=min(epochs, 1)
    )


@pytest.mark.parametrize("schedule", ["constant", "step"])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_more_epochs_under_the_same_rates_are_the_same_training(schedule: str, done: int) -> None:
    other: dict[str, Any] = {} if schedule == "step" else {"schedule": schedule, "step_epochs": ()}
    config = dataclasses.replace(CONFIG, **other)
    first = train(config=prolonged(config, done))
    second = train(first, config=prolonged(config, 3))
    third = train(second, config=prolonged(config, 5))
    assert_same(third, train(config=prolonged(config, 5)))


def test_a_cosine_is_not_prolonged() -> None:
    cosine = dataclasses.replace(CONFIG, schedule="cosine", step_epochs=())
    begun = train(config=prolonged(cosine, 2))
    with pytest.raises(wc.errors.ConfigError) as caught:
        train(begun, config=prolonged(cosine, 4))
    assert str(caught.value) == said("epochs", 2, 4)
    nothing_done = train(config=prolonged(cosine, 0))
    assert_same(train(nothing_done, config=prolonged(cosine, 4)), train(config=prolonged(cosine, 4)))


@pytest.mark.parametrize("name", ["learning_rate", "schedule", "warmup_epochs"])
def test_what_changed_the_rates_is_named_where_the_epochs_are_others_too(name: str) -> None:
    """More epochs alone would be the same training."""
    other = dataclasses.replace(CONFIG, epochs=5, **OTHER_CONFIG[name])
    assert refused(config=other) == said(name, repr(getattr(CONFIG, name)), repr(getattr(other, name)))


def changed(trained: wc.Trained) -> dict[str, wc.Trained]:
    """A training with each of its parts another one."""
    network, history, began = trained.network, trained.history, trained.began
    other_mask = dataclasses.replace(network, mask={"hidden": np.arange(6) % 3 != 1})
    networks = {name: dataclasses.replace(network, **{name: moved(getattr(network, name))}) for name in NUMBERS}
    return {name: trained._replace(network=one) for name, one in {**networks, "mask": other_mask}.items()} | {
        "velocity": trained._replace(velocity=moved(trained.velocity)),
        "losses": trained._replace(losses=trained.losses + 1),
        "history": trained._replace(history=(history[0]._replace(test_accuracy=0.5), *history[1:])),
        "began": trained._replace(began=began._replace(config=dataclasses.replace(began.config, epochs=5))),
        "seal": trained._replace(seal="another"),
        "generations": trained._replace(generations=(GENERATION,)),
    }


GENERATION = wc.Generation(0, 1.0, 0.0, -1.0, wc.backend.Origin(0, 1), 0, 2, np.array([-1.0, 1.0]))


NUMBERS = ("params", "statistics")


@pytest.mark.parametrize("name", [*NUMBERS, "mask", *wc.Trained._fields[1:]])
def test_what_was_changed_since_is_not_resumed(name: str) -> None:
    """Nothing was: what is put together again from the same parts."""
    trained = cut()
    assert_same(train(trained._replace(network=dataclasses.replace(trained.network))), train())
    with pytest.raises(wc.errors.ConfigError, match=r"^resume must be (as training gave it; its network,|this tr)"):
        train(changed(trained)[name])


@pytest.mark.parametrize("place", [0, 1])
def test_each_of_several_networks_knows_its_own(place: int) -> None:
    other = dataclasses.replace(START, params=moved(START.params))
    networks, keys = [START, other], [KEY, wc.key(4)]
    config = prolonged(CONFIG, 2)
    options: dict[str, Any] = {"backend": "numpy", "config": config}
    both = wc.train_together(networks, (X, Y), keys=keys, **options)
    wrong_key = [wc.key(9) if index == place else key for index, key in enumerate(keys)]
    with pytest.raises(wc.errors.ConfigError, match=r"it began with key \(0, (23|4)\), and the training has \(0, 9\)"):
        wc.train_together(networks, (X, Y), keys=wrong_key, resume=both, **options)
    with pytest.raises(wc.errors.ConfigError, match="it began with params SHA-256"):
        wc.train_together(networks[::-1], (X, Y), keys=keys, resume=both, **options)


def test_arrays_are_read_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every epoch, nor for every checkpoint."""
    read, fetched = list[int](), list[wc.Trained]()

    def digest(arrays: Any) -> str:
        read.append(len(arrays))
        return digests.digest(arrays)

    monkeypatch.setattr("weedout_core._phases.beginning.digest", digest)
    wc.train_together(
        [START],
        (X, Y),
        backend="numpy",
        keys=[KEY],
        config=CONFIG,
        checkpoint=lambda epoch, fetch: fetched.extend(fetch()),
    )
    assert len(fetched) == 3
    # x, y and the network; its weights, mask and statistics.
    assert len(read) == 3 + 3


def test_another_backend_goes_on_with_the_same_training() -> None:
    """The same steps; floats differ in the last bits, as between backends they do."""
    found = train(cut(), connected("jax"))
    whole = train()
    assert found.began == whole.began
    # 6 of the 12 steps are in float32: of each some hundred roundings of numbers of about 1, 6 · 100 · 2^-24 < 1e-4.
    np.testing.assert_allclose(found.losses, whole.losses, rtol=0, atol=1e-4)
