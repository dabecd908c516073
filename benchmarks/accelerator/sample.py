"""Drawing masks and words, against permutations and the generators of the frameworks."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import weedout_core as wc
from benchmarks.accelerator.child import Asked
from benchmarks.accelerator.clock import measure
from benchmarks.accelerator.frameworks import framework
from benchmarks.accelerator.models import SPARSITY, wide_resnet
from benchmarks.timing import wait

_LOOKED_AT = 10**6  # words at either end that are compared with the core's

Draw = Callable[[], Any]


def run(asked: Asked) -> None:
    """100 masks of WRN-28-10, every node of them; 10^9 words."""
    one = framework(asked.part)
    backend = one.connect()
    net, count = wide_resnet(28, 10, "node", asked.quick), 4 if asked.quick else 100
    words = 10_000 if asked.quick else 10**9
    plan = wc.mask_plan(wc.mask_space(net), SPARSITY)
    keys = wc.random.split(wc.key(0), count)

    def ours() -> Any:
        return [wait(mask) for mask in backend.masks_from_keys(keys, plan).values()]

    def counted(masks: Any) -> None:
        for mask, site in zip(masks, plan.sites, strict=True):
            kept = np.sum(backend.to_numpy(mask).reshape(count, -1), axis=1)
            assert np.all(kept == site.kept), f"{site.site}: {kept} nodes kept, not {site.kept}"

    def known(drawn: Any) -> None:
        found = backend.to_numpy(drawn)
        ends = np.r_[: min(_LOOKED_AT, words), max(words - _LOOKED_AT, 0) : words].astype(np.uint32)
        assert np.array_equal(found[ends], wc.random.bits_at(wc.key(7), ends)), "words that are not the core's"

    masks = f"{count} masks of WRN-28-10, {plan.nodes:,} nodes each, η = {SPARSITY}"
    drawn = f"{words:,} words"
    tables = {
        masks: [(f"weedout {one.name}", ours, counted), *_permutations(asked.part, plan, count, counted)],
        drawn: [
            (f"weedout {one.name}", lambda: wait(backend.random_bits(wc.key(7), words)), known),
            *_generators(asked.part, words, known),
        ],
    }
    for table, runners in tables.items():
        for name, draw, check in runners:
            asked.attempt(table, name, lambda draw=draw, check=check: measure(draw, check, asked.quick).columns())


def _permutations(
    name: str, plan: wc.backend.MaskPlan, count: int, counted: Callable[[Any], None]
) -> Iterator[tuple[str, Draw, Callable[[Any], None]]]:
    """The same masks as a user of the framework draws them: a random order of the nodes, the first ones kept."""
    if name == "torch":
        import torch

        from benchmarks.networks_torch import torch_device

        device = torch_device()

        def with_torch() -> list[torch.Tensor]:
            found = [torch.zeros(count, math.prod(site.shape), dtype=torch.bool, device=device) for site in plan.sites]
            for masks, site in zip(found, plan.sites, strict=True):
                for mask in masks:
                    mask[torch.randperm(mask.numel(), device=device)[: site.kept]] = True
            return [wait(masks) for masks in found]

        yield "torch.randperm", with_torch, counted
        return
    import jax
    import jax.numpy as jnp

    @jax.jit
    def with_jax(key: jax.Array) -> list[jax.Array]:
        found: list[jax.Array] = []
        for site in plan.sites:
            first = jnp.arange(math.prod(site.shape)) < site.kept
            drawn = jax.vmap(lambda key, first=first: jax.random.permutation(key, first))
            found.append(drawn(jax.random.split(jax.random.fold_in(key, site.code), count)))
        return found

    yield "jax.random.permutation", lambda: jax.block_until_ready(with_jax(jax.random.key(0))), counted


def _generators(
    name: str, words: int, known: Callable[[Any], None]
) -> Iterator[tuple[str, Draw, Callable[[Any], None]]]:
    """The framework's own words. JAX's default generator draws ours; the others are other streams, of Philox."""
    if name == "torch":
        import torch

        from benchmarks.networks_torch import torch_device

        whole = torch.empty(words, dtype=torch.int32, device=torch_device())
        yield "torch.Tensor.random_ (cuRAND's Philox on CUDA)", lambda: wait(whole.random_()), lambda drawn: None
        return
    import jax

    for label, key, check in (
        ("jax.random.bits", jax.random.key(7, impl="threefry2x32"), known),
        ("jax.random.bits, rbg (XLA's Philox)", jax.random.key(7, impl="rbg"), lambda drawn: None),
    ):
        draw = jax.jit(lambda key: jax.random.bits(key, (words,), "uint32"))
        yield label, lambda draw=draw, key=key: jax.block_until_ready(draw(key)), check
