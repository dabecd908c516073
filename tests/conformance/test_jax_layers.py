"""What the JAX backend's own layers promise: products in bfloat16, gradients on a CPU, one network after another."""

import re
from typing import Any

import numpy as np
import pytest

import weedout_core as wc
from weedout_core.testing.precision import gamma

pytestmark = [pytest.mark.slow, pytest.mark.optimised]

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'weedout-core[jax]'")
weedout_jax = pytest.importorskip("weedout_jax", reason="optax is not installed: pip install 'weedout-core[jax]'")
jnp, layers, network = jax.numpy, weedout_jax.layers, weedout_jax.network
convolution = weedout_jax.cpu_convolution

# From 32 channels on, windows of 3 × 3 are computed in fewer multiplications.
CONVOLUTIONS = [
    *((window, stride, size, 3, 5) for window in (1, 3) for stride in (1, 2) for size in ((6, 8), (7, 5))),
    *((3, stride, size, 32, 33) for stride in (1, 2) for size in ((6, 8), (7, 5))),
    *((5, stride, (7, 5), 32, 33) for stride in (1, 2)),
]
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


# F(2×2, 3×3) of Lavin and Gray, arXiv:1509.09308, equation 7, in absolute values: how large what is added up can be.
INPUT = np.abs([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
KERNEL = np.abs([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
OUTPUT = np.abs([[1, 1, 1, 0], [0, 1, -1, -1]])


def magnitude(x: np.ndarray, kernel: np.ndarray, stride: int, how: Any) -> np.ndarray:
    """The sum of the absolute values of what an output is added up of."""
    x, kernel = np.abs(x).astype(float), np.abs(kernel).astype(float)
    if how != CPU or stride > 1 or len(kernel) != 3 or kernel.shape[2] < 32:
        return convolved(x, kernel, stride)
    _, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1 + height % 2), (1, 1 + width % 2), (0, 0)))
    weights = np.einsum("ip,jq,pqcf->ijcf", KERNEL, KERNEL, kernel)
    y = np.zeros((len(x), height + height % 2, width + width % 2, kernel.shape[-1]))
    for i, j in np.ndindex(y.shape[1] // 2, y.shape[2] // 2):
        tile = np.einsum("ip,jq,npqc->nijc", INPUT, INPUT, padded[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4])
        products = np.einsum("nijc,ijcf->nijf", tile, weights)
        y[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = np.einsum("ip,jq,npqf->nijf", OUTPUT, OUTPUT, products)
    return y[:, :height, :width]


@pytest.mark.parametrize(
    ("how", "one_by_one"), [(CPU, False), (CPU, True), (ELSEWHERE, False)], ids=["on a CPU", "one by one", "elsewhere"]
)
@pytest.mark.parametrize(("window", "stride", "size", "channels", "features"), CONVOLUTIONS)
def test_convolution_and_its_gradient(
    how: Any,
    one_by_one: bool,
    window: int,
    stride: int,
    size: tuple[int, int],
    channels: int,
    features: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("_IMAGES", "_GRADIENT", "_ROWS", "_ALL_ROWS", "_PATCHES") if one_by_one else ():
        monkeypatch.setattr(convolution, limit, 1)
    x, kernel = draw(6, *size, channels), draw(window, window, channels, features, seed=1)
    above = draw(6, -(-size[0] // stride), -(-size[1] // stride), features, seed=2)

    @jax.jit
    def run(x: Any, kernel: Any) -> Any:
        y, gradient = jax.vjp(lambda x, kernel: layers.convolve(x, kernel, stride, how), x, kernel)
        return y, gradient(jnp.asarray(above))

    y, gradients = run(x, kernel)
    wanted = convolved(x.astype(float), kernel.astype(float), stride)
    # Its products, and the sums before and after these: of weights 2 · 2 and their halves 2, of inputs 2, of four
    # products each way 2 · 2.
    assert np.all(np.abs(y - wanted) <= gamma(window**2 * channels + 12) * magnitude(x, kernel, stride, how))
    # A convolution is linear in each argument: along any direction the gradient gives the convolution itself.
    for place, found in enumerate(gradients):
        towards = draw(*(x, kernel)[place].shape, seed=3)
        one = [x.astype(float), kernel.astype(float)]
        one[place] = towards.astype(float)
        derivative = np.sum(convolved(one[0], one[1], stride) * above)
        size_of_terms = np.sum(magnitude(one[0], one[1], stride, how) * np.abs(above))
        if place == 0 and stride == 1:  # it is a convolution of the gradient
            turned = np.swapaxes(kernel[::-1, ::-1], 2, 3)
            size_of_terms = np.sum(magnitude(above, turned, 1, how) * np.abs(towards))
        terms = wanted.size * window**2 + 12  # of the longest sum, that over the outputs
        assert abs(np.sum(np.asarray(found, float) * towards) - derivative) <= gamma(terms) * size_of_terms


def test_as_many_images_as_fit_are_worked_on_at_once_and_divide_all() -> None:
    for images, limit, wanted in ((6, 35, 3), (6, 29, 2), (6, 60, 6), (7, 35, 1), (6, 9, 1)):
        assert convolution._at_once(images, 10, limit) == wanted, (images, limit)


def test_fewer_multiplications_take_operands_in_bfloat16_and_add_in_float32() -> None:
    how = CPU._replace(compute="bfloat16")
    x, kernel = draw(2, 6, 8, 32), draw(3, 3, 32, 33)
    of_x, of_kernel = (np.asarray(jnp.asarray(part, "bfloat16"), float) for part in (x, kernel))
    wanted = convolved(of_x, of_kernel, 1)
    # One rounding to bfloat16 (2^-8), of the result.
    most = 2.0**-8 * np.abs(wanted) + 1.01 * gamma(9 * 32 + 12) * magnitude(of_x, of_kernel, 1, CPU)
    y, backward = jax.vjp(lambda x, kernel: layers.convolve(x, kernel, 1, how), x, kernel)
    assert np.all(np.abs(np.asarray(y, float) - wanted) <= most)
    assert [part.dtype for part in backward(y)] == [jnp.float32] * 2


def test_windows_of_three_are_computed_in_fewer_multiplications() -> None:
    """16 products for 2 × 2 outputs in place of 36, in the gradients too."""
    x, kernel = draw(2, 8, 8, 32), draw(3, 3, 32, 64)

    def multiply_adds(run: Any) -> int:
        text = jax.jit(run).lower(x, kernel).as_text()
        assert "stablehlo.convolution" not in text
        shapes = re.findall(
            r"dot_general.*contracting_dims = \[(\d)\].*: \(tensor<(\d+)x(\d+)xf32>.*x(\d+)xf32>$", text, re.M
        )
        return sum(int(m[1]) * int(m[2]) * int(m[3]) for m in shapes)

    each = 2 * 4 * 4 * 16 * 32 * 64
    assert multiply_adds(lambda x, kernel: layers.convolve(x, kernel, 1, CPU)) == each

    def total(x: Any, kernel: Any) -> Any:
        return layers.convolve(x, kernel, 1, CPU).sum()

    assert multiply_adds(jax.grad(total, 0)) == each
    assert multiply_adds(jax.grad(total, 1)) == each


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
    params = {path: jnp.zeros(shape, jnp.float32) for path, shape in wc.nn.parameter_shapes(net).items()}
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
    params = {path: jnp.zeros((3, *shape), jnp.float32) for path, shape in wc.nn.parameter_shapes(net).items()}
    statistics = {path: jnp.zeros((3, *value.shape)) for path, value in wc.nn.initial_statistics(net).items()}
    text = network.logits.lower(params, statistics, None, draw(4, 8, 8, 3), mesh=mesh, net=net).as_text()
    lines = [line for line in text.splitlines() if "stablehlo.convolution" in line]
    assert lines, "the layers with few channels, and those of stride 2"
    assert all("feature_group_count = 1 " in line and "batch_group_count = 1 " in line for line in lines)


def test_dense_networks_are_one_batch_of_products_elsewhere_than_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, net = weedout_jax.devices.mesh_of(jax.devices()[:1]), wc.mlp(8, (32,), 4)
    params = {path: jnp.zeros((3, *shape), jnp.float32) for path, shape in wc.nn.parameter_shapes(net).items()}
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


@pytest.mark.parametrize("words", [[7, 3, 5, 3], [2**32 - 1] * 3, [0, 2**31, 0], [4]])
def test_the_smallest_word_is_found_without_a_search_and_of_equal_ones_the_first(words: list[int]) -> None:
    some = np.array(words, np.uint32)
    found = jax.jit(weedout_jax.masks._smallest)(some)
    np.testing.assert_array_equal(found, wc.backend.keep_smallest(some, 1))
