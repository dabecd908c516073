"""The precision of float32, from which the bounds of ``tolerances`` and ``carried`` are derived.

u = 2^-24 is its unit roundoff: the relative error of one rounded operation is at most u. A sum of n products, in any
order, with or without fused multiply-add, is off by at most γₙ = n·u / (1 − n·u) of the sum of the products'
magnitudes (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1). The error of the reference, which
computes in float64, is 2^-29 of this and is not counted.
"""

UNIT_ROUNDOFF = 2.0**-24

#: The unit roundoff of float64.
DOUBLE = 2.0**-53

#: The unit roundoff of bfloat16, which has 8 significant bits.
BFLOAT16 = 2.0**-8


def gamma(terms: int, roundoff: float = UNIT_ROUNDOFF) -> float:
    """γₙ, the relative error bound of a sum of n products, in float32 unless another unit roundoff is given."""
    return terms * roundoff / (1 - terms * roundoff)
