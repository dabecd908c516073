"""What errors on the type of an argument say to do, and what results look like at a prompt."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance import fuzzed
from tests.conformance.test_guard import SUBNETWORK, public_functions
from weedout_core._contract.checked_call import CALLS
from weedout_core._guard.remedies import made_by
from weedout_core._guard.showing import shown
from weedout_core.lab.verdict.decisions import Pairs, decide
from weedout_core.lab.verdict.paired import paired_statistics

BACKEND = wc.load_backend("numpy")
SPLIT = (fuzzed.X, fuzzed.Y)
CONTROL = wc.draw_control(fuzzed.NET, sparsity=0.5, backend=BACKEND, key=fuzzed.KEY)
FOUND = wc.search(fuzzed.NET, SPLIT, sparsity=0.5, backend=BACKEND, key=fuzzed.KEY, config=fuzzed.SEARCH)
TRAINED = wc.train(CONTROL.network, SPLIT, backend=BACKEND, key=fuzzed.KEY, config=fuzzed.TRAIN)
#: Without types, because what is handed in is of a wrong one.
WC: Any = wc
PAIRS: Any = Pairs("snip", "random", 0.5, [0.5] * 5, [0.4] * 5)


def taken() -> Iterator[Any]:
    """Each type that a public function or a call of a backend takes, also in a union or a sequence."""
    functions = [inspect.unwrap(function) for _, function in public_functions()]
    for function in (*functions, decide, *(call.__call__ for call in CALLS.values())):
        for name, hint in get_type_hints(inspect.unwrap(function)).items():
            if name != "return":
                yield from parts(hint)


def parts(hint: Any) -> Iterator[Any]:
    yield hint
    for inside in get_args(hint):
        yield from parts(inside)


def test_every_record_that_is_taken_says_where_it_comes_from() -> None:
    layers = set(get_args(wc.nn.Layer))
    records = {kind for kind in taken() if inspect.isclass(kind) and (is_dataclass(kind) or hasattr(kind, "_fields"))}
    assert {wc.Network, wc.Subnetwork, wc.Trained, Pairs} <= records
    assert [kind for kind in records - layers if not made_by((kind,))] == []
    assert made_by(get_args(wc.nn.Layer)), "layers say it once for all of them"


def train(network: Any, **more: Any) -> Any:
    return wc.train(network, SPLIT, backend=BACKEND, key=fuzzed.KEY, config=fuzzed.TRAIN, **more)


LIST = "Put it into a list, also where it is the only one."
CALLS_AND_REMEDIES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a model": (lambda: WC.mask_space(dict), "net", r"Make one by wc\.mlp, .* another library wc\.adopt .*"),
    "a subnetwork for its network": (lambda: WC.mask_space(SUBNETWORK), "net", r"Pass its \.net\."),
    "a control for its network's network": (lambda: WC.mask_space(CONTROL), "net", r"Pass its \.network\.net\."),
    "a control": (lambda: train(CONTROL), "network", r"Pass its \.network\."),
    "a search": (lambda: train(FOUND), "network", r"Pass its \.network\."),
    "a training": (lambda: WC.evaluate(TRAINED, SPLIT, backend=BACKEND), "network", r"Pass its \.network\."),
    "a parent": (lambda: train(fuzzed.NET), "network", r"Take the \.network of what wc\.search, .*"),
    "among several": (
        lambda: WC.evaluate_together([CONTROL.network, TRAINED], SPLIT, backend=BACKEND),
        r"networks\[1\]", r"Pass its \.network\.",
    ),
    "one for a sequence": (
        lambda: WC.evaluate_together(CONTROL.network, SPLIT, backend=BACKEND), "networks", LIST
    ),
    "one record for a sequence of them": (lambda: decide(PAIRS, 5), "comparisons", LIST),
    "one key for a sequence of them": (
        lambda: WC.train_together([CONTROL.network], SPLIT, backend=BACKEND, keys=fuzzed.KEY), "keys", LIST
    ),
    "one size for a sequence of them": (lambda: WC.mlp(4, 6, 3), "hidden", LIST),
    "a result for its history": (
        lambda: WC.search(
            fuzzed.NET, SPLIT, sparsity=0.5, backend=BACKEND, key=fuzzed.KEY, config=fuzzed.SEARCH, scored=FOUND
        ),
        "scored", r"Hand in generations of the \.history of what wc\.search returned\.",
    ),
    "a network to resume": (
        lambda: train(CONTROL.network, resume=TRAINED.network), "resume", r"Hand in the whole of what wc\.train .*"
    ),
    "no sequence": (lambda: paired_statistics(WC, [0.5], 0.05), "first", ""),
    "a network for its masks": (lambda: WC.costs(fuzzed.NET, CONTROL.network), "masks", r"Pass its \.mask\."),
    "a network for its space": (
        lambda: WC.mask_plan(fuzzed.NET, 0.5), "space", r"Make one by wc\.mask_space\(net\)\."
    ),
    "another layer": (lambda: WC.Network((dict,), (3,)), r"layers\[0\]", r"Layers are those of wc\.nn, .*"),
    "no backend": (lambda: WC.load_backend(3), "backend", r"Give the name of a backend, .*"),
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("what", CALLS_AND_REMEDIES)
def test_what_is_refused_by_its_type_is_answered_with_what_to_do(what: str) -> None:
    call, name, remedy = CALLS_AND_REMEDIES[what]
    with pytest.raises(wc.WeedoutError, match=rf"^{name} must be .*; got .*\.{remedy and ' '}{remedy}$") as caught:
        call()
    assert remedy or str(caught.value).endswith(f"got {shown(WC)}."), "nothing is known"


RESULTS: dict[str, Any] = {
    "search": FOUND,
    "control": CONTROL,
    "training": TRAINED,
    "generation": FOUND.history[0],
    "epoch": TRAINED.history[0],
    "evaluation": wc.evaluate(TRAINED.network, SPLIT, backend=BACKEND),
    "state": wc.ask_tell.init(fuzzed.KEY, fuzzed.SPACE, 0.5),
    "compaction": wc.compact(fuzzed.IMAGES, dict.fromkeys(wc.mask_space(fuzzed.IMAGES), 1)),
    "decision": decide([PAIRS] * 8, 5),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_a_few_lines_at_a_prompt(name: str) -> None:
    text = repr(RESULTS[name])
    assert text.startswith(f"{type(RESULTS[name]).__name__}(")
    assert len(text) <= 6 * 100, text
    assert "array(" not in text


def test_arrays_are_shown_by_dtype_and_shape() -> None:
    assert f"losses={type(TRAINED.losses).__name__} of float64 (4,)" in repr(TRAINED)
    assert "velocity={'dense_0/kernel': ndarray of float64 (4, 6)" in repr(TRAINED)
    assert "y=ndarray of int32 (2,)" in repr(wc.backend.ScoredBatch(np.ones((2, 3)), np.arange(2, dtype=np.int32)))
