"""What the JAX backend's own layers promise: products in bfloat16, gradients on a CPU, one network after another."""

import re
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.testing.precision import gamma

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'weedout-core[jax]'")
weedout_jax = pytest.importorskip("weedout_jax", reason="optax is not installed: pip install 'weedout-core[jax]'")
jnp, layers, network = jax.numpy, weedout_jax.layers, weedout_jax.network

CONVOLUTIONS = [(window, stride, size) for window in (1, 3) for stride in (1, 2) for size in ((6, 8), (7, 5))]
CPU, ELSEWHERE = layers.Arithmetic("cpu", "highest"), layers.Arithmetic("tpu", "highest")


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """``y[i, j] = Σ x[stride·i + p, stride·j + q]·W[p, q]``, in the precision of its arguments."""
    margin = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    y = np.zeros((len(x), -(-x.shape[1] // stride), -(-x.shape[2] // stride), kernel.shape[-1]), x.dtype)
    for i, j in np.ndindex(y.shape[1:3]):
        window = padded[:, stride * i :, stride * j :][:, : len(kernel), : len(kernel)]
        y[:, i, j] = np.einsum("npqc,pqcf->nf", window, kernel)
    return y


@pytest.mark.parametrize(
    ("how", "rows"), [(CPU, None), (CPU, 2000), (ELSEWHERE, None)], ids=["on a CPU", "a few at a time", "elsewhere"]
)
@pytest.mark.parametrize(("window", "stride", "size"), CONVOLUTIONS)
def test_convolution_and_its_gradient(
    how: Any, rows: int | None, window: int, stride: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    if rows is not None:  # of 6 images one (window 3) or three (window 1) at a time
        monkeypatch.setattr(layers, "_ROWS", rows)
        monkeypatch.setattr(layers, "_ALL_ROWS", 0)
        monkeypatch.setattr(layers, "_IMAGES", 3)
    x, kernel = draw(6, *size, 3), draw(window, window, 3, 5, seed=1)
    above = draw(6, -(-size[0] // stride), -(-size[1] // stride), 5, seed=2)

    @jax.jit
    def run(x: Any, kernel: Any) -> Any:
        y, gradient = jax.vjp(lambda x, kernel: layers.convolve(x, kernel, stride, how), x, kernel)
        return y, gradient(jnp.asarray(above))

    y, gradients = run(x, kernel)
    wanted = convolved(x.astype(float), kernel.astype(float), stride)
    magnitude = convolved(np.abs(x).astype(float), np.abs(kernel).astype(float), stride)
    assert np.all(np.abs(y - wanted) <= gamma(window**2 * 3) * magnitude)
    # A convolution is linear in each argument: along any direction the gradient gives the convolution itself.
    for place, found in enumerate(gradients):
        towards = draw(*(x, kernel)[place].shape, seed=3)
        one = [x.astype(float), kernel.astype(float)]
        one[place] = towards.astype(float)
        derivative = np.sum(convolved(one[0], one[1], stride) * above)
        size_of_terms = np.sum(convolved(np.abs(one[0]), np.abs(one[1]), stride) * np.abs(above))
        terms = wanted.size * window**2  # of the longest sum, that over the outputs
        assert abs(np.sum(np.asarray(found, float) * towards) - derivative) <= gamma(terms) * size_of_terms


def test_a_cpu_takes_its_gradient_from_products() -> None:
    """XLA's own gradient of a convolution is twenty times slower in a loop."""
    x, kernel = draw(2, 8, 8, 3), draw(3, 3, 3, 4)

    def convolutions(how: Any) -> int:
        def total(x: Any, kernel: Any) -> Any:
            return layers.convolve(x, kernel, 1, how).sum()

        text = jax.jit(jax.grad(total, (0, 1))).lower(x, kernel).as_text()
        return len(re.findall(r"stablehlo.convolution.*\[\w, 0, 1, \w\]x", text))

    assert convolutions(CPU) == 0, "along the rows of an image alone"
    assert convolutions(ELSEWHERE) == 2


@pytest.mark.parametrize("how", [CPU, ELSEWHERE], ids=["on a CPU", "elsewhere"])
def test_bfloat16_rounds_the_operands_of_products_only(how: Any) -> None:
    how = how._replace(compute="bfloat16")
    image, kernel, flat, weights, bias = draw(4, 6, 8, 3), draw(3, 3, 3, 5), draw(4, 7), draw(7, 6), draw(6)
    of_image, of_kernel, of_flat, of_weights = (
        np.asarray(jnp.asarray(part, "bfloat16"), float) for part in (image, kernel, flat, weights)
    )
    for found, product, magnitude, added, terms in (
        (
            layers.convolve(image, kernel, 1, how),
            convolved(of_image, of_kernel, 1), convolved(abs(of_image), abs(of_kernel), 1), 0.0, 27,
        ),
        (
            layers.dense(flat.T, weights, bias, how).T,
            of_flat @ of_weights, abs(of_flat) @ abs(of_weights), bias.astype(float), 7,
        ),
    ):  # fmt: skip
        assert found.dtype == jnp.float32
        # Operands are exact in bfloat16. Their product is a sum in float32, rounded once to bfloat16 (2^-8) at most;
        # the bias is added in float32.
        error = np.abs(np.asarray(found, float) - (product + added))
        assert np.all(error <= 2.0**-8 * np.abs(product) + gamma(terms + 2) * (magnitude + np.abs(added)))


def test_bfloat16_leaves_everything_else_in_float32() -> None:
    net = wc.wide_resnet(10, 1, 4, (8, 8, 3))
    params = {path: jnp.zeros(shape, jnp.float32) for path, shape in wc.parameter_shapes(net).items()}
    how = CPU._replace(compute="bfloat16")

    def run(params: Any, x: Any) -> Any:
        return network.forward(net, params, x, None, 2, how)[0].sum()

    text = jax.jit(jax.grad(run)).lower(params, draw(4, 8, 8, 3)).as_text()
    lines = [line for line in text.splitlines() if "bf16" in line]
    assert any("stablehlo.convolution" in line for line in lines), "nothing is computed in bfloat16"
    for name in ("reduce", "sqrt", "divide", "subtract", "maximum"):
        assert not any(f"stablehlo.{name}" in line for line in lines), f"a {name} is computed in bfloat16"


def test_networks_with_convolutions_come_one_after_another() -> None:
    """Side by side their kernels would make a grouped convolution."""
    mesh = weedout_jax.devices.mesh_of(jax.devices()[:1])
    net = wc.wide_resnet(10, 1, 4, (8, 8, 3))
    params = {path: jnp.zeros((3, *shape), jnp.float32) for path, shape in wc.parameter_shapes(net).items()}
    statistics = {path: jnp.zeros((3, *value.shape)) for path, value in wc.initial_statistics(net).items()}
    text = network.logits.lower(params, statistics, None, draw(4, 8, 8, 3), mesh=mesh, net=net).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert len(lines) == sum(isinstance(layer, wc.Conv) for layer in wc.every_layer(net.layers))
    assert all("feature_group_count = 1 " in line and "batch_group_count = 1 " in line for line in lines)


def test_dense_networks_are_one_batch_of_products_elsewhere_than_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, net = weedout_jax.devices.mesh_of(jax.devices()[:1]), wc.mlp(8, (32,), 4)
    params = {path: jnp.zeros((3, *shape), jnp.float32) for path, shape in wc.parameter_shapes(net).items()}
    masks = {"hidden_0": jnp.ones((3, 32), bool)}

    def loops(platform: str) -> int:
        # On a CPU a batch of large products is slower than one after the other.
        monkeypatch.setattr(network, "platform", lambda mesh: platform)
        each = jax.jit(lambda *trees: network.each_network(mesh, net, lambda params, masks, x: x @ x, *trees))
        return each.lower(params, masks, jnp.ones((3, 5, 5))).as_text().count("stablehlo.while")

    assert loops("cpu") == 1
    assert loops("gpu") == 0


def test_a_wide_network_predicts_fewer_examples_at_once() -> None:
    mesh = weedout_jax.devices.mesh_of(jax.devices()[:1])
    assert network.chunk_size(mesh, wc.mlp(8, (32, 16), 4)) == 4096
    # 2^26 floats at 32 × 32 × 160 an example, its widest activation.
    assert network.chunk_size(mesh, wc.wide_resnet(28, 10, 10)) == 409
