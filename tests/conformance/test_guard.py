"""The guard: every public argument, and every field of every configuration, layer and record, passes through it."""

import copy
import inspect
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance import fuzzed
from tests.conformance.connected import connected
from tests.conformance.test_fuzz import FACES
from weedout_core._contract.checked_call import CALLS
from weedout_core._networks.layers import LAYERS
from weedout_core.lab.commands.options import ProbeOptions, RunOptions
from weedout_core.lab.experiment.configuration import ExperimentConfig


def public_functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    for face, module in FACES.items():
        for name in sorted(fuzzed.functions(module)):
            yield f"{face}.{name}", getattr(module, name)


def test_every_public_argument_says_what_it_is() -> None:
    """Any is what a kind cannot tell: a model, an optimizer, what a strategy does not look at."""
    whatever = {
        (name, parameter)
        for name, function in public_functions()
        for parameter, one in inspect.signature(function).parameters.items()
        if one.annotation in (Any, inspect.Parameter.empty)
    }
    assert {parameter for _, parameter in whatever} == {
        "configs", "key", "model", "optimizer", "options", "value",
    }  # fmt: skip
    assert {name for name, parameter in whatever if parameter == "key"} == {"ask_tell.random_search"}


# Fields

SUBNETWORK = wc.Subnetwork(
    fuzzed.NET, {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(fuzzed.NET).items()}
)
#: One of each dataclass that is made of what is handed in.
MADE: list[Any] = [
    fuzzed.SEARCH, fuzzed.TRAIN, fuzzed.NET, SUBNETWORK, fuzzed.PLAN, fuzzed.PLAN.sites[0],
    wc.nn.he_normal(fuzzed.NET)[0], wc.compact(fuzzed.NET, {"hidden_0": 2}), wc.load_backend("numpy"),
    wc.nn.Dense("a", 2), wc.nn.Conv("a", 2), wc.nn.BatchNorm("a"), wc.nn.Relu(), wc.nn.Flatten(), wc.nn.MaxPool(),
    wc.nn.GlobalAveragePool(), wc.nn.Mask("a"), wc.nn.Gather("a", 2), wc.nn.Scale(2.0), wc.nn.Residual(()),
    fuzzed.ADOPTED,
    ExperimentConfig(), RunOptions(), ProbeOptions(),
]  # fmt: skip
IDS: Callable[[Any], str] = lambda value: value if isinstance(value, str) else type(value).__name__  # noqa: E731
FIELDS = [(one, item.name) for one in MADE for item in fields(one) if item.compare]


def test_every_public_dataclass_is_here() -> None:
    """But costs, which are counted and never handed in."""
    public = {value for module in FACES.values() for value in vars(module).values() if inspect.isclass(value)}
    assert {kind for kind in public if is_dataclass(kind)} - {wc.Costs} <= {type(one) for one in MADE}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("one", "name"), FIELDS, ids=IDS)
def test_a_field_of_another_kind_is_refused_by_name(one: Any, name: str) -> None:
    with pytest.raises(wc.WeedoutError, match=rf"^{name}\b.* must be .*; got Hostile, which has no text\."):
        replace(one, **{name: fuzzed.Hostile()})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("one", "name"), FIELDS, ids=IDS)
def test_a_number_of_numpys_becomes_pythons(one: Any, name: str) -> None:
    value = getattr(one, name)
    numpys = {int: np.int64, float: np.float64, bool: np.bool_, str: np.str_}.get(type(value))
    if numpys is None:
        return
    found = getattr(replace(one, **{name: numpys(value)}), name)
    assert found == value
    assert type(found) is type(value)


