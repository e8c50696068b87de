"""Credit assignment: from a signal at a network's outputs to the score of every hidden parameter.

The three kinds have the same methods: a network calls ``begin_tick``, ``advance`` for each of its nodes and
``end_tick`` at every tick, ``write_scores`` when a signal arrives.
"""

from tracerl.nn.credit.exact import Exact
from tracerl.nn.credit.otpe import OTPE
from tracerl.nn.credit.presynaptic import Presynaptic

Credit = OTPE | Presynaptic | Exact

__all__ = ["OTPE", "Credit", "Exact", "Presynaptic"]
