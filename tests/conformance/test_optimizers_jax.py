"""A user's own optax optimizers: each sees one network's weights, and acts as it is when an epoch begins."""

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected, imported

jax = imported("jax", "jax")
optax = imported("optax", "jax")

pytestmark = pytest.mark.slow

NET = wc.mlp(8, (8,), 8)  # two shapes of arrays: what optax does is compiled for each
LAYER = wc.Network((wc.nn.Dense("one", 8),), (8,))  # an array of each shape, for what is compiled for each optimizer
CONFIG = wc.TrainConfig(epochs=2, batch_size=8)
KEYS = list(wc.random.split(wc.key(0), 2))

#: What stands for an argument that has no default.
GIVEN: dict[str, Any] = {
    "learning_rate": 0.01, "step_size": 0.01, "clipping": 0.1, "max_norm": 0.5, "max_delta": 0.01, "threshold": 0.01,
    "decay": 0.9, "eta": 0.01, "gamma": 0.55, "key": 0, "seed": 0, "max_consecutive_errors": 2, "sync_period": 2,
    "slow_step_size": 0.5, "step_size_fn": lambda count: 0.1 / (count + 1), "f": lambda updates, params: updates,
    "l2_norm_clip": 1.0, "noise_multiplier": 1.0, "measure_name": "norm", "measure": optax.global_norm, "measures": {},
    "should_transform_fn": lambda step: step == 0, "mask": {path: path.endswith("kernel") for path in
    wc.nn.parameter_shapes(LAYER)}, "freeze_mask": {path: path.endswith("bias") for path in
    wc.nn.parameter_shapes(LAYER)}, "param_labels": {path: path.rpartition("/")[2] for path in
    wc.nn.parameter_shapes(LAYER)},
    "transforms": {"kernel": optax.adam(0.01), "bias": optax.sgd(0.01)},
    "max_backtracking_steps": 3, "max_linesearch_steps": 3,
}  # fmt: skip
GIVEN |= dict.fromkeys(
    ("inner", "optimizer", "adv_optimizer", "base_optimizer", "fast_optimizer", "tx", "opt"), optax.adam(0.01)
)


def constructors() -> dict[str, Callable[..., Any]]:
    """Every public function of optax that gives a transformation."""
    found: dict[str, Callable[..., Any]] = {}
    for module in (optax, import_module("optax.contrib")):
        for name, one in vars(module).items():
            if inspect.isfunction(one) and not name.startswith("_"):
                given = inspect.signature(one).return_annotation
                if inspect.isclass(given) and issubclass(given, optax.GradientTransformation):
                    found[f"{module.__name__}.{name}"] = one
    return found


CONSTRUCTORS = constructors()


