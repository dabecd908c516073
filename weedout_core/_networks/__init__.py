"""Networks as data: layers, shapes, initial weights, costs, architectures, and the examples that fit them."""
