"""Credit assignment: from a signal at a network's outputs to the gradient of every hidden parameter.

At every tick the network calls ``begin_tick``, advances its layers, and calls ``end_tick``. When a signal arrives, it
calls ``write_scores``. All kinds of credit have the same methods.
"""

from tracerl.nn.credit.exact import Exact
from tracerl.nn.credit.mixed import Mixed
from tracerl.nn.credit.otpe import OTPE
from tracerl.nn.credit.presynaptic import Presynaptic

Credit = OTPE | Presynaptic | Mixed | Exact

__all__ = ["OTPE", "Credit", "Exact", "Mixed", "Presynaptic"]