def made(name: str) -> Any:
    constructor = CONSTRUCTORS[name]
    needed = [
        one.name
        for one in inspect.signature(constructor).parameters.values()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    parts = {"optax.named_chain": (("one", optax.adam(0.01)),), "optax.chain": (optax.adam(0.01),)}.get(name, ())
    needed += {*inspect.signature(constructor).parameters} & {"key"} - {*needed}
    return constructor(*parts, **{one: GIVEN[one] for one in needed})


def trees(seed: int, count: int, net: wc.Network = LAYER) -> Any:
    rng = np.random.default_rng(seed)
    shapes = wc.nn.parameter_shapes(net)
    return {path: rng.standard_normal((count, *shape)).astype(np.float32) for path, shape in shapes.items()}


def plan(optimizer: Any) -> wc.backend.TrainPlan:
    return wc.backend.train_plan(CONFIG, 16, optimizer)


def begun(optimizer: Any, params: Any) -> Any:
    backend = connected("jax")
    params = {path: backend.asarray(value) for path, value in params.items()}
    return backend.train_init(LAYER, plan(optimizer), np.stack(KEYS), params, {}).optimizer


def trained(optimizer: Any, *which: int, **more: Any) -> Any:
    backend = connected("jax")
    drawn = [backend.initialise(NET, key) for key in KEYS]
    networks = [wc.Subnetwork(NET, {path: backend.to_numpy(value) for path, value in one.items()}) for one in drawn]
    rng = np.random.default_rng(0)
    data = rng.standard_normal((16, 8)).astype(np.float32), rng.integers(0, 4, 16)
    return wc.train_together(
        [networks[r] for r in which], data, backend=backend, keys=[KEYS[r] for r in which], config=CONFIG,
        optimizer=optimizer, **more,
    )  # fmt: skip


def test_the_list_is_of_optimizers() -> None:
    assert {"optax.adam", "optax.lars", "optax.lamb", "optax.adafactor", "optax.contrib.muon"} <= {*CONSTRUCTORS}
    assert len(CONSTRUCTORS) > 80


@pytest.mark.parametrize("name", sorted(CONSTRUCTORS))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_each_network_learns_as_it_does_with_optax_alone_or_is_refused_before_any_work(name: str) -> None:
    """Side by side, as on an accelerator: rules that look at all weights look at one network's.

    Alone each operation is computed by itself: the loops and branches of optax would be compiled anew at each step.
    """
    update_of = import_module("weedout_jax.optimizers").update_of
    transformation = made(name)
    params, gradients = trees(0, 2), [trees(seed, 2) for seed in (1, 2)]
    alone: list[Any] = []
    try:
        with jax.disable_jit():
            for r in range(2):
                mine = {path: jax.numpy.asarray(value[r]) for path, value in params.items()}
                state = transformation.init(mine)
                for gradient in gradients:
                    one = {path: jax.numpy.asarray(value[r]) for path, value in gradient.items()}
                    updates, state = transformation.update(one, state, mine)
                    assert all(updates[path].shape == value.shape for path, value in mine.items())
                    mine = optax.apply_updates(mine, updates)
                alone.append(mine)
    except Exception:
        with pytest.raises(wc.errors.BackendError, match=r"optimizer must (take a step|give an update)"):
            begun(transformation, params)
        return
    step = jax.jit(jax.vmap(update_of(transformation)))
    # Where the step leaves them: the second step would be compiled again.
    state, together = jax.device_put((begun(transformation, params), params), jax.devices()[0])
    for gradient in gradients:
        together, state = step(together, state, gradient, np.zeros(2, np.float32))
    for path, value in together.items():
        for r in range(2):
            # Two steps, compiled and not, of up to a hundred roundings each where a matrix is made orthogonal. A norm
            # over both networks would be another by a factor of about √2.
            np.testing.assert_allclose(value[r], alone[r][path], rtol=1e-3, atol=1e-5, err_msg=f"{path} of {r}")


@pytest.mark.parametrize("other", [3, optax.adam(0.01)])
def test_an_epoch_needs_the_state_of_its_own_optimizer(other: Any) -> None:
    backend, params = connected("jax"), trees(0, 2, NET)
    params = {path: backend.asarray(value) for path, value in params.items()}
    state = backend.train_init(NET, plan(None), np.stack(KEYS), params, {})
    x, y = backend.asarray(np.ones((16, 8), np.float32)), backend.asarray(np.arange(16, dtype=np.int32) % 4)
    batches = wc.backend.Batches(np.zeros((2, 2, 8), np.int32), None)
    with pytest.raises(wc.errors.BackendError, match=r"optax GradientTransformation|must take a step from"):
        backend.train_epoch(NET, plan(other), state, None, x, y, batches)


@pytest.mark.parametrize("name", ["adafactor", "lamb", "lars", "adam with the norm of all"])
def test_together_is_alone(name: str) -> None:
    clipped = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(0.01))
    optimizer = clipped if " " in name else getattr(optax, name)(0.01)
    together = trained(optimizer, 0, 1)
    for r in range(2):
        (alone,) = trained(optimizer, r)
        np.testing.assert_array_equal(together[r].losses, alone.losses)
        for path, value in alone.network.params.items():
            np.testing.assert_array_equal(together[r].network.params[path], value, err_msg=f"{path} of network {r}")


RATE = {"of the module": 0.1}


class Mine:
    """An optimizer of somebody's, who changes it."""

    rate = 0.1

    def __init__(self) -> None:
        self.schedule = {"rate": 0.1}
        self.factor = np.ones(3)

    def init(self, params: Any) -> Any:
        return ()

    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        rate = -self.rate * self.schedule["rate"] * float(self.factor[0]) * RATE["of the module"]
        return jax.tree.map(lambda update: rate * update, updates), state


def spoil_attribute(mine: Mine) -> None:
    mine.rate = 2.0


def spoil_inside(mine: Mine) -> None:
    mine.schedule["rate"] = 2.0


def spoil_array(mine: Mine) -> None:
    mine.factor[0] = 20.0


