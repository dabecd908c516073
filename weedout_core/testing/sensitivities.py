"""The check of the gradient of masks."""

import numpy as np

from weedout_core._contract.record import Backend
from weedout_core.testing.comparing import within
from weedout_core.testing.epoch_bounds import terms
from weedout_core.testing.networks import masked, networks
from weedout_core.testing.problems import Problem, problem
from weedout_core.testing.properties import across, each
from weedout_core.testing.tolerances import bound
from weedout_core.testing.trees import on_device
from weedout_core.testing.trying import NothingToTry


def mask_gradient_agrees(backend: Backend, reference: Backend) -> None:
    """The gradient of the masks agrees, of the loss and of the logits, for kept and removed nodes.

    The call is optional: for a backend without one there is nothing to try.
    """
    if backend.mask_gradient is None:
        raise NothingToTry("the backend has no mask_gradient.")

    nets = masked(networks(backend))
    many = [problem(net, None, 300) for net in nets[:1]]

    @across([*(problem(net) for net in nets), *many], each(True, False))
    def agree(problem: Problem, labelled: bool) -> None:
        full = {site: np.ones_like(mask) for site, mask in problem.one().items()}
        for masks in (problem.one(), full):
            gradients_agree(backend, reference, problem, masks, labelled)
        if labelled:
            _no_gradient_of_a_label_that_is_no_class(backend, problem)

    agree()


def _no_gradient_of_a_label_that_is_no_class(backend: Backend, problem: Problem) -> None:
    for label in (-100, -1, problem.net.classes, 1_000_000):  # some losses skip -100, and some count from the end
        y = np.where(np.arange(len(problem.y)) == 1, label, problem.y).astype(np.int32)
        for site, found in _gradient(backend, problem._replace(y=y), problem.one(), True).items():
            assert not np.isfinite(found).all(), f"the gradient of {site!r} is finite with a label of {label}"


def gradients_agree(
    backend: Backend, reference: Backend, problem: Problem, masks: dict[str, np.ndarray], labelled: bool
) -> None:
    """Assert that the gradients of a network's masks agree, of the loss, or without labels of the logits."""
    got, wanted = (_gradient(by, problem, masks, labelled) for by in (backend, reference))
    assert set(got) == set(wanted), f"sites {sorted(got)}"
    for site, true in wanted.items():
        assert got[site].dtype == np.float64, f"the gradient of {site!r} is in {got[site].dtype}, not float64"
        most = bound("mask_gradient", "float64")(float(np.abs(true).max()), terms(problem, len(problem.y)))
        within(f"the gradient of {site!r}", got[site], true, most)


def _gradient(
    backend: Backend, problem: Problem, masks: dict[str, np.ndarray], labelled: bool
) -> dict[str, np.ndarray]:
    assert backend.mask_gradient is not None
    found = backend.mask_gradient(
        problem.net,
        on_device(backend, problem.params),
        on_device(backend, problem.statistics),
        on_device(backend, masks),
        backend.asarray(problem.x),
        backend.asarray(problem.y) if labelled else None,
    )
    return {site: backend.to_numpy(value) for site, value in found.items()}
