"""What there are kernels for; knows of no compiler, so that asking costs nothing.

These very classes and none that inherit from them: such a class computes something else, and the kernels would not.
"""

from collections.abc import Sequence

from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder
from tracerl.nn.heads import Bernoulli, Categorical, Gaussian, Head, MultiCategorical
from tracerl.optim.adaptive_obgd import AdaptiveOvershootingBounded
from tracerl.optim.intentional import BoundedIntentional
from tracerl.optim.obgd import OvershootingBounded
from tracerl.optim.rule import StepRule
from tracerl.optim.sgd import FixedStep
from tracerl.optim.torch_optim import TorchStep

ENCODERS = (RawEncoder, ContrastEncoder)
HEADS = (Categorical, MultiCategorical, Bernoulli, Gaussian)
STEP_RULES = (BoundedIntentional, OvershootingBounded, AdaptiveOvershootingBounded, FixedStep)


def without_kernel(encoder: Encoder, head: Head, step_rules: Sequence[StepRule]) -> str | None:
    """Say which part of an agent, beside its networks, has no kernel; None where all have one."""
    if any(isinstance(rule, TorchStep) for rule in step_rules):
        return "it has no torch.optim optimisers"
    if type(encoder) not in ENCODERS:
        return f"it has no kernel for the encoder {encoder.name}"
    for part in (head, *step_rules):
        if type(part) not in (*HEADS, *STEP_RULES):
            return f"it has no kernel for {type(part).__name__}"
    return None
