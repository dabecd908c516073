"""How a sparsity is written, wherever one is shown."""


def named(sparsity: float) -> str:
    """The shortest text that reads back as exactly this sparsity, so that no two share a text: 0, 0.8, 1e-09."""
    return repr(float(sparsity)).removesuffix(".0")
