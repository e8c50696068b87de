"""The equations of tracerl, each a function of one time step.

Every function supports one lifetime (shapes as written, without ``*lifetimes``) and many lifetimes (a leading
``*lifetimes`` axis on every tensor), in float32 and float64. Names contain the time index: ``membrane_tm1`` is the
membrane at t-1. Functions whose names end in ``_`` update their first argument in place; others return new tensors.

The network these equations describe is, for one hidden layer,

    u_t = m v_{t-1} + (1-m)(W x_t + b)      z_t = [u_t >= theta]      v_t = reset(u_t, z_t)
    zbar_t = k zbar_{t-1} + (1-k) z_t       y_t = V zbar_t + c

with ``psi_t`` in place of the derivative of the step z with respect to u (the surrogate gradient of Neftci, Mostafa and
Zenke 2019, https://arxiv.org/abs/1901.09948). Given this surrogate, the derivatives are exact: the eligibilities below
equal backpropagation through time of this network with weights held fixed. ``distributions`` has the distributions of
actions.
"""

from tracerl.nn.functional.distributions import bernoulli_entropy as bernoulli_entropy
from tracerl.nn.functional.distributions import bernoulli_entropy_gradient as bernoulli_entropy_gradient
from tracerl.nn.functional.distributions import box_muller as box_muller
from tracerl.nn.functional.distributions import categorical_entropy as categorical_entropy
from tracerl.nn.functional.distributions import categorical_entropy_gradient as categorical_entropy_gradient
from tracerl.nn.functional.distributions import categorical_score as categorical_score
from tracerl.nn.functional.distributions import clipped_gaussian_log_probability as clipped_gaussian_log_probability
from tracerl.nn.functional.distributions import clipped_gaussian_score as clipped_gaussian_score
from tracerl.nn.functional.distributions import gaussian_entropy as gaussian_entropy
from tracerl.nn.functional.distributions import gaussian_score as gaussian_score
from tracerl.nn.functional.distributions import relative_entropy_by_log_std as relative_entropy_by_log_std
from tracerl.nn.functional.distributions import relative_entropy_by_mean as relative_entropy_by_mean
from tracerl.nn.functional.distributions import softplus as softplus
from tracerl.nn.functional.eligibility import accumulate_ as accumulate_
from tracerl.nn.functional.eligibility import carry_sensitivity_ as carry_sensitivity_
from tracerl.nn.functional.eligibility import low_pass_ as low_pass_
from tracerl.nn.functional.eligibility import td_error as td_error
from tracerl.nn.functional.neurons import RECTIFIER_LEAK as RECTIFIER_LEAK
from tracerl.nn.functional.neurons import RECTIFIER_MEAN as RECTIFIER_MEAN
from tracerl.nn.functional.neurons import RECTIFIERS as RECTIFIERS
from tracerl.nn.functional.neurons import LIFStep as LIFStep
from tracerl.nn.functional.neurons import Reset as Reset
from tracerl.nn.functional.neurons import Surrogate as Surrogate
from tracerl.nn.functional.neurons import affine as affine
from tracerl.nn.functional.neurons import affine_transposed as affine_transposed
from tracerl.nn.functional.neurons import graded_fire as graded_fire
from tracerl.nn.functional.neurons import lif_fire as lif_fire
from tracerl.nn.functional.neurons import lif_potential as lif_potential
from tracerl.nn.functional.neurons import raise_threshold_ as raise_threshold_
from tracerl.nn.functional.neurons import surrogate_derivative as surrogate_derivative
from tracerl.nn.functional.neurons import surrogate_integral as surrogate_integral
from tracerl.nn.functional.neurons import ternary_fire as ternary_fire