def spoil_module(_: Mine) -> None:
    RATE["of the module"] = 2.0


def spoil_class(_: Mine) -> None:
    Mine.rate = 2.0


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("spoil", [spoil_attribute, spoil_inside, spoil_array, spoil_module, spoil_class])
def test_an_optimizer_that_was_changed_acts_as_it_is(spoil: Callable[[Mine], None], closed: bool) -> None:
    mine = Mine()
    # A record of functions that close over the object, as optax's do.
    optimizer = optax.chain(optax.GradientTransformation(mine.init, lambda *all: mine.update(*all))) if closed else mine
    (before,), (again,) = trained(optimizer, 0), trained(optimizer, 0)
    try:
        spoil(mine)
        (after,), (midway,) = trained(optimizer, 0), trained(optimizer, 0)
    finally:
        RATE["of the module"], Mine.rate = 0.1, 0.1
    np.testing.assert_array_equal(before.losses, again.losses)
    np.testing.assert_array_equal(after.losses, midway.losses)
    assert before.losses[0] == after.losses[0]
    assert (before.losses[1:] != after.losses[1:]).all(), "the change has no effect"


class CallingBack(Mine):
    """Computes in Python, which the words of its program do not show."""

    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        rate = np.float32(self.rate)

        def one(value: Any) -> Any:
            shape = jax.ShapeDtypeStruct(value.shape, value.dtype)
            return jax.pure_callback(lambda array: -rate * np.asarray(array), shape, value, vmap_method="sequential")

        return jax.tree.map(one, updates), state


def test_what_fails_while_an_epoch_runs_is_the_optimizers() -> None:
    with pytest.raises(wc.errors.BackendError, match=r"optimizer must take a step from .*; this one fails: "):
        trained(Failing(), 0)


def test_an_optimizer_that_calls_back_and_was_changed_acts_as_it_is() -> None:
    mine = CallingBack()
    (before,), (again,) = trained(mine, 0), trained(mine, 0)
    mine.rate = 2.0
    (after,) = trained(mine, 0)
    np.testing.assert_array_equal(before.losses, again.losses)
    assert (before.losses[1:] != after.losses[1:]).all()


@pytest.mark.parametrize("simplified", [False, True])
def test_optimizers_with_other_tables_are_others(simplified: bool) -> None:
    """In whichever form JAX has the arrays that a function closes over: constants, or a part of its operations."""
    rule_of = import_module("weedout_jax.optimizers").rule_of
    params = {"w": np.ones((1, 3), np.float32)}

    def rule(rate: float) -> Any:
        table = np.full(3, rate, np.float32)
        optimizer = optax.stateless(lambda updates, _: jax.tree.map(lambda one: -table * one, updates))
        return rule_of(optimizer, params, optax.EmptyState())

    jax.config.update("jax_use_simplified_jaxpr_constants", simplified)
    try:
        assert rule(0.1) == rule(0.1)
        assert rule(0.1) != rule(0.2)
    finally:
        jax.config.update("jax_use_simplified_jaxpr_constants", False)


class Failing(Mine):
    """Fails while it runs."""

    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        def one(value: Any) -> Any:
            shape = jax.ShapeDtypeStruct(value.shape, value.dtype)
            return jax.pure_callback(lambda array: 1 / 0, shape, value, vmap_method="sequential")

        return jax.tree.map(one, updates), state


class Counting(Mine):
    """Counts its steps where no state looks: once, when they are compiled."""

    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        self.schedule["rate"] /= 2
        return super().update(updates, state, params)


class Growing(Mine):
    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        return updates, (*state, jax.numpy.zeros(()))


class Spread(Mine):
    def update(self, updates: Any, state: Any, params: Any = None) -> Any:
        return jax.tree.map(lambda update: update.sum(axis=0), updates), state


class Bare(Mine):
    def init(self, params: Any) -> Any:
        raise RuntimeError("no start.")


class Mute:
    def __repr__(self) -> str:
        raise RecursionError


