"""The record that carries a network: checked when made, read-only, saved and loaded to the bit."""

import copy
import json
import pickle
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import weedout_core as wc

MLP = wc.mlp(3, (4, 4), 2)
NORMED = wc.wide_resnet(10, 1, 3, (4, 4, 3), granularity="channel")
VGG = wc.vgg(2, 3, (4, 4, 3), granularity="channel")


def drawn(net: wc.Network, sparsity: float = 0.5) -> wc.Subnetwork:
    return wc.draw_control(net, sparsity=sparsity, backend="numpy", key=wc.key(3)).network


def same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and all(
        np.array_equal(one[path], other[path]) and one[path].dtype == other[path].dtype for path in one
    )


def assert_same(one: wc.Subnetwork, other: wc.Subnetwork) -> None:
    assert one.net == other.net
    for name in ("params", "mask", "statistics"):
        assert same(getattr(one, name), getattr(other, name)), name


def test_statistics_cannot_be_left_out_where_there_is_batch_normalisation() -> None:
    params = drawn(NORMED).params
    said = (
        r"has batch normalisation, and its statistics must be given: .*trained\.network\.statistics.*initial_statistics"
    )
    with pytest.raises(wc.errors.ConfigError, match=said):
        wc.Subnetwork(NORMED, params)
    with pytest.raises(wc.errors.ConfigError, match=said):
        wc.load_backend("numpy").apply(NORMED, params, np.zeros((1, 4, 4, 3)))
    assert wc.Subnetwork(NORMED, params, statistics=wc.nn.initial_statistics(NORMED)).sparsity == 0
    assert wc.Subnetwork(MLP, drawn(MLP).params).moving == {}, "None is for networks without"


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (
            {"params": {}},
            wc.errors.ConfigError,
            "params must be those of the network: 'dense_0/kernel' must have shape",
        ),
        (
            {"params": [1]},
            wc.errors.ConfigError,
            "params must be a mapping of names, each value an array of floats of at most 64 bits; got [1].",
        ),
        ({"mask": {"hidden_0": np.ones(4, bool)}}, wc.errors.MaskError, "exactly the network's sites"),
        (
            {"mask": {"hidden_0": np.ones(4), "hidden_1": np.ones(4)}},
            wc.errors.MaskError,
            "the mask of site 'hidden_0' must be of booleans, True where a node is kept; got float64.",
        ),
        ({"statistics": {"norm/mean": np.ones(4)}}, wc.errors.ConfigError, "'norm/mean' must not be there"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_does_not_fit_is_refused_when_it_is_made(
    change: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=re.escape(said)):
        wc.Subnetwork(**{"net": MLP, "params": drawn(MLP).params, **change})


def test_a_site_without_nodes_is_warned_of() -> None:
    network = drawn(MLP)
    mask = {**(network.mask or {}), "hidden_1": np.zeros(4, bool)}
    with pytest.warns(
        wc.WeedoutWarning, match=r"^the mask removes all 4 nodes of site 'hidden_1', .* Keep at least one"
    ):
        emptied = wc.Subnetwork(MLP, network.params, mask)
    said = (
        "the mask removes all 4 nodes of site 'hidden_1', which leaves no smaller network that computes the same. Keep "
        "at least one node of each site, as masks from a plan do."
    )
    with pytest.raises(wc.errors.ConfigError, match=f"^{re.escape(said)}$"):
        emptied.compact()


def test_two_masks_that_together_keep_nothing_are_warned_of_where_compaction_joins_them() -> None:
    net = wc.Network((wc.nn.Dense("a", 4), wc.nn.Mask("one"), wc.nn.Mask("two"), wc.nn.Dense("logits", 2)), (3,))
    apart = {"one": np.array([True, True, False, False]), "two": np.array([False, False, True, True])}
    params = {path: np.ones(shape) for path, shape in wc.nn.parameter_shapes(net).items()}
    network = wc.Subnetwork(net, params, apart)
    with pytest.warns(wc.WeedoutWarning, match="^the mask removes all 2 nodes of site 'two'"):
        network.compact()


def test_its_text_is_one_line_without_arrays() -> None:
    assert repr(drawn(MLP)) == "Subnetwork(input_shape=(3,), sites=2, sparsity=0.5, parameters=46)"


def test_a_negative_variance_is_refused_wherever_statistics_are_handed_in(tmp_path: Path) -> None:
    network, backend = drawn(NORMED), wc.load_backend("numpy")
    path = next(path for path in network.moving if path.endswith("/variance"))
    for value in (-1e-6, -np.inf):
        wrong = np.array(network.moving[path])
        wrong[-1] = value
        statistics, x, y = {**network.moving, path: wrong}, np.zeros((2, 4, 4, 3)), np.arange(2)
        masks = {site: mask[None] for site, mask in (network.mask or {}).items()}
        calls: list[Callable[[], Any]] = [
            lambda: wc.Subnetwork(NORMED, network.params, network.mask, statistics),  # noqa: B023
            lambda: backend.apply(NORMED, network.params, x, network.mask, statistics),  # noqa: B023
            lambda: backend.score(NORMED, network.params, masks, x, y, statistics=statistics),  # noqa: B023
        ]
        for call in calls:
            with pytest.raises(
                wc.errors.ConfigError, match=rf"^statistics must have variances of at least 0; .*'{path}'"
            ):
                call()
    whole = np.where(np.arange(len(wrong)) > 0, 0.0, -0.0).astype(wrong.dtype)
    network = wc.Subnetwork(NORMED, network.params, network.mask, {**network.moving, path: whole})
    network.save(tmp_path / "one.safetensors")
    assert_same(wc.Subnetwork.load(tmp_path / "one.safetensors"), network)


def test_it_is_read_only_and_leaves_what_it_was_handed_writeable() -> None:
    params = {path: np.array(value) for path, value in drawn(MLP).params.items()}
    network = wc.Subnetwork(MLP, params)
    with pytest.raises(ValueError, match="read-only"):
        network.params["logits/bias"][0] = 1.0
    params["logits/bias"][0] = 1.0


@pytest.mark.parametrize("framework", ["jax.numpy", "torch"])
def test_arrays_of_any_framework_that_numpy_reads_are_taken(framework: str) -> None:
    xp = pytest.importorskip(framework)
    wanted = {path: value.astype(np.float32) for path, value in drawn(MLP).params.items()}
    network = wc.Subnetwork(MLP, {path: xp.asarray(value) for path, value in wanted.items()})
    assert same(network.params, wanted)
    assert all(isinstance(value, np.ndarray) for value in network.params.values())


def test_what_numpy_cannot_read_is_named() -> None:
    class Elsewhere:
        shape = (2,)

        def __array__(self, *_: Any, **__: Any) -> np.ndarray:
            raise TypeError("it is on a device")

    params = {**drawn(MLP).params, "logits/bias": Elsewhere()}
    message = r"^params\['logits/bias'\] must be an array of floats of at most 64 bits; got "
    with pytest.raises(wc.errors.ConfigError, match=message + r"Elsewhere of no dtype \(2,\)\.$") as caught:
        wc.Subnetwork(MLP, params)
    assert str(caught.value.__cause__) == "it is on a device", "the reason goes with it"
    with pytest.raises(wc.errors.ConfigError, match=message + r"\[\[1\], \[1, 2\]\]\.$"):
        wc.Subnetwork(MLP, {**params, "logits/bias": [[1], [1, 2]]})


def test_it_says_what_it_removes_and_what_it_costs() -> None:
    network = drawn(MLP)
    assert network.sparsity == 0.5
    assert network.costs == wc.costs(MLP, network.mask)
    assert wc.Subnetwork(MLP, network.params).costs == wc.costs(MLP)
    small = drawn(NORMED).compact()
    assert small.costs.macs == wc.costs(small.net).macs, "indices of Gather layers are no mask"


@pytest.mark.parametrize("net", [MLP, NORMED, VGG], ids=["mlp", "wide_resnet", "vgg"])
def test_compacted_it_computes_the_same(net: wc.Network) -> None:
    backend, network = wc.load_backend("numpy"), drawn(net)
    small, x = network.compact(), np.random.default_rng(0).normal(size=(5, *net.input_shape))
    assert wc.costs(small.net).macs < wc.costs(net).macs
    found, wanted = (backend.apply(one.net, one.params, x, one.mask, one.statistics) for one in (small, network))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)  # float64, sums of at most some hundred terms
    assert small.compact() is small, "it is compacted already"
    parent = wc.Subnetwork(net, network.params, None, network.statistics)
    assert parent.compact() is parent, "nothing is removed"


