"""How candidates follow each other while they are scored changes no fitness by more than rounding does."""

from importlib import import_module
from typing import Any, Literal, get_args

import numpy as np
import pytest

import weedout_core as wc
from tests.conformance.connected import connected
from weedout_core._algorithm.agreement import FITNESS_AGREEMENT
from weedout_core.testing.networks import COMPACTABLE

#: The one of images gathers channels from a residual stream, and has few layers to compile.
NETWORKS = {"mlp": wc.mlp(8, (32, 16), 4), "images": COMPACTABLE[1]}
ENGINES = [("jax", "map"), ("jax", "vmap"), ("jax", "loop"), ("torch", "loop"), ("torch", "vmap")]


@pytest.mark.parametrize("weights", ["shared", "per_candidate"])
@pytest.mark.parametrize("net", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize(("name", "engine"), ENGINES)
def test_every_engine_scores_as_the_reference_does(name: str, engine: str, net: wc.Network, weights: str) -> None:
    backend, reference = connected(name, engine=engine), wc.load_backend("numpy")
    # Seven: no number of candidates in a turn or a chunk divides it but one.
    config = wc.SearchConfig(population=7, weights=weights)
    population = wc.ask_tell.ask(wc.ask_tell.init(wc.key(3), wc.mask_space(net), 0.5, config))
    drawn = reference.initialise(net, wc.key(1))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, *net.input_shape)).astype(np.float32), rng.integers(0, net.classes, 12)

    def score(one: wc.backend.Backend) -> np.ndarray:
        params = {path: one.asarray(value) for path, value in drawn.items()}
        own = weights == "per_candidate"
        return one.to_numpy(one.score(net, wc.nn.he_normal(net) if own else params, population, x, y, chunk=3))

    found, wanted = score(backend), score(reference)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=FITNESS_AGREEMENT["negative_cross_entropy"])


@pytest.mark.parametrize(("name", "engine"), [*ENGINES, ("torch_xla", "vmap")])
def test_where_nothing_is_removed_all_candidates_score_alike(name: str, engine: str) -> None:
    backend, net = connected(name, engine=engine), NETWORKS["mlp"]
    population = wc.ask_tell.ask(wc.ask_tell.init(wc.key(3), wc.mask_space(net), 0.0, wc.SearchConfig(population=7)))
    x, y = np.ones((5, 8), np.float32), np.zeros(5, np.int64)
    found = backend.to_numpy(backend.score(net, backend.initialise(net, wc.key(1)), population, x, y))
    assert found.shape == (7,)
    np.testing.assert_array_equal(found, found[0])


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_an_engine_that_is_not_there(name: str) -> None:
    connected(name)
    known = ", ".join(import_module(f"weedout_{name}.engines").ENGINES)
    with pytest.raises(wc.errors.BackendError, match=rf"^engine must be one of {known}; got 'warp'\.$"):
        wc.load_backend(name, engine="warp")


@pytest.mark.parametrize(
    ("granularity", "own_weights", "computed"),
    [("channel", False, "own kernels"), ("node", False, "shared kernels"), ("node", True, "own kernels")],
)
def test_what_candidates_compute(granularity: Literal["node", "channel"], own_weights: bool, computed: str) -> None:
    net = wc.wide_resnet(10, 1, 4, (8, 8, 3), granularity=granularity)
    plan = wc.mask_plan(wc.mask_space(net), 0.5)
    assert wc.backend.products(wc.compact(net, plan.counts), own_weights) == computed
    assert wc.backend.products(wc.compact(NETWORKS["mlp"], {}), own_weights) == "dense"
    drawn = "own kernels" if own_weights else "shared kernels"
    assert wc.backend.products(wc.compact(net, {}), own_weights) == drawn, "where nothing is compacted"


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_every_kind_of_device_has_an_engine_for_whatever_candidates_compute(name: str) -> None:
    connected(name)
    engines = import_module(f"weedout_{name}.engines")
    for fastest in engines.FASTEST.values():
        assert set(fastest) == set(get_args(wc.backend.Products))
        assert set(fastest.values()) <= set(engines.ENGINES)