#: Records that functions take, each with a function and the argument in which it takes one.
TAKEN = {
    "Population": ("Backend.score_population", "population"),
    "ScoredBatch": ("Backend.score_population", "batch"),
    "Scoring": ("Backend.score_population", "scoring"),
    "TrainPlan": ("Backend.train_init", "plan"),
    "TrainState": ("Backend.train_epoch", "state"),
    "Batches": ("Backend.train_epoch", "batches"),
    "SearchState": ("ask_tell.ask", "state"),
    "Room": ("backend.compacted", "room"),
    "Trained": ("wc.train", "resume"),
}
#: Made by the library alone, or a part of one that is taken.
GIVEN_ONLY = {"Choice", "Evaluation", "RandomControl", "SearchResult", "EpochResult", "Examples", "LimitedTraining"}
PARTS = {
    "Generation", "Epoch", "Origin", "Beginning", "SearchBeginning", "ProcessSetting", "Peers", "Place", "Held",
    "Follows",
}  # fmt: skip
#: Fields that only the backend or the user knows.
OPAQUE = {("TrainPlan", "optimizer"), ("TrainState", "optimizer")}


def test_every_record_is_here() -> None:
    public = {value for module in FACES.values() for value in vars(module).values() if inspect.isclass(value)}
    assert {kind.__name__ for kind in public if hasattr(kind, "_fields")} == {*TAKEN, *GIVEN_ONLY, *PARTS}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("record", TAKEN)
def test_a_field_of_a_record_is_refused_where_it_is_handed_in(record: str) -> None:
    backend, (which, argument) = connected("numpy"), TAKEN[record]
    calls = fuzzed.library(backend) | {f"Backend.{name}": call for name, call in fuzzed.methods(backend).items()}
    call = calls[which]
    given = call.given[argument]
    for path, spoilt in spoilt_fields(given):
        if (type(given).__name__, path[-1]) in OPAQUE:
            continue
        with pytest.raises(wc.WeedoutError, match=rf"\b{path[-1]}\b.* must be .*; got Hostile"):
            call.function(**{**call.given, argument: spoilt})


