"""The conformance kit: does a backend do what the NumPy reference does?

For a backend of your own::

    from weedout_core.testing import CHECKS, assert_agrees

    def test_my_backend():
        assert_agrees(connect())            # every check, or: CHECKS["masks_from_keys"](backend, reference)

    def test_my_backend_on_eight_devices():
        assert_agrees(connect(devices=8))

Each check is a function ``(backend, reference) -> None`` that raises AssertionError with a message on what differs, and
NothingToTry, which pytest counts as skipped, if it has no example that the backend computes. Its inputs come from
Hypothesis, which finds the smallest ones that fail; the profile of Hypothesis sets how many are tried. Integers (random
words, masks, selection) must be equal; floats must agree within the bounds of ``tolerances``.

The kit needs the packages of the extra ``test``.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend
from weedout_core.testing import (
    bfloat16,
    coinciding,
    conversions,
    deciding,
    deciding_steps,
    draws,
    exact,
    fitting,
    forward,
    large,
    limited,
    purity,
    scores,
    searches,
    sensitivities,
    throughout,
    training,
)
from weedout_core.testing.examples import keys, plans, spaces, sparsities, tied_words
from weedout_core.testing.problems import problems
from weedout_core.testing.trying import NothingToTry, explanation

__all__ = [
    "CHECKS", "Check", "NothingToTry", "assert_agrees", "keys", "plans", "problems", "spaces", "sparsities",
    "tied_words",
]  # fmt: skip

Check = Callable[[Backend, Backend], None]

#: Every check by name, in the order in which failures are easiest to understand.
CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            draws.signatures,
            fitting.computes_a_network,
            conversions.conversions,
            draws.random_bits,
            draws.keep_smallest,
            draws.masks_from_keys,
            draws.bernoulli_thresholds,
            draws.sample_masks,
            draws.draw_parameters,
            forward.apply_agrees,
            forward.predict_together,
            forward.predict_compacted,
            forward.full_mask_is_parent,
            scores.score_agrees,
            scores.permuted_candidates,
            deciding.deciding_inputs,
            deciding.deciding_logits,
            deciding.not_finite_stays,
            training.epoch_agrees,
            training.compacted_epoch_agrees,
            deciding_steps.deciding_gradients,
            deciding_steps.deciding_counts,
            fitting.optimizers_are_refused,
            limited.limited_training_agrees,
            exact.numbers_of_few_bits,
            bfloat16.bfloat16_step_agrees,
            bfloat16.default_step_agrees,
            sensitivities.mask_gradient_agrees,
            coinciding.coinciding_sizes,
            purity.pure,
            large.large_predictions,
            large.large_populations,
            large.large_epochs,
            searches.search_agrees,
            searches.elite_never_worsens,
            throughout.throughout_agrees,
        )
    }
)


def assert_agrees(backend: str | Backend, reference: str | Backend = "numpy") -> None:
    """Run every check of a backend against the reference, but those that have nothing to try on it.

    Args:
        backend: the backend to check, on as many devices as it is connected to, or its registered name.
        reference: the backend to compare it with, or its registered name.
    Raises:
        AssertionError: from the first check that fails, with a note that names the check.
        BackendError: a name is unknown, or the backend of that name cannot connect.
    """
    backend, reference = load_backend(backend), load_backend(reference)
    for name, check in CHECKS.items():
        try:
            check(backend, reference)
        except NothingToTry:
            continue
        except BaseException as error:
            if found := explanation(error)():
                error.add_note(found)
            error.add_note(f"conformance check {name!r} of backend {backend.name!r} on {backend.device}")
            raise