@pytest.mark.parametrize("name", ["jax", "torch"])
@pytest.mark.parametrize("kind", ["cpu", "accelerator"])
@pytest.mark.parametrize("which", NETWORKS)
def test_the_engine_that_scores_is_the_one_in_the_table(
    name: str, kind: str, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kind of device this is; each engine is cut up in a way of its own, by which it is known."""
    backend = connected(name, device="cpu")
    engines, scoring = import_module(f"weedout_{name}.engines"), import_module(f"weedout_{name}.scoring")
    monkeypatch.setattr(scoring, "fastest_engine", lambda _, computed: engines.FASTEST[kind][computed])
    chosen = engines.FASTEST[kind]["dense" if which == "mlp" else "own kernels"]
    cuts: dict[str, Any] = {}
    for asked in (None, chosen):

        def sizes(*arguments: Any, asked: str | None = asked, sizes: Any = scoring.sizes) -> Any:
            cuts[asked or "left open"] = arguments[1:]
            return sizes(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(scoring, "sizes", sizes)
            one = backend if asked is None else connected(name, device="cpu", engine=asked)
            net = NETWORKS[which]
            population = wc.ask_tell.ask(
                wc.ask_tell.init(wc.key(3), wc.mask_space(net), 0.5, wc.SearchConfig(population=6))
            )
            x, y = np.ones((5, *net.input_shape), np.float32), np.zeros(5, np.int64)
            one.score(net, one.initialise(net, wc.key(1)), population, x, y)
    assert cuts["left open"] == cuts[chosen]


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("sparsity", [0.2, 0.8])
def test_candidates_side_by_side_hold_no_more_than_they_may(own: bool, sparsity: float) -> None:
    """Their weights, which each gathers or draws, too: of wide layers these are far more than the activations."""
    connected("jax")
    import jax

    scoring, mesh = (
        import_module("weedout_jax.scoring"),
        import_module("weedout_jax.devices").mesh_of(jax.devices()[:1]),
    )
    net, examples = wc.mlp(64, (4096, 4096), 10), 32
    plan = wc.mask_plan(wc.mask_space(net), sparsity)
    kept = round((1 - sparsity) * 4096)
    weights = kept**2 + 10 * kept + (64 * kept if own else 0)  # what comes before the first mask is shared
    room = wc.backend.likely_room(net, plan)
    floats = scoring.candidate_floats(net, room, own, examples)
    assert floats >= weights, "what each gathers or draws"
    assert floats < 1.2 * (weights + examples * 4096), "and no more than the widest activations beside it"
    cut = scoring.sizes(mesh, "vmap", net, 1000, floats, 1000)
    assert cut.chunk * floats <= 2**26
    whole = wc.backend.Room()
    assert scoring.candidate_floats(net, whole, False, examples) == examples * 4096, "they share the weights"


def test_turns_and_chunks_divide_a_population() -> None:
    connected("jax")
    import jax

    scoring, mesh = (
        import_module("weedout_jax.scoring"),
        import_module("weedout_jax.devices").mesh_of(jax.devices()[:1]),
    )
    net = NETWORKS["mlp"]
    for size in (1, 2, 3, 7, 16, 25, 99, 100, 1000):
        for chunk in (1, 2, 5, 64, 2000):
            cut = scoring.sizes(mesh, "map", net, size, 12, chunk)
            chunks = cut.padded // cut.chunk
            assert cut.padded == chunks * cut.chunk
            assert cut.chunk % cut.turn == 0
            assert cut.chunk >= 2 * cut.turn or chunk == 1, "one turn alone is inlined, and rounds in its own way"
            assert cut.chunk <= chunk or size == 1, "no more masks at once than allowed"
            assert 0 <= cut.padded - size <= chunks, "at most one candidate a chunk is scored in vain"
    assert scoring.sizes(mesh, "map", net, 100, 12, 100) == (100, 100, 10)
    assert scoring.sizes(mesh, "map", net, 10_000, 12, 8192) == (10_000, 5000, 10)