@pytest.mark.parametrize("net", [MLP, NORMED], ids=["mlp", "wide_resnet"])
@pytest.mark.parametrize("kind", ["masked", "parent", "compacted"])
def test_saved_and_loaded_it_is_the_same_to_the_bit(net: wc.Network, kind: str, tmp_path: Path) -> None:
    network = drawn(net)
    if kind == "parent":
        network = wc.Subnetwork(net, network.params, None, network.statistics)
    network = network.compact() if kind == "compacted" else network
    path = tmp_path / "network.safetensors"
    path.write_bytes(b"an earlier one")
    network.save(path)
    assert_same(wc.Subnetwork.load(path), network)
    assert [item.name for item in tmp_path.iterdir()] == ["network.safetensors"], "nothing is left beside it"


#: Arrays of any shape and order in memory, as models of other libraries hold them.
ARRAYS = {
    "scalar": np.array(2, np.float32),
    "one": np.full(1, 2, np.float32),
    "empty": np.ones((0, 3), np.float32),
    "by columns": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "apart": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
    "repeated": np.broadcast_to(np.float32(1), (2, 3)),
    "other byte order": np.arange(6, dtype=">f4"),
}


def test_arrays_of_any_shape_and_order_are_saved_and_loaded(tmp_path: Path) -> None:
    held = tuple(wc.backend.Held(path, value.shape) for path, value in ARRAYS.items())
    layer = wc.backend.Adopted("model", ("torch",), 2, (wc.backend.Place("site", (4,), "", ""),), held, held, "digest")
    network = wc.Subnetwork(wc.Network((layer,), (3,)), ARRAYS, {"site": np.arange(4) % 2 == 0}, ARRAYS)
    network.save(tmp_path / "network")
    assert_same(wc.Subnetwork.load(tmp_path / "network"), network)