BEFORE: dict[str, tuple[Any, str]] = {
    "constructor": (optax.adam, r"such as optax.adam\(1e-3\); got <function adam"),
    "number": (3, "got 3"),
    "no text": (Mute(), "got Mute, which has no text"),
    "counts": (Counting(), "Counting changes itself when it is traced"),
    "grows": (Growing(), "keep the structure of its state; this one fails: "),
    "spreads": (Spread(), r"an update of each weight's shape; for .* of shape \(.*\) it gives \("),
    "no start": (Bare(), "this one fails: no start"),
    "line search": (optax.lbfgs(), "missing 3 required keyword-only arguments: 'value', 'grad', and 'value_fn'"),
    "plateau": (
        import_module("optax.contrib").reduce_on_plateau(),
        "missing 1 required keyword-only argument: 'value'",
    ),
}


@pytest.mark.parametrize(("optimizer", "text"), BEFORE.values(), ids=BEFORE)
def test_what_cannot_train_is_refused_before_any_work(optimizer: Any, text: str) -> None:
    with pytest.raises(wc.errors.BackendError, match=text):
        begun(optimizer, trees(0, 2))


def _calling(numbers: Any, update: Any) -> Any:
    shape = jax.ShapeDtypeStruct(update.shape, update.dtype)
    return jax.pure_callback(lambda one: np.float32(one * numbers[0]), shape, update, vmap_method="sequential")


def _derived(numbers: Any) -> Any:
    function = jax.custom_jvp(lambda update: update * numbers[0])
    function.defjvp(lambda primals, tangents: (function(*primals), tangents[0]))
    return function


#: Where a number may stand in a program.
PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "operation": lambda numbers, update: update * float(numbers[0]),
    "array": lambda numbers, update: update * jax.numpy.asarray(numbers)[0],
    "compiled": lambda numbers, update: jax.jit(lambda one: one * jax.numpy.asarray(numbers)[0])(update),
    "compiled inside": lambda numbers, update: jax.jit(lambda one: jax.jit(lambda two: two * numbers[0])(one))(update),
    "loop": lambda numbers, update: jax.lax.fori_loop(0, 2, lambda _, one: one * jax.numpy.asarray(numbers)[0], update),
    "scan": lambda numbers, update: jax.lax.scan(lambda one, by: (one * by, None), update, numbers)[0],
    "branch": lambda numbers, update: jax.lax.cond(
        update.sum() > 9, lambda one: one, lambda one: one * jax.numpy.asarray(numbers)[0], update
    ),
    "checkpoint": lambda numbers, update: jax.checkpoint(lambda one: one * jax.numpy.asarray(numbers)[0])(update),
    "derivative": lambda numbers, update: _derived(numbers)(update),
    "callback": _calling,
}


def scaling(place: str, number: float) -> Any:
    numbers = np.full(3, number, np.float32)
    return optax.stateless(lambda updates, _: jax.tree.map(lambda update: PLACES[place](numbers, update), updates))


@pytest.mark.parametrize("place", PLACES)
def test_an_optimizer_is_known_by_every_number_in_it(place: str) -> None:
    rule_of = import_module("weedout_jax.optimizers").rule_of
    params = trees(0, 2)
    one, same, other = (scaling(place, number) for number in (0.5, 0.5, 0.25))
    rules = [rule_of(optimizer, params, optax.EmptyState()) for optimizer in (one, one, same, other)]
    readable = place != "callback"  # of a function in Python nothing is known, not even that it is the same
    assert (rules[0] == rules[1]) is readable
    assert (hash(rules[0]) == hash(rules[1])) is readable
    assert (rules[0] == rules[2]) is readable
    assert rules[0] != rules[3]


def test_an_optimizer_may_hold_a_typed_key() -> None:
    def noisy(seed: int) -> Any:
        key = jax.random.key(seed)
        return optax.stateless(
            lambda updates, _: jax.tree.map(lambda one: -0.1 * one + jax.random.normal(key, one.shape), updates)
        )

    (one,), (same,), (other,) = (trained(noisy(seed), 0) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.losses, same.losses)
    assert (one.losses[1:] != other.losses[1:]).all()


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """The programs that are compiled from here on, by name."""
    names: list[str] = []

    def heard(event: str, _seconds: float, **labels: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            names.append(labels["fun_name"])

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield names
    jax.monitoring.unregister_event_duration_listener(heard)


def test_optimizers_that_compute_the_same_are_compiled_once(compiled: list[str]) -> None:
    """A new one is made for each training, as one does."""
    counts = []
    for rate in (0.03, 0.03, 0.02):
        trained(optax.adam(rate), 0)
        counts.append(compiled.count("jit(epoch)"))
    assert counts == [1, 1, 2], "another rate is another program"
