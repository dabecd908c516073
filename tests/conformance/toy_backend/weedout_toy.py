"""A complete backend in one file: float32 NumPy, all networks of a population at once.

The random stream, the masks and the fitness are integers and formulas that the core has for any array-API library. What
is left is below: initial weights, the forward and the backward pass, and SGD. Every array here has a leading axis: one
entry for each network, or 1 where all share it. docs/write-a-backend.md explains each part.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import erfinv

import weedout_core as wc


def asarray(value: Any) -> np.ndarray:
    array = wc.backend.host_array(value)
    return np.array(array, np.float32 if array.dtype.kind == "f" else array.dtype)  # a copy


def draw_parameters(key: Any, specs: Any) -> dict[str, np.ndarray]:
    low = np.nextafter(np.float32(-1), np.float32(0))
    params: dict[str, np.ndarray] = {}
    for spec in specs:
        words = wc.random.bits(wc.random.fold_in(key, spec.code), math.prod(spec.shape))
        uniform = np.maximum(low, 2 * ((words >> 9) * np.float32(2**-23)).astype(np.float32) + low)
        constant = 0.0 if spec.std else spec.value
        params[spec.path] = asarray(spec.std * math.sqrt(2) * erfinv(uniform) + constant).reshape(spec.shape)
    return params


def masked(h: np.ndarray, mask: np.ndarray, rescale: bool) -> np.ndarray:
    """``(R, examples, *shape)`` where the mask, ``(R, *shape)`` or ``(R, channels)``, keeps it."""
    spread = mask.reshape(len(mask), *[1] * (h.ndim - mask.ndim), *mask.shape[1:])
    kept = np.where(spread, h, np.float32(0))
    if not rescale:
        return kept
    fraction = mask.reshape(len(mask), -1).mean(axis=1, dtype=np.float32).clip(1e-30)  # a mask may keep nothing
    return kept / fraction.reshape(-1, *[1] * (h.ndim - 1))


def weights(layer: wc.nn.Dense, params: Any, masks: Any) -> np.ndarray:
    """The W of each network: what its mask keeps, if the layer's single weights have one."""
    path = f"{layer.name}/kernel"
    return (
        params[path] if masks is None or not layer.connections else np.where(masks[path], params[path], np.float32(0))
    )


