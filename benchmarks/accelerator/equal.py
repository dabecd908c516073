"""Is what the device draws and elects what the CPU draws and elects? Words, masks, winners, a part of the kit."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.frameworks import framework
from benchmarks.accelerator.kit import hold
from benchmarks.accelerator.models import mlp, wide_resnet
from weedout_core._algorithm.agreement import too_close
from weedout_core._masks.plan import Sampling

_GOLDEN = Path(__file__).parents[2] / "tests" / "core" / "golden" / f"masks_v{wc.SAMPLER_VERSION}.json"
_KEYS = (0, 1, 2**32 - 1, 2**64 - 1)

#: Of the conformance kit: every random integer, the forward pass, the gradient, a whole search.
CHECKS = ("random_bits", "keep_smallest", "masks_from_keys", "score_population", "epoch_agrees", "search_agrees")

Words = Mapping[str, Any]


def run(asked: Asked) -> None:
    """All of it, in order of worth: a wrong mask or winner is worse than any time that is slow."""
    backend = framework(asked.part).connect()
    for what, compare in (("words", _words), ("masks", _masks), ("golden masks", _golden)):
        asked.say(what)
        wrong = list(compare(backend, asked.quick))
        answer = "equal" if not wrong else f"WRONG: {'; '.join(wrong[:3])}"
        asked.notes.row("Equal to the core in NumPy", what, {asked.part: answer}, wrong=bool(wrong))
    cpu = wc.load_backend("torch", "cpu")  # for JAX too: it compiles nothing, and is held to the same reference
    for one in elections(asked.quick):
        began = time.perf_counter()
        outcome = elect(one, backend, cpu)
        asked.say(f"{one.label}: {outcome.answer}, {time.perf_counter() - began:.1f} s")
        values = {asked.part: outcome.answer, f"{asked.part}, largest difference": outcome.apart}
        asked.notes.row("Winners of searches, held to the CPU's", one.label, values, wrong=outcome.wrong)
    for outcome in hold(backend, 2, CHECKS[:2] if asked.quick else CHECKS):
        asked.say(f"{outcome.check} {outcome.verdict}, {outcome.seconds:.1f} s")
        answer = outcome.verdict if not outcome.reason else f"{outcome.verdict}: {outcome.reason}"
        asked.notes.row("Checks of the conformance kit", outcome.check, {asked.part: answer}, bool(outcome.reason))


def _words(backend: wc.backend.Backend, quick: bool) -> Iterator[str]:
    for seed in _KEYS:
        for count in (1, 2, 1000, 2**14 + 3 if quick else 2**24 + 3):
            found = backend.to_numpy(backend.random_bits(wc.key(seed), count))
            if found.dtype != np.uint32 or not np.array_equal(found, wc.random.bits(wc.key(seed), count)):
                yield f"{count} words of seed {seed}"


def _masks(backend: wc.backend.Backend, quick: bool) -> Iterator[str]:
    """Every granularity and way of counting, sites of one node to those of a Wide ResNet, and words that are equal."""
    few: list[tuple[float, Sampling]] = [(0.8, "exact"), (0.8, "bernoulli")]
    more: list[tuple[float, Sampling]] = [(0.0, "exact"), (0.2, "exact"), (0.99, "exact"), (0.2, "bernoulli")]
    many = few if quick else [*more, *few]
    spaces = {
        "single nodes": ({"one": (1,), "two": (2,), "image": (3, 5, 7)}, many),
        "MLP": (wc.mask_space(mlp(quick)), many),
        "WRN-16-4, nodes": (wc.mask_space(wide_resnet(16, 4, "node", quick)), few),
        "WRN-16-4, channels": (wc.mask_space(wide_resnet(16, 4, "channel", quick)), few),
    }
    if quick:
        spaces = {"single nodes": spaces["single nodes"]}
    for name, (space, ways) in spaces.items():
        last = list(space)[-1]
        each: tuple[wc.backend.Sparsity, Sampling] = ({site: 0.5 if site == last else 0.8 for site in space}, "exact")
        for sparsity, sampling in (*ways, each):
            plan = wc.mask_plan(space, sparsity, sampling)
            keys = wc.random.split(wc.key(11), 3)
            drawn, wanted = backend.masks_from_keys(keys, plan), wc.backend.masks_from_keys(keys, plan)
            if any(not np.array_equal(backend.to_numpy(drawn[site]), wanted[site]) for site in wanted):
                yield f"{name}, {sampling}, sparsity {sparsity}"
    words = wc.random.bits(wc.key(5), 4096) % 7
    for k in (1, 1000, 4095, 4096):
        if not np.array_equal(backend.to_numpy(backend.keep_smallest(words, k)), wc.backend.keep_smallest(words, k)):
            yield f"the {k} smallest of words that are equal"


def _golden(backend: wc.backend.Backend, quick: bool) -> Iterator[str]:
    """The masks that are committed: what no version and no device may change."""
    golden = json.loads(_GOLDEN.read_text(encoding="utf-8"))
    space = {site: tuple(shape) for site, shape in golden["space"].items()}
    for entry in golden["masks"][: 2 if quick else None]:
        key = wc.key(entry["seed"])
        for number in (int(wc.random.Stream.MASKS), entry["generation"], entry["candidate"]):
            key = wc.random.fold_in(key, number)
        allocation = (lambda *_, entry=entry: entry["kept"]) if entry["allocation"] == "erk" else entry["allocation"]
        plan = wc.mask_plan(space, entry["sparsity"], entry["sampling"], allocation)
        for site, mask in backend.masks_from_keys(key[None], plan).items():
            drawn = np.packbits(backend.to_numpy(mask)[0].reshape(-1)).tobytes().hex()
            if drawn != entry["masks"][site]["hex"]:
                yield f"seed {entry['seed']}, candidate {entry['candidate']}, site {site}"


class Election(NamedTuple):
    """A search of which the winner is compared."""

    label: str
    net: wc.Network
    sparsity: float
    config: wc.SearchConfig
    seed: int


def elections(quick: bool) -> list[Election]:
    """Ten of an MLP and of WRN-16-4, with masks of nodes and of channels; shared weights and own; in small two."""
    few = wc.SearchConfig(population=4, generations=2, validation_batch=16 if quick else 64)
    many = wc.SearchConfig(population=8 if quick else 50, generations=3, validation_batch=32 if quick else 256)
    images = {which: wide_resnet(16, 4, which, quick) for which in ("channel", "node")}
    asked: list[tuple[str, wc.Network, float, wc.SearchConfig]] = [
        ("MLP, η = 0.2", mlp(quick), 0.2, many),
        ("MLP, η = 0.8", mlp(quick), 0.8, many),
        ("MLP, η = 0.8, own weights", mlp(quick), 0.8, replace(many, weights="per_candidate")),
        ("MLP, η = 0.8, random counts", mlp(quick), 0.8, replace(many, sampling="bernoulli")),
    ]
    for which, net in images.items():
        label = f"WRN-16-4, {which} masks"
        asked += [
            (f"{label}, η = 0.5", net, 0.5, few),
            (f"{label}, η = 0.8", net, 0.8, few),
            (f"{label}, η = 0.8, own weights", net, 0.8, replace(few, weights="per_candidate")),
        ]
    return [Election(*one, seed) for seed, one in enumerate(asked[1:3] if quick else asked)]


class Outcome(NamedTuple):
    """What came of an election.

    Attributes:
        answer: in words.
        apart: the largest difference of a fitness, nats.
        wrong: whether another winner was elected where it was not close.
    """

    answer: str
    apart: float
    wrong: bool


def elect(one: Election, backend: wc.backend.Backend, cpu: wc.backend.Backend) -> Outcome:
    """Search on both; up to where two candidates are too close to call, both must elect the same."""
    data = _data(one)
    found, wanted = (
        wc.search(one.net, data, sparsity=one.sparsity, backend=on, key=wc.key(one.seed), config=one.config)
        for on in (backend, cpu)
    )
    return judge(found, wanted)


def judge(found: wc.SearchResult, wanted: wc.SearchResult) -> Outcome:
    """Whether a search elected what another one did."""
    limit, apart = too_close(wanted.config.fitness), 0.0
    for mine, theirs in zip(found.history, wanted.history, strict=True):
        apart = max(apart, float(np.max(np.abs(mine.fitness - theirs.fitness))))
        if mine.elite != theirs.elite:
            second, first = np.sort(theirs.fitness)[-2:]
            where = f"generation {mine.generation}: {mine.elite} in place of {theirs.elite}"
            if first - second < limit:
                return Outcome(f"too close to call in {where}", apart, False)
            return Outcome(f"WRONG in {where}", apart, True)
    mine, theirs = found.network.mask or {}, wanted.network.mask or {}
    if mine.keys() != theirs.keys() or any(not np.array_equal(mine[site], theirs[site]) for site in theirs):
        return Outcome("WRONG: the winner's mask", apart, True)
    return Outcome("equal", apart, False)


def _data(one: Election) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(one.seed)
    examples = 2 * one.config.validation_batch
    x = rng.normal(size=(examples, *one.net.input_shape)).astype(np.float32)
    return x, rng.integers(0, one.net.classes, examples)
