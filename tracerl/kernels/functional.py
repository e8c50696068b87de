"""The equations of ``tracerl.nn.functional`` for one number each, under their names; equal to them up to rounding.

What a loop over neurons needs only once is an argument here (``complement`` is 1 - m). A setting is a float64 number
and is rounded to the type of the state.
"""

import math
from typing import Any

from tracerl.kernels.jit import by_precision, kernel
from tracerl.kernels.layout import CENTERED_RECTIFIER, HARD, RECTIFIER, TRIANGLE

RECTIFIER_LEAK = 0.01  # nn.functional.neurons.RECTIFIER_LEAK
RECTIFIER_MEAN = 0.4  # nn.functional.neurons.RECTIFIER_MEAN
_ROOT_HALF = math.sqrt(0.5)
_HALF_LOG_2_PI = 0.5 * math.log(2 * math.pi)


@kernel
def _arctan_single(x: Any) -> Any:
    """Arc tangent within two units in the last place, without branches, so that loops over neurons are vectorised.

    arctan t / t is a polynomial in t^2 for t in [0, 1], fitted for the smallest relative error (1.5e-8); beyond,
    arctan x = pi/2 - arctan(1/x).
    """
    real, size = type(x), abs(x)
    t = min(size, real(1)) / max(size, real(1))
    z = t * t
    y = real(0.0028498889)
    y = y * z + real(-0.0160686261)
    y = y * z + real(0.0426915146)
    y = y * z + real(-0.0750429415)
    y = y * z + real(0.106409338)
    y = y * z + real(-0.142036444)
    y = y * z + real(0.199926194)
    y = y * z + real(-0.333330733)
    y = y * z + real(0.999999985)
    y = y * t
    y = real(math.pi / 2) - y if size > real(1) else y
    return y if x > real(0) else -y


@kernel
def _arctan_double(x: Any) -> Any:
    return math.atan(x)


arctan = by_precision(_arctan_single, _arctan_double)


@kernel
def surrogate_derivative(distance: Any, slope: float, kind: int) -> Any:
    """``functional.surrogate_derivative``."""
    real = type(distance)
    square, base, steep = real((math.pi / 2) ** 2 * slope), real(1 / slope), real(slope)
    if kind == RECTIFIER or kind == CENTERED_RECTIFIER:
        return steep if distance > 0 else real(slope * RECTIFIER_LEAK)
    if kind == TRIANGLE:
        return max(steep - steep * steep * abs(distance), real(0))
    return real(1) / (base + square * distance * distance)


@kernel
def surrogate_integral(distance: Any, slope: float, kind: int) -> Any:
    """``functional.surrogate_integral``."""
    real = type(distance)
    if kind == RECTIFIER or kind == CENTERED_RECTIFIER:
        rectified = distance * (real(slope) if distance > 0 else real(slope * RECTIFIER_LEAK))
        return rectified - real(slope * RECTIFIER_MEAN) if kind == CENTERED_RECTIFIER else rectified
    if kind == TRIANGLE:
        x = min(max(real(slope) * distance, -real(1)), real(1))
        return x * (real(1) - real(0.5) * abs(x))
    return real(2 / math.pi) * arctan(real(math.pi / 2 * slope) * distance)


@kernel
def lif_potential(current: Any, membrane_tm1: Any, membrane_decay: Any, complement: Any) -> Any:
    """``functional.lif_potential``."""
    return membrane_decay * membrane_tm1 + complement * current


@kernel
def lif_fire(
    potential: Any, threshold: Any, slope: float, surrogate: int, reset: int, detach_reset: bool
) -> tuple[Any, Any, Any, Any, Any]:
    """``functional.lif_fire``: spike, membrane, surrogate, reset gain and reset drive."""
    one, nil = type(potential)(1), type(potential)(0)
    through_reset = nil if detach_reset else one
    spike = one if potential >= threshold else nil
    psi = surrogate_derivative(potential - threshold, slope, surrogate)
    if reset == HARD:
        drive = potential * psi * through_reset
        return spike, potential * (one - spike), psi, one - spike - drive, drive
    drive = threshold * psi * through_reset
    return spike, potential - threshold * spike, psi, one - drive, drive - spike