def forward(net: wc.Network, params: Any, masks: Any, h: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The logits ``(R, examples, classes)``, and each layer's input for the way back."""
    inputs: list[np.ndarray] = []
    for layer in net.layers:
        inputs.append(h)
        match layer:
            case wc.nn.Dense(name):
                h = h @ weights(layer, params, masks) + params[f"{name}/bias"][:, None]
            case wc.nn.Relu():
                h = np.maximum(h, 0)
            case wc.nn.Flatten():
                h = h.reshape(*h.shape[:2], -1)
            case wc.nn.Mask(site, rescale):
                h = h if masks is None else masked(h, masks[site], rescale)
    return h, inputs


def backward(net: wc.Network, params: Any, masks: Any, inputs: list[np.ndarray], g: np.ndarray) -> dict[str, Any]:
    """The gradient of each parameter, from that of the logits."""
    gradients: dict[str, np.ndarray] = {}
    for layer, h in zip(reversed(net.layers), reversed(inputs), strict=True):
        match layer:
            case wc.nn.Dense(name):
                of_weights = {f"{name}/kernel": h.swapaxes(1, 2) @ g}
                gradients |= {f"{name}/kernel": weights(layer, of_weights, masks), f"{name}/bias": g.sum(axis=1)}
                g = g @ weights(layer, params, masks).swapaxes(1, 2)
            case wc.nn.Relu():
                g = g * (h > 0)
            case wc.nn.Flatten():
                g = g.reshape(h.shape)
            case wc.nn.Mask(site, rescale):
                g = g if masks is None else masked(g, masks[site], rescale)
    return gradients


def predict(net: Any, params: Any, statistics: Any, masks: Any, x: Any) -> np.ndarray:
    return forward(net, params, masks, x[None])[0]


def score_population(net: Any, params: Any, population: Any, batch: Any, scoring: Any) -> np.ndarray:
    fitness, scores = wc.backend.FITNESS[scoring.fitness], np.empty(population.size, dtype=np.float32)
    for start in range(0, population.size, scoring.chunk):
        part = slice(start, start + scoring.chunk)
        if population.masks is not None:
            masks = {site: asarray(mask[part]) for site, mask in population.masks.items()}
        else:
            masks = wc.backend.masks_from_keys(population.mask_keys[part], population.plan)
        if isinstance(params, Mapping):
            weights = {path: value[None] for path, value in params.items()}
        else:
            drawn = [draw_parameters(key, params) for key in population.weight_keys[part]]
            weights = {spec.path: np.stack([one[spec.path] for one in drawn]) for spec in params}
        scores[part] = fitness(forward(net, weights, masks, batch.x[None])[0], batch.y)
    return scores


def train_init(net: Any, plan: Any, keys: Any, params: Any, statistics: Any) -> wc.backend.TrainState:
    if plan.optimizer is not None or plan.config.compute != "float32":
        raise wc.errors.BackendError(
            'the toy backend trains with SGD, optimizer=None, in float32, compute="float32"; got '
            f"optimizer={plan.optimizer!r} and compute={plan.config.compute!r}."
        )
    velocity = {path: np.zeros_like(value) for path, value in params.items()}
    return wc.backend.TrainState(keys, 0, params, statistics, velocity)


def cropped(x: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Images ``(R, examples, height, width, channels)``, each cut and mirrored by its ``(row, column, mirrored)``."""
    (height, width), border = x.shape[2:4], (wc.backend.CROP_MARGIN, wc.backend.CROP_MARGIN)
    padded = np.pad(x, [(0, 0), (0, 0), border, border, (0, 0)])
    shown = np.empty_like(x)
    for place in np.ndindex(x.shape[:2]):
        row, column, mirrored = crops[place]
        shown[place] = padded[place][row : row + height, column : column + width][:, :: -1 if mirrored else 1]
    return shown


def train_epoch(
    net: Any, plan: Any, state: Any, masks: Any, x: Any, y: Any, batches: Any
) -> tuple[wc.backend.TrainState, wc.backend.EpochResult]:
    params, velocity = state.params, state.optimizer
    rates = wc.backend.learning_rates(plan.config, plan.steps)[state.epoch * plan.steps :]
    decayed = wc.backend.decayed_paths(net, plan.config)
    losses: list[np.ndarray] = []
    correct: list[np.ndarray] = []
    for step in range(plan.steps):
        shown, labels = x[batches.order[:, step]], y[batches.order[:, step]]
        if batches.crops is not None:
            shown = cropped(shown, batches.crops[:, step])
        logits, inputs = forward(net, params, masks, shown)
        losses.append(-wc.backend.negative_cross_entropy(logits, labels))
        correct.append((wc.backend.predictions(logits) == labels).sum(axis=1, dtype=np.int32))
        odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
        wanted = labels[..., None] == np.arange(net.classes)
        g_logits = (odds / odds.sum(axis=-1, keepdims=True) - wanted.astype(np.float32)) / plan.batch_size
        g_logits = g_logits + 0 * losses[-1][:, None, None]  # NaN where the loss is: no step is left out
        gradient = backward(net, params, masks, inputs, g_logits)
        params, velocity = wc.backend.sgd_step(params, velocity, gradient, float(rates[step]), decayed, plan.config)
    state = state._replace(epoch=state.epoch + 1, params=params, optimizer=velocity)
    return state, wc.backend.EpochResult(np.stack(losses, axis=1), np.stack(correct, axis=1))


def connect(device: str | None = None, devices: int = 1) -> wc.backend.Backend:
    """What the entry point names."""
    if device not in (None, "cpu") or devices != 1:
        raise wc.errors.BackendError(f"the toy backend runs on one CPU; got device={device!r}, devices={devices}.")
    return wc.backend.Backend(
        name="toy",
        device="cpu",
        devices=1,
        libraries=("numpy", "scipy"),
        asarray=asarray,
        to_numpy=wc.backend.host_view,
        random_bits=wc.random.bits,
        keep_smallest=wc.backend.keep_smallest,
        masks_from_keys=wc.backend.masks_from_keys,
        draw_parameters=draw_parameters,
        score_population=score_population,
        predict=predict,
        train_init=train_init,
        train_epoch=train_epoch,
        layers=(wc.nn.Dense, wc.nn.Relu, wc.nn.Flatten, wc.nn.Mask),
    )