def spoilt_fields(one: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A record with each of its fields, and of the records in it, of another kind."""
    for name in one._fields:
        yield (*path, name), one._replace(**{name: fuzzed.Hostile()})
        value = getattr(one, name)
        if isinstance(value, tuple) and value and hasattr(value[0], "_fields"):
            for inside, first in spoilt_fields(value[0], (*path, name)):
                yield inside, one._replace(**{name: (first, *value[1:])})


def derived(one: Any) -> Any:
    """The same, of a class that is derived from its own, has its name, and overrides what it likes."""
    kind: Any = type(type(one).__name__, (type(one),), {"units": -1, "epochs": -1, "population": -1})
    if isinstance(one, tuple):
        return kind(*one)
    made = object.__new__(kind)
    made.__dict__.update(vars(one))
    return made


DERIVED = r"must be a \w+ itself; got one of the class tests\."


def is_record(one: Any) -> bool:
    return hasattr(one, "_fields") or (is_dataclass(one) and not isinstance(one, type))


def derived_within(given: Any) -> Iterator[Any]:
    """What is handed in, with itself or an item of it of a derived class."""
    if is_record(given):
        yield derived(given)
    elif isinstance(given, list | tuple) and given and is_record(given[0]):
        yield type(given)([derived(given[0]), *given[1:]])


@pytest.mark.usefixtures("unchecked")
def test_a_record_of_a_derived_class_is_refused_wherever_it_is_handed_in() -> None:
    backend, tried = connected("numpy"), set[str]()
    calls = fuzzed.library(backend) | {f"Backend.{name}": call for name, call in fuzzed.methods(backend).items()}
    del calls["wc.choices"]  # those of any dataclass
    for name, call in calls.items():
        for argument, given in call.given.items():
            for other in derived_within(given):
                with pytest.raises(wc.WeedoutError, match=DERIVED) as caught:
                    call.function(**{**call.given, argument: other})
                tried.add(str(caught.value).split(" itself")[0].rpartition(" ")[2])
                assert argument in str(caught.value) or name == "nn.every_layer"
    assert tried >= {"SearchConfig", "TrainConfig", "Network", "Subnetwork", "Dense", "Backend", "Trained", "Origin"}


@pytest.mark.parametrize("layer", [one for one in MADE if type(one) in LAYERS.values()], ids=IDS)
@pytest.mark.usefixtures("unchecked")
def test_a_layer_that_no_backend_knows_makes_no_network(layer: Any) -> None:
    layers = (derived(layer), wc.nn.Dense("logits", 2))
    with pytest.raises(wc.errors.ConfigError, match=r"^layers\[0\] must be a \w+ itself; got one of the class tests\."):
        wc.Network(layers, (3,))


# What means the same

SAME: list[tuple[Callable[..., Any], Any, Any]] = [
    (lambda value: wc.key(value), np.int64(7), 7),
    (lambda value: wc.key(value), np.array(7), 7),
    (lambda value: wc.mlp(value, (3,), 2), [4, 2], (4, 2)),
    (lambda value: wc.mlp(value, (3,), 2), np.array([4, 2]), (4, 2)),
    (lambda value: wc.mlp(value, (3,), 2), np.int32(4), 4),
    (lambda value: wc.mlp(4, value, 2), [3, np.int64(5)], (3, 5)),
    (lambda value: wc.mask_plan(fuzzed.SPACE, value), np.float32(0.7), 0.7),
    (lambda value: wc.mask_plan({"a": (1000,)}, value), np.float16(0.7), 0.7),
    (lambda value: wc.mask_plan({"a": (10,)}, value), Fraction(1, 4), 0.25),
    (lambda value: wc.mask_plan(value, 0.5), {"a": [3, 4]}, {"a": (3, 4)}),
    (lambda value: wc.TrainConfig(learning_rate=value), np.float32(0.1), 0.1),
    (lambda value: wc.SearchConfig(population=value), np.int64(6), 6),
    (lambda value: wc.Network(value, (4,)), [wc.nn.Dense("logits", 2)], (wc.nn.Dense("logits", 2),)),
    (lambda value: wc.random.fold_in(fuzzed.KEY, value), np.uint8(3), 3),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("place", range(len(SAME)))
def test_what_means_the_same_is_taken_as_that(place: int) -> None:
    make, value, plain = SAME[place]
    found, wanted = make(value), make(plain)
    assert np.array_equal(found, wanted) if isinstance(wanted, np.ndarray) else found == wanted
    assert repr(found) == repr(wanted), "of Python's own types"


#: Whatever holds the two words of a key, by how it came to.
KEYS: dict[str, Callable[[], Any]] = {
    "a typed key of JAX": lambda: __import__("jax").random.key(5),
    "an array of JAX": lambda: __import__("jax").numpy.asarray(fuzzed.KEY),
    "a tensor": lambda: __import__("torch").tensor(fuzzed.KEY.astype(np.int64)),
    "JSON": lambda: json.loads(json.dumps(fuzzed.KEY.tolist())),
    "JSON and NumPy": lambda: np.array(json.loads(json.dumps(fuzzed.KEY.tolist()))),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
@pytest.mark.parametrize("how", KEYS)
def test_a_key_draws_the_same_whatever_holds_it(name: str, how: str) -> None:
    backend, given = connected(name), KEYS[how]()
    masks = backend.sample_masks(given, fuzzed.SPACE, 0.5, 3)
    wanted = backend.sample_masks(fuzzed.KEY, fuzzed.SPACE, 0.5, 3)
    np.testing.assert_array_equal(backend.to_numpy(masks["hidden_0"]), backend.to_numpy(wanted["hidden_0"]))
    for one, other in zip(
        backend.initialise(fuzzed.NET, given).values(), backend.initialise(fuzzed.NET, fuzzed.KEY).values(), strict=True
    ):
        np.testing.assert_array_equal(backend.to_numpy(one), backend.to_numpy(other))
    assert wc.ask_tell.init(given, fuzzed.SPACE, 0.5) == wc.ask_tell.init(fuzzed.KEY, fuzzed.SPACE, 0.5)


def torch_inputs() -> dict[str, Any]:
    import torch

    x = torch.tensor(np.round(fuzzed.X * 8) / 8)  # of 8 bits, which bfloat16 holds
    inputs = {"float32": x, "bfloat16": x.bfloat16(), "requires grad": x.clone().requires_grad_()}
    with torch.inference_mode():
        inputs["inference"] = x.clone()
    try:
        import torch_xla
    except ImportError:
        return inputs
    return inputs | {"xla": x.to(torch_xla.device())}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
def test_inputs_may_be_tensors_of_any_kind(name: str) -> None:
    backend = connected(name)
    inputs = torch_inputs()
    plain = inputs["float32"].numpy()

    def found(x: Any) -> list[Any]:
        searched = wc.search(
            fuzzed.NET, (x, fuzzed.Y), sparsity=0.5, backend=backend, key=fuzzed.KEY, config=fuzzed.SEARCH
        )
        trained = wc.train(searched.network, (x, fuzzed.Y), backend=backend, key=fuzzed.KEY, config=fuzzed.TRAIN)
        return [searched, trained.network, wc.evaluate(trained.network, (x, fuzzed.Y), backend=backend)]

    wanted = found(plain)
    for kind, x in inputs.items():
        assert found(x) == wanted, kind


# What is kept, and what comes out


@pytest.mark.parametrize("name", ["params", "mask", "statistics"])
def test_what_is_kept_is_a_copy_that_nobody_can_write_to(name: str) -> None:
    params = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(fuzzed.IMAGES).items()}
    mask = {site: np.ones(shape, bool) for site, shape in wc.mask_space(fuzzed.IMAGES).items()}
    given: dict[str, Any] = {"params": params, "mask": mask, "statistics": wc.nn.initial_statistics(fuzzed.IMAGES)}
    network = wc.Subnetwork(fuzzed.IMAGES, **given)
    before = copy.deepcopy(network)
    for array in given[name].values():
        array[...] = 0
    given[name].clear()
    assert network == before
    for array in getattr(network, name).values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_view_that_cannot_be_written_to_is_copied_where_its_owner_can() -> None:
    params = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(fuzzed.NET).items()}
    views = {path: array.view() for path, array in params.items()}
    for view in views.values():
        view.flags.writeable = False
    network = wc.Subnetwork(fuzzed.NET, views)
    params["logits/bias"][...] = 5
    assert (network.params["logits/bias"] == 1).all()


def test_what_cannot_change_is_not_copied() -> None:
    again = replace(SUBNETWORK, mask=None)
    assert all(again.params[path] is array for path, array in SUBNETWORK.params.items())


def test_a_fitness_that_is_told_is_copied() -> None:
    fitness = np.array([1.0, 2.0, 3.0])
    state, _ = wc.ask_tell.tell(wc.ask_tell.init(fuzzed.KEY, fuzzed.SPACE, 0.5, fuzzed.SEARCH), fitness)
    fitness[...] = 0
    assert state.history[0].fitness.tolist() == [1.0, 2.0, 3.0]


def results(name: str) -> dict[str, Any]:
    backend = connected(name)
    data = (fuzzed.X, fuzzed.Y)
    found = wc.search(fuzzed.NET, data, sparsity=0.5, backend=backend, key=fuzzed.KEY, config=fuzzed.SEARCH)
    control = wc.draw_control(fuzzed.NET, sparsity=0.5, backend=backend, key=fuzzed.KEY, config=fuzzed.SEARCH)
    trained = wc.train(found.network, data, backend=backend, key=fuzzed.KEY, config=fuzzed.TRAIN)
    return {
        "search": found, "control": control, "trained": trained,
        "evaluation": wc.evaluate(trained.network, data, backend=backend),
        "state": wc.ask_tell.init(fuzzed.KEY, fuzzed.SPACE, 0.5, fuzzed.SEARCH),
        "configuration": fuzzed.SEARCH, "network": fuzzed.NET, "plan": fuzzed.PLAN,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
def test_results_can_be_pickled_copied_compared_and_hashed(name: str) -> None:
    again = results(name)
    for what, one in results(name).items():
        for other in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one), again[what]):
            assert other == one, what
            assert not other != one, what  # noqa: SIM202
            assert hash(other) == hash(one), what
    assert again["search"] != again["search"]._replace(fitness=0.5)
    assert again["evaluation"] != again["evaluation"]._replace(predictions=np.zeros(12, np.int32))


#: Records that hold functions, and are no results.
OF_FUNCTIONS = {"Backend", "ProcessSetting"}


def public_records() -> set[type[Any]]:
    public = {value for module in FACES.values() for value in vars(module).values() if inspect.isclass(value)}
    return {kind for kind in public if is_dataclass(kind) or hasattr(kind, "_fields")}


def parts(one: Any) -> list[Any]:
    """The fields of a record."""
    return list(one) if hasattr(one, "_fields") else [getattr(one, item.name) for item in fields(one)]


def records(one: Any) -> Iterator[Any]:
    """The records in what is handed in or given, themselves first."""
    if is_record(one):
        yield one
        one = parts(one)
    if isinstance(one, dict | list | tuple):
        for item in one.values() if isinstance(one, dict) else one:
            yield from records(item)


def every_record(backend: wc.backend.Backend) -> dict[str, Any]:
    """One of each public kind, by its name: from what every public function takes and gives, the latter first."""
    calls = [*fuzzed.library(backend).values(), *fuzzed.methods(backend).values()]
    given = [call.function(**call.given) for call in calls]
    found = [one for many in (given, [call.given for call in calls]) for one in records(many)]
    examples = wc.backend.Examples(fuzzed.X, fuzzed.Y)
    plan = wc.backend.train_plan(fuzzed.TRAIN, len(fuzzed.Y))
    found += [*MADE, examples, wc.backend.LimitedTraining(examples, plan, 2, fuzzed.KEY)]
    found += [fuzzed.ADOPTED.places[0], fuzzed.ADOPTED.params[0], fuzzed.ADOPTED.params[0].follows[0]]
    found.append(wc.backend.ProcessSetting("one", lambda: 1, fuzzed.do_nothing, (1,)))
    return {type(one).__name__: one for one in reversed(found)}


def again(value: Any) -> Any:
    """The same from other parts: arrays copied, NaN another NaN."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, float) and value != value:
        return float("nan")
    if isinstance(value, dict):
        return {name: again(value[name]) for name in reversed(value)}
    if type(value) is tuple:
        return tuple(map(again, value))
    if type(value) is list:
        return list(map(again, value))
    if not is_record(value):
        return value
    return type(value)(*map(again, parts(value)))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_every_record_is_what_it_holds(name: str) -> None:
    """Compared, hashed, pickled and copied: arrays on the device too, and NaN, which is itself."""
    found = every_record(connected(name))
    assert set(found) >= {kind.__name__ for kind in public_records()}
    for what, one in found.items():
        if what in OF_FUNCTIONS:
            continue
        numbers = [item for item in getattr(one, "_fields", ()) if isinstance(getattr(one, item), float)]
        for record in (one, *(one._replace(**{item: float("nan")}) for item in numbers)):
            for other in (again(record), pickle.loads(pickle.dumps(record)), copy.copy(record), copy.deepcopy(record)):
                assert other == record, what
                assert not other != record, what  # noqa: SIM202
                assert hash(other) == hash(record), what
        for item in numbers:
            assert one._replace(**{item: float("nan")}) != one, what


@pytest.mark.parametrize("name", ["numpy", "jax", "torch"])
def test_no_array_of_a_result_can_be_written_to(name: str) -> None:
    """Nor of one that was pickled."""
    backend = connected(name)
    given = results(name) | {
        "population": wc.ask_tell.ask(wc.ask_tell.init(fuzzed.KEY, fuzzed.SPACE, 0.5, fuzzed.SEARCH)),
        "batches": wc.backend.epoch_batches([fuzzed.KEY], 0, fuzzed.FIXED),
        "not trained": wc.train(
            SUBNETWORK, (fuzzed.X, fuzzed.Y), backend=backend, key=fuzzed.KEY, config=replace(fuzzed.TRAIN, epochs=0)
        ),
    }
    found = [place for one in (given, pickle.loads(pickle.dumps(given))) for place in arrays(one)]
    assert len(found) > 40
    for path, array in found:
        with pytest.raises(ValueError, match="WRITEABLE"):  # nor by who says that he may
            array.flags.writeable = True
        assert not array.flags.writeable, path


@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
def test_a_backend_says_what_to_pass_instead_of_itself(name: str) -> None:
    backend = connected(name)
    with pytest.raises(wc.errors.BackendError, match=rf"Pass its name, '{name}', and call wc\.load_backend there"):
        pickle.dumps(backend)
    assert copy.deepcopy(backend) is backend
    assert copy.copy(backend) is backend
    assert hash(backend) == hash(replace(backend))


def arrays(one: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a result, each with where it stands."""
    if isinstance(one, np.ndarray):
        yield path, one
    elif isinstance(one, Mapping):
        for name, value in one.items():
            yield from arrays(value, f"{path}.{name}")
    elif isinstance(one, tuple):
        for place, value in enumerate(one):
            yield from arrays(value, f"{path}[{place}]")
    elif isinstance(one, wc.Subnetwork):
        for item in fields(one):
            yield from arrays(getattr(one, item.name), f"{path}.{item.name}")


@pytest.mark.parametrize("name", ["jax", "torch", "torch_xla"])
def test_what_comes_out_is_alike_from_every_backend(name: str) -> None:
    """In names, shapes, dtype and whether it can be written to. Computed floats have the backend's precision."""
    ours, theirs = (dict(arrays(results(one))) for one in ("numpy", name))
    assert ours.keys() == theirs.keys()
    for path, array in ours.items():
        other = theirs[path]
        assert array.shape == other.shape, path
        assert array.flags.writeable == other.flags.writeable, path
        assert array.dtype.kind == other.dtype.kind, path
        computed = ".params" in path or ".statistics" in path or path.startswith(".trained[1]")
        assert array.dtype == other.dtype or computed, path


@pytest.mark.parametrize("name", ["numpy", "jax", "torch", "torch_xla"])
def test_what_a_backend_fetches_cannot_be_written_to(name: str) -> None:
    backend = connected(name)
    for value in (fuzzed.X, fuzzed.Y, fuzzed.Y > 0, fuzzed.KEY):
        fetched = backend.to_numpy(backend.asarray(value.copy()))
        assert not fetched.flags.writeable


def test_integers_beyond_int32_are_refused_and_not_wrapped() -> None:
    for name in ("numpy", "jax", "torch"):
        with pytest.raises(
            wc.errors.ConfigError, match=r"integers must be in \[-2\^31, 2\^31\); got 0 … 1099511627776"
        ):
            connected(name).asarray(np.array([0, 2**40]))


# Cases of their own


def test_zero_candidates_are_refused() -> None:
    for count in (0, -1):
        with pytest.raises(wc.errors.ConfigError, match=f"count must be an integer of at least 1; got {count}"):
            wc.load_backend("numpy").sample_masks(fuzzed.KEY, fuzzed.SPACE, 0.5, count)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"layers": ' * 100_000])
def test_json_that_is_nested_too_deep_is_no_network(text: str) -> None:
    with pytest.raises(wc.errors.ConfigError, match="not a network written by network_to_json"):
        wc.nn.network_from_json(text)


def test_residuals_that_are_nested_too_deep_are_no_network() -> None:
    layer: Any = wc.nn.Relu()
    for _ in range(100):
        layer = wc.nn.Residual((layer,))
    with pytest.raises(wc.errors.ConfigError, match="residuals must be nested at most 100 deep"):
        wc.nn.Residual((layer,))


def test_a_masked_array_is_refused_for_its_mask_would_be_lost() -> None:
    masked: Any = np.ma.masked_array(fuzzed.X, fuzzed.X > 0)
    with pytest.raises(wc.errors.DataError, match="inputs must be an array of numbers"):
        wc.evaluate(SUBNETWORK, (masked, fuzzed.Y), backend="numpy")


def test_channels_first_is_warned_of() -> None:
    with pytest.warns(wc.WeedoutWarning, match=r"move them to the end: \(32, 32, 3\)"):
        wc.wide_resnet(10, 1, 10, input_shape=(3, 32, 32))
    net = wc.vgg(2, 10)
    params = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    network = wc.Subnetwork(net, params, None, wc.nn.initial_statistics(net))
    images = np.zeros((2, 3, 32, 32), np.float32)
    with pytest.raises(wc.errors.DataError, match="The channels come first here: move them to the end"):
        wc.evaluate(network, (images, np.zeros(2, int)), backend="numpy")


def test_every_call_of_the_contract_is_checked() -> None:
    assert set(fuzzed.methods(wc.load_backend("numpy"))) >= {*CALLS} - {"compiled_memory", "adopt", "score_trained"}
