"""Weedout in plain NumPy: the ground truth, and the text to read beside the paper (arXiv:2403.08265).

Weedout looks for a good sparse sub-network *before* any training. It draws m random masks over the nodes of one
overparameterized network, measures each sub-network on a batch of validation data, keeps the fittest, replaces
every other network by a fresh one, and repeats. Only the winner is trained. That is all; here it is spelled out, one
idea a file, slowly and in float64. Begin at the top: the first file is Algorithm 1, line by line, and calls the
functions of the files that follow it.

1.  ``algorithm1``  the paper's loop                                        lines 1–13
2.  ``candidates``  a sub-network: a mask and initial weights               line 2, RandomSubNetwork
3.  ``masks``       which nodes a candidate keeps                           line 2, the sparsity η
4.  ``initial``     initial weights                                         the data: "weight initialized"
5.  ``shapes``      what goes into each layer of a network, and what comes out
6.  ``randomness``  one seed, and from it every random number               lines 2, 5, 9 and 12
7.  ``batches``     which examples are looked at together                   lines 5 and 12
8.  ``fitness``     how good an untrained network is on a batch             line 7, −Cost
9.  ``network``     the layers in a row: forward, and backward              lines 7, 12 and 13
10. ``layers``      each layer, and beside it its gradient                  the data: the network 𝔑
11. ``batch_norm``  the one layer that remembers: means and variances       the data: the network 𝔑
12. ``selection``   who goes on                                             lines 9 and 11, RSH selection, argmax
13. ``training``    stochastic gradient descent on the winner               line 12, TrainAndUpdateWeights
14. ``evaluation``  how often the trained network is right                  line 13
15. ``throughout``  the search goes on while the winner is trained          section 5, future work

Whoever reads for the paper can stop here. The other files hold what the paper does not have (the files above call
``choices``, ``crops`` and ``compacted`` for it), and what makes the reference one of the backends of ``weedout_core``,
so that every other backend can be compared with it:

16. ``choices``     which configurations the loop follows
17. ``crops``       images that are moved about while a network is trained
18. ``compacted``   the layers of a network whose removed nodes are taken out
19. ``sensitivity`` how a loss changes with the numbers of the masks
20. ``scoring``     the fitness of m candidates in one call
21. ``together``    training and running R networks in one call
22. ``fence``       the caller's settings, kept out
23. ``backend``     the record of all of these

Nothing here calls the core's mathematics: only its data types (layers, configurations, plans) are shared, so that
agreement between the two means something. Annotations say what an array holds and name its axes:
``Float[np.ndarray, "examples classes"]`` is an array of floats with these two axes; ``*name`` stands for any number of
axes, and the blank before a single name has no meaning.
"""

from weedout_numpy.algorithm1 import Generation, Result, weedout
from weedout_numpy.backend import asarray, connect
from weedout_numpy.throughout import Throughout, weedout_throughout

__all__ = ["Generation", "Result", "Throughout", "asarray", "connect", "weedout", "weedout_throughout"]
