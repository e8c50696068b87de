"""Action heads: from a policy network's outputs to an action, its log-probability and their gradients."""

from tracerl.heads.base import Head as Head
from tracerl.heads.bernoulli import Bernoulli as Bernoulli
from tracerl.heads.categorical import Categorical as Categorical
from tracerl.heads.categorical import MultiCategorical as MultiCategorical
from tracerl.heads.choice import MakeHead as MakeHead
from tracerl.heads.choice import head_for as head_for
from tracerl.heads.gaussian import Gaussian as Gaussian
