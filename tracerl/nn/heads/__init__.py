"""Action heads: from a policy network's outputs to an action, its log-probability and their gradients."""

from tracerl.nn.heads.base import Head as Head
from tracerl.nn.heads.bernoulli import Bernoulli as Bernoulli
from tracerl.nn.heads.categorical import Categorical as Categorical
from tracerl.nn.heads.categorical import MultiCategorical as MultiCategorical
from tracerl.nn.heads.choice import HeadSettings as HeadSettings
from tracerl.nn.heads.choice import MakeHead as MakeHead
from tracerl.nn.heads.choice import head_for as head_for
from tracerl.nn.heads.discretized import Discretized as Discretized
from tracerl.nn.heads.epsilon_greedy import EpsilonGreedy as EpsilonGreedy
from tracerl.nn.heads.epsilon_greedy import EpsilonGreedySettings as EpsilonGreedySettings
from tracerl.nn.heads.gaussian import Gaussian as Gaussian
from tracerl.nn.heads.gaussian import GaussianSettings as GaussianSettings
