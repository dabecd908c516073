"""Sparsity made physical: a network and the nodes it keeps, and the smaller network that computes the same.

``compaction`` is the way in: :func:`compact`. ``shrinking`` has the rule of each layer, ``compacted_network`` what the
smaller network's arrays keep of the parent's, ``unions`` what several readers of a stream keep together, ``kernels``
which engines suit what is left.
"""
