"""The conformance kit: does a backend do what the NumPy reference does?

For a backend of your own::

    from weedout_core.testing import CHECKS, assert_agrees

    def test_my_backend():
        assert_agrees(connect())            # every check, or: CHECKS["masks_from_keys"](backend, reference)

Each check is a function ``(backend, reference) -> None`` that raises AssertionError with a message on what differs.
Its inputs come from Hypothesis, which prints the smallest ones that fail; the profile of Hypothesis sets how many are
tried. Integers (random words, masks, selection) must be equal; floats must agree within the bounds of ``tolerances``.

The kit needs the packages of the extra ``test``.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from weedout_core._contract.loading import load_backend
from weedout_core._contract.record import Backend
from weedout_core.testing import compacted, draws, scores, searches, sensitivities, training
from weedout_core.testing.examples import keys, plans, spaces, sparsities, tied_words
from weedout_core.testing.problems import problems

__all__ = ["CHECKS", "Check", "assert_agrees", "keys", "plans", "problems", "spaces", "sparsities", "tied_words"]

Check = Callable[[Backend, Backend], None]

#: Every check by name, in the order in which failures are easiest to understand.
CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            draws.signatures,
            draws.random_bits,
            draws.keep_smallest,
            draws.masks_from_keys,
            draws.bernoulli_thresholds,
            draws.masks_match_counts,
            draws.sample_masks,
            draws.draw_parameters,
            scores.apply_agrees,
            scores.predict_together,
            compacted.predict_compacted,
            scores.full_mask_is_parent,
            scores.score_masks,
            scores.score_population,
            scores.score_norms,
            scores.score_own_weights,
            compacted.score_compacted,
            scores.permuted_candidates,
            scores.chunks_change_nothing,
            scores.tied_logits,
            scores.not_finite_stays,
            scores.pure,
            training.epoch_agrees,
            compacted.compacted_epoch_agrees,
            training.bfloat16_step_agrees,
            training.networks_are_independent,
            sensitivities.mask_gradient_agrees,
            searches.search_agrees,
            searches.elite_never_worsens,
        )
    }
)


def assert_agrees(backend: str | Backend, reference: str | Backend = "numpy") -> None:
    """Run every check of a backend against the reference.

    Args:
        backend: the backend to check, or its registered name.
        reference: the backend to compare it with, or its registered name.
    Raises:
        AssertionError: from the first check that fails, with a note that names the check.
        BackendError: a name is unknown, or the backend of that name cannot connect.
    """
    backend, reference = load_backend(backend), load_backend(reference)
    for name, check in CHECKS.items():
        try:
            check(backend, reference)
        except BaseException as error:
            error.add_note(f"conformance check {name!r} of backend {backend.name!r} on {backend.device}")
            raise
