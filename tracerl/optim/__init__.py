"""Step-size rules: one per file, each a settings class that builds the rule for one network."""

from tracerl.optim.adaptive_obgd import AdaptiveObGD
from tracerl.optim.intentional import Intentional, ignored_by_policy, rule_of_policy
from tracerl.optim.obgd import ObGD
from tracerl.optim.sgd import SGD
from tracerl.optim.torch_optim import TorchOptim
from tracerl.optim.update_rms import UpdateRMS

__all__ = [
    "SGD",
    "AdaptiveObGD",
    "Intentional",
    "ObGD",
    "TorchOptim",
    "UpdateRMS",
    "ignored_by_policy",
    "rule_of_policy",
]