def changed_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def of_another_kind(path: Path) -> None:
    save_file({"a": np.zeros(2)}, path)


def of_another_network(path: Path) -> None:
    _rewritten(path, lambda facts: {**facts, "network": wc.nn.network_to_json(wc.mlp(3, (5,), 2))})


def with_no_network(path: Path) -> None:
    _rewritten(path, lambda facts: {**facts, "network": "{}"})


def with_no_params(path: Path) -> None:
    _rewritten(path, lambda facts: {**facts, "trees": ["mask"]})


def _rewritten(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from safetensors import safe_open

    opened: Any = safe_open
    with opened(path, framework="numpy") as file:
        header = dict(file.metadata())
    header["subnetwork"] = json.dumps(change(json.loads(header["subnetwork"])))
    save_file(load_file(path), path, header)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed_bytes, "is damaged: its arrays are not those that were written."),
        (cut_short, "cannot be read as a subnetwork: "),
        (of_another_kind, 'must hold a subnetwork of the format "weedout subnetwork 1"; got None.'),
        (of_another_network, r"is damaged: its arrays are not those of its network \("),
        (with_no_network, "is damaged: its header describes no subnetwork "),
        (with_no_params, r"is damaged: its arrays are not those of its network \("),
        (Path.unlink, "cannot be read as a subnetwork: "),
    ],
)
def test_what_is_not_what_was_written_is_refused(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    drawn(MLP).save(path)
    damage(path)
    with pytest.raises(wc.errors.RunError, match=said):
        wc.Subnetwork.load(path)


def test_two_that_are_saved_to_one_file_leave_one_of_them_whole(tmp_path: Path) -> None:
    path = tmp_path / "network"
    (tmp_path / "network.partial").write_text("somebody's own")
    networks = [wc.draw_control(wc.mlp(12, (256,), 4), sparsity=0.5, backend="numpy", key=wc.key(k)).network
                for k in (0, 1)]  # fmt: skip
    networks[0].save(path)

    def save(which: int) -> None:
        for _ in range(20):
            networks[which % 2].save(path)
            assert wc.Subnetwork.load(path) in networks

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(save, range(4)))
    assert {one.name for one in tmp_path.iterdir()} == {"network", "network.partial"}
    assert (tmp_path / "network.partial").read_text() == "somebody's own"


