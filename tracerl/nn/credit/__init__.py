"""Credit assignment: from a signal at a network's outputs to the score of every hidden parameter.

Credit observes: the network advances its layers itself and calls ``begin_tick`` before them and ``end_tick`` after
them at every tick. ``write_scores`` follows when a signal arrives. The three kinds have the same methods.
"""

from tracerl.nn.credit.exact import Exact
from tracerl.nn.credit.otpe import OTPE
from tracerl.nn.credit.presynaptic import Presynaptic

Credit = OTPE | Presynaptic | Exact

__all__ = ["OTPE", "Credit", "Exact", "Presynaptic"]
