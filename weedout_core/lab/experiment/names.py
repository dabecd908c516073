"""What a sparsity is called, wherever one is shown."""


def named(sparsity: float) -> str:
    """The shortest text that reads back as this very sparsity, so that two of them never look alike: 0, 0.8, 1e-09."""
    return repr(float(sparsity)).removesuffix(".0")