def test_without_safetensors_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, path = drawn(MLP), tmp_path / "network"
    network.save(path)
    for module in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, module, None)
    for call in (network.save, wc.Subnetwork.load):
        with pytest.raises(wc.errors.RunError, match=r"needs safetensors(\.numpy)?: pip install safetensors, or "):
            call(path)


def test_where_it_cannot_be_written_nothing_is_lost(tmp_path: Path) -> None:
    with pytest.raises(wc.errors.RunError, match=r"network cannot be written: No such file or directory\."):
        drawn(MLP).save(tmp_path / "no folder" / "network")
    with pytest.raises(wc.errors.RunError, match=r"^/ cannot be written: "):
        drawn(MLP).save("/")
    folder = tmp_path / "network"
    folder.mkdir()
    with pytest.raises(wc.errors.RunError, match="cannot be written: Is a directory"):
        drawn(MLP).save(folder)
    assert [item.name for item in tmp_path.iterdir()] == ["network"], "nothing half-written is left"


def _read_only(array: np.ndarray, path: Path) -> tuple[Any, Any]:
    array.flags.writeable = False
    array.flags.writeable = True  # what one is allowed to do with an array of one's own
    held = array.view()
    held.flags.writeable = False
    return held, array


def _unlocked_later(array: np.ndarray, path: Path) -> tuple[Any, Any]:
    array.flags.writeable = False
    return array, array


def _in_a_file(array: np.ndarray, path: Path) -> tuple[Any, Any]:
    array.tofile(path)
    there = np.memmap(path, array.dtype, "r+", shape=array.shape)
    return np.memmap(path, array.dtype, "r", shape=array.shape), there


def _in_a_buffer(array: np.ndarray, path: Path) -> tuple[Any, Any]:
    buffer = bytearray(array.tobytes())
    whole = np.frombuffer(buffer, array.dtype).reshape(array.shape)
    return np.frombuffer(memoryview(buffer).toreadonly(), array.dtype).reshape(array.shape), whole


def _by_dlpack(array: np.ndarray, path: Path) -> tuple[Any, Any]:
    tensor = pytest.importorskip("torch").from_numpy(array)
    shared = np.from_dlpack(tensor)
    shared.flags.writeable = False
    return shared, array


@pytest.mark.parametrize("share", [_read_only, _unlocked_later, _in_a_file, _in_a_buffer, _by_dlpack])
def test_what_is_merely_read_only_is_copied(share: Callable[..., tuple[Any, Any]], tmp_path: Path) -> None:
    kept = drawn(MLP)
    weights = kept.params["dense_0/kernel"].astype(np.float32)
    held, writable = share(weights.copy(), tmp_path / "weights")
    network = wc.Subnetwork(MLP, {**kept.params, "dense_0/kernel": held}, kept.mask)
    if isinstance(writable, np.ndarray) and not writable.flags.writeable:
        writable.flags.writeable = True
    before = hash(network)
    writable[...] = 0
    assert (network.params["dense_0/kernel"] == weights).all()
    assert hash(network) == before


def test_nothing_of_it_can_be_unlocked_or_exchanged_and_nothing_of_it_is_copied_again() -> None:
    network = drawn(NORMED)
    for tree in (network.params, network.mask, network.statistics):
        assert tree is not None
        for path, array in tree.items():
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
            with pytest.raises(TypeError, match="does not support item assignment"):
                tree[path] = array * 0  # type: ignore[index]
    again = wc.Subnetwork(NORMED, network.params, network.mask, network.statistics)
    assert again == network
    assert all(again.params[path] is array for path, array in network.params.items())
    assert pickle.loads(pickle.dumps(network)) == copy.deepcopy(network) == network
