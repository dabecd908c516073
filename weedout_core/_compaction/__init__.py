"""Compaction: from a network and the nodes that it keeps to the smaller network that computes the same.

Begin with :func:`compact` in ``compaction``. ``shrinking`` has the rule of each layer, ``compacted_network`` what the
smaller network's arrays keep of the parent's, ``unions`` what an activation keeps for several layers that read it, and
``kernels`` which products are left, by which a backend chooses its engine.
"""