@kernel
def ternary_fire(
    potential: Any, threshold: Any, slope: float, surrogate: int, reset: int, detach_reset: bool
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """``functional.ternary_fire``: spike, membrane, surrogate, reset gain, reset drive and signed surrogate."""
    one, nil = type(potential)(1), type(potential)(0)
    through_reset = nil if detach_reset else one
    spike = (one if potential >= threshold else nil) - (one if potential <= -threshold else nil)
    above = surrogate_derivative(potential - threshold, slope, surrogate)
    below = surrogate_derivative(potential + threshold, slope, surrogate)
    psi, phi = above + below, above - below
    if reset == HARD:
        silent = one - abs(spike)
        gain, drive = silent - potential * phi * through_reset, potential * psi * through_reset
        return spike, potential * silent, psi, gain, drive, phi
    gain, drive = one - threshold * psi * through_reset, threshold * phi * through_reset - spike
    return spike, potential - threshold * spike, psi, gain, drive, phi


@kernel
def raise_threshold(rise: Any, spike: Any, rate_target: Any, step: Any) -> Any:
    """``functional.raise_threshold_``."""
    return max(type(rise)(0), rise + step * (spike - rate_target))


@kernel
def low_pass(trace: Any, decay: Any, value: Any) -> Any:
    """``functional.low_pass_``."""
    return decay * trace + (type(decay)(1) - decay) * value


@kernel
def accumulate(trace: Any, decay: Any, value: Any) -> Any:
    """``functional.accumulate_``."""
    return decay * trace + value


@kernel
def carry_sensitivity(sensitivity: Any, leak: Any, drive: Any) -> Any:
    """``functional.carry_sensitivity_``."""
    return leak * sensitivity + drive


@kernel
def softplus(x: Any) -> Any:
    """``functional.softplus``."""
    return max(x, 0) + math.log1p(math.exp(-abs(x)))


@kernel
def sigmoid(x: Any) -> Any:
    """``torch.sigmoid``."""
    return 1 / (1 + math.exp(-x))


@kernel
def categorical_entropy(probabilities: Any, log_probabilities: Any) -> Any:
    """``functional.categorical_entropy``, of vectors."""
    total = probabilities.dtype.type(0)
    for a in range(probabilities.size):
        total -= probabilities[a] * log_probabilities[a]
    return total


@kernel
def categorical_entropy_gradient(probability: Any, log_probability: Any, entropy: Any) -> Any:
    """``functional.categorical_entropy_gradient``."""
    return -probability * (log_probability + entropy)


@kernel
def bernoulli_entropy(logit: Any, probability: Any) -> Any:
    """``functional.bernoulli_entropy`` of one number."""
    return softplus(logit) - probability * logit


@kernel
def bernoulli_entropy_gradient(logit: Any, probability: Any) -> Any:
    """``functional.bernoulli_entropy_gradient``."""
    return logit * probability * (probability - 1)


@kernel
def box_muller(u: float, v: float) -> float:
    """``functional.box_muller``."""
    return math.sqrt(-2 * math.log1p(-u)) * math.cos(2 * math.pi * v)


@kernel
def clipped_gaussian_log_probability(action: Any, mean: Any, std: Any, low: float, high: float) -> Any:
    """``functional.clipped_gaussian_log_probability`` of one number."""
    real = type(mean)
    side, distance = beyond(float(action), float(mean), float(std), low, high)
    if side != 0:
        return real(math.log(tail(distance)))
    z = (action - mean) / std
    return -(z * z * real(0.5) + math.log(std) + real(_HALF_LOG_2_PI))


@kernel
def hazard(distance: float) -> float:
    """m(d) of ``functional.clipped_gaussian_score``: the density at a bound over the mass beyond it."""
    return math.exp(-0.5 * distance * distance - _HALF_LOG_2_PI) / tail(distance)


@kernel
def beyond(action: float, mean: float, std: float, low: float, high: float) -> tuple[float, float]:
    """``distributions._beyond``: which bound is reached (-1, 0: none, 1), and its distance from mu in sigma."""
    if action >= high:
        return 1.0, (high - mean) / std
    if action <= low:
        return -1.0, (mean - low) / std
    return 0.0, 0.0


@kernel
def tail(x: float) -> float:
    """Return the mass of the standard normal distribution beyond x, which a sample has reached."""
    return 0.5 * math.erfc(x * _ROOT_HALF)


@kernel
def gaussian_entropy(std: Any) -> Any:
    """``functional.gaussian_entropy`` of one number."""
    return math.log(std) + type(std)(_HALF_LOG_2_PI + 0.5)


@kernel
def relative_entropy_by_log_std(std: Any, reference_std: float) -> Any:
    """``functional.relative_entropy_by_log_std`` of one number."""
    ratio = std / type(std)(reference_std)
    return type(std)(1) - ratio * ratio


@kernel
def relative_entropy_by_mean(mean: Any, low: float, high: float, reference_std: float) -> Any:
    """``functional.relative_entropy_by_mean`` of one number."""
    real = type(mean)
    return (min(max(mean, real(low)), real(high)) - mean) / real(reference_std * reference_std)
