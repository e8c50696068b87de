"""Every action head against torch.distributions and autograd."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, distributions

from tracerl.config.checks import ConfigError
from tracerl.nn.heads import Bernoulli, Categorical, Gaussian, Head, HeadSettings, MultiCategorical, head_for
from tracerl.nn.lifetimes import Lifetimes
from tracerl.nn.random import UniformStream

TARGET_STD = 0.7  # of the targeted cases, within the deviations that are drawn
REFERENCE_STD = 0.9
BOX = spaces.Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
MANY = Lifetimes([*range(4000)])


def softplus(x: Tensor) -> Tensor:
    return torch.nn.functional.softplus(x, threshold=1e9)


def multi(outputs: Tensor) -> list[Any]:
    return [distributions.Categorical(logits=part) for part in outputs.split((2, 3, 4), -1)]


def discretized(outputs: Tensor) -> list[Any]:
    return [distributions.Categorical(logits=part) for part in outputs.split(3, -1)]


def gaussians(outputs: Tensor, kind: Callable[[Tensor, Tensor], Any] = distributions.Normal) -> list[Any]:
    mean, rho = outputs.chunk(2, -1)
    return [kind(mean, softplus(rho) + 1e-3)]


def relative_gaussians(outputs: Tensor) -> list[Any]:
    mean, rho = outputs.chunk(2, -1)
    return [Relative(mean, REFERENCE_STD / 2 / math.log(2) * softplus(rho) + 1e-3)]


def bounded_gaussians(outputs: Tensor) -> list[Any]:
    mean, rho = outputs.chunk(2, -1)
    return [distributions.Normal(mean, 0.8 / 2 * rho.sigmoid() + 1e-3)]


class Clipped:
    """A normal clipped to [-1, 1]: a bound has the probability beyond it; the entropy is of the unclipped normal."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        self.whole, self.mean, self.std = distributions.Normal(mean, std), mean, std

    def log_prob(self, action: Tensor) -> Tensor:
        above = torch.special.log_ndtr((self.mean - 1) / self.std)
        below = torch.special.log_ndtr((-1 - self.mean) / self.std)
        return torch.where(action >= 1, above, torch.where(action <= -1, below, self.whole.log_prob(action)))

    def entropy(self) -> Tensor:
        return self.whole.entropy()


class ClampedMean(Clipped):
    """``Clipped``, with an entropy bonus that decreases with the distance of an output beyond its clamped mean."""

    def __init__(self, mean: Tensor, std: Tensor, excess: Tensor) -> None:
        super().__init__(mean, std)
        self.penalty = (excess / std.detach()).square() / 2

    def entropy(self) -> Tensor:
        return super().entropy() - self.penalty + self.penalty.detach()


def clamped_gaussians(outputs: Tensor) -> list[Any]:
    """Clamp means to half a deviation beyond [-1, 1], with a straight-through gradient."""
    mean, rho = outputs.chunk(2, -1)
    std = softplus(rho) + 1e-3
    clamped = mean.clamp(-1 - std / 2, 1 + std / 2)
    return [ClampedMean(mean + (clamped - mean).detach(), std, mean - clamped.detach())]


class Targeted(distributions.Normal):
    """A Gaussian whose entropy counts up to that of the target deviation; what it has above is a constant."""

    def entropy(self) -> Tensor:
        """Return the entropy, with its gradient below the target alone."""
        entropy = super().entropy()
        return torch.where(self.scale < TARGET_STD, entropy, entropy.detach())


class Relative(distributions.Normal):
    """A Gaussian whose bonus is minus its KL divergence from one whose mean is clipped to the bounds."""

    def entropy(self) -> Tensor:
        """Return the entropy, with the gradient of the bonus."""
        reference = distributions.Normal(self.mean.detach().clamp(-1, 1), REFERENCE_STD / 2**0.5)
        bonus = -distributions.kl_divergence(self, reference)
        return super().entropy().detach() + bonus - bonus.detach()


def head_of(name: str, lifetimes: Lifetimes) -> Head:
    """Return the head of a case."""
    max_std, mean_margin = 0.8 if "bounded" in name else None, 0.5 if "clamped" in name else None
    target_std = TARGET_STD if "targeted" in name else None
    settings = HeadSettings(
        max_std=max_std,
        target_std=target_std,
        reference_std=REFERENCE_STD if "relative" in name else None,
        clipped_log_prob="clipped" in name,
        mean_margin=mean_margin,
        bins=3 if "discretized" in name else None,
    )
    return head_for(CASES[name][0], lifetimes, settings)


CASES: dict[str, tuple[spaces.Space, Callable[[Tensor], list[Any]]]] = {
    "discrete": (spaces.Discrete(4, start=-1), lambda logits: [distributions.Categorical(logits=logits)]),
    "multi-discrete": (spaces.MultiDiscrete([2, 3, 4]), multi),
    "multi-binary": (spaces.MultiBinary((2, 3)), lambda logits: [distributions.Bernoulli(logits=logits)]),
    "box": (BOX, gaussians),
    "box, discretized": (BOX, discretized),
    "box, bounded": (BOX, bounded_gaussians),
    "box, targeted": (BOX, partial(gaussians, kind=Targeted)),
    "box, relative": (BOX, relative_gaussians),
    "box, clipped": (BOX, partial(gaussians, kind=Clipped)),
    "box, clipped, clamped": (BOX, clamped_gaussians),
}


def references(head: Head, outputs: Tensor, make: Callable[[Tensor], list[Any]]) -> tuple[Tensor, Tensor]:
    """Return the log-probability of the head's action and the entropy, by torch.distributions."""
    parts, lifetimes = make(outputs), outputs.dim() - 1
    actions = head.action.to(outputs.dtype)
    each = actions.unbind(-1) if len(parts) > 1 else [actions]

    def total(numbers: list[Tensor]) -> Tensor:
        return torch.stack([x.flatten(lifetimes).sum(-1) if x.dim() > lifetimes else x for x in numbers]).sum(0)

    of_action = [part.log_prob(action) for part, action in zip(parts, each, strict=True)]
    return total(of_action), total([part.entropy() for part in parts])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seeds", [0, [0, 1, 2]])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_log_probability_entropy_and_their_gradients_equal_autograd(
    name: str, seeds: int | list[int], scale: float
) -> None:
    lifetimes = Lifetimes(seeds, torch.float64)
    head, make = head_of(name, lifetimes), CASES[name][1]
    outputs = lifetimes.normal(scale, head.n_outputs).requires_grad_()
    with torch.no_grad():
        head.sample(outputs, UniformStream(lifetimes))
    log_probability, entropy = references(head, outputs, make)
    torch.testing.assert_close(head.log_probability(), log_probability.detach())
    torch.testing.assert_close(head.entropy(), entropy.detach())
    (score,) = torch.autograd.grad(log_probability.sum(), outputs, retain_graph=True)
    (entropy_gradient,) = torch.autograd.grad(entropy.sum(), outputs)
    torch.testing.assert_close(head.score(), score)
    torch.testing.assert_close(head.entropy_gradient(), entropy_gradient)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_actions_are_in_the_space_for_any_outputs(name: str, dtype: torch.dtype) -> None:
    space, _ = CASES[name]
    lifetimes = Lifetimes(3, dtype)
    head, stream = head_of(name, lifetimes), UniformStream(lifetimes)
    for scale in (0.0, 1.0, 50.0, 1e4):
        for _ in range(20):
            head.sample(lifetimes.normal(scale, head.n_outputs), stream)
            assert space.contains(head.chosen())
            for number in (head.log_probability(), head.entropy(), *head.score(), *head.entropy_gradient()):
                assert torch.isfinite(number)


@pytest.mark.parametrize("name", CASES)
def test_actions_of_many_lifetimes_equal_those_of_single_lifetimes(name: str) -> None:
    space, _ = CASES[name]
    together = Lifetimes([5, 6], torch.float64)
    outputs = torch.linspace(-1, 1, head_of(name, together).n_outputs, dtype=torch.float64)
    many, streams = head_of(name, together), UniformStream(together)
    singles = [
        (head_of(name, lifetimes), UniformStream(lifetimes))
        for lifetimes in (Lifetimes(5, torch.float64), Lifetimes(6, torch.float64))
    ]
    for _ in range(5):
        many.sample(outputs.expand(2, -1), streams)
        for i, (head, stream) in enumerate(singles):
            head.sample(outputs, stream)
            np.testing.assert_array_equal(many.chosen()[i], head.chosen())
            assert many.log_probability()[i] == head.log_probability()
    assert space.contains(space.dtype.type(many.chosen()[0]) if name == "discrete" else many.chosen()[0])


class Grid:
    """A stream of numbers evenly spaced over [0, 1)."""

    def __init__(self, n: int) -> None:
        self.numbers = iter((torch.arange(n, dtype=torch.float64) + 0.5) / n)

    def draw(self) -> Tensor:
        return next(self.numbers)


def test_action_frequencies_equal_their_probabilities() -> None:
    head, grid = Categorical(3, Lifetimes(0, torch.float64)), Grid(1000)
    logits, actions = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log(), []
    for _ in range(1000):
        head.sample(logits, grid)  # type: ignore[arg-type]
        actions.append(head.chosen())
    assert [actions.count(action) for action in range(3)] == [200, 500, 300]


@pytest.mark.parametrize(
    ("head", "outputs", "means"),
    [
        (
            MultiCategorical(spaces.MultiDiscrete([2, 3]), Lifetimes([*range(4000)])),
            [0.0, 1.0, 0.0, 0.0, 2.0],
            [0.731, 1.68],
        ),
        (Bernoulli(spaces.MultiBinary(2), Lifetimes([*range(4000)])), [-1.0, 2.0], [0.269, 0.881]),
        (Gaussian(BOX, Lifetimes([*range(4000)]), HeadSettings()), [0.3, -0.2, 0.0, -2.0], [0.3, -0.2]),
    ],
    ids=["multi-discrete", "multi-binary", "box"],
)
def test_component_frequencies_equal_their_probabilities(head: Head, outputs: list[float], means: list[float]) -> None:
    head.sample(torch.tensor(outputs).expand(4000, -1), UniformStream(MANY))
    drawn = head.action.double()
    torch.testing.assert_close(drawn.mean(0), torch.tensor(means, dtype=torch.float64), atol=0.04, rtol=0)
    if isinstance(head, Gaussian):
        torch.testing.assert_close(drawn.std(0), head.std[0].double(), rtol=0.04, atol=0)
    correlation = np.corrcoef(drawn.numpy().T)[0, 1]
    assert abs(correlation) < 0.05  # components are independent


def test_head_gives_the_number_of_components_of_an_action() -> None:
    numbers = {"discrete": 1, "multi-discrete": 3, "multi-binary": 6, "box": 2, "box, discretized": 2}
    assert {name: head_of(name, Lifetimes(0)).n_components for name in numbers} == numbers


def test_actions_have_the_start_and_shape_of_the_space() -> None:
    space = spaces.MultiDiscrete([[2, 3], [4, 5]], start=[[10, 20], [30, 40]])
    lifetimes = Lifetimes(0)
    head = head_for(space, lifetimes)
    for _ in range(50):
        head.sample(lifetimes.normal(1.0, head.n_outputs), UniformStream(lifetimes))
        assert head.chosen().shape == (2, 2) and space.contains(head.chosen())
    assert isinstance(head_for(spaces.Discrete(3, start=7), lifetimes).chosen(), int)
    assert head_for(spaces.Discrete(3, start=7), lifetimes).chosen() == 7


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 9, (2,), np.int64),
        spaces.Dict({"a": spaces.Discrete(2)}),
        spaces.Text(3),
        spaces.Box(-1, 1, (0,), np.float32),
    ],
    ids=lambda space: type(space).__name__,
)
def test_unsupported_spaces_raise_an_error_naming_them(space: spaces.Space) -> None:
    with pytest.raises(ConfigError, match="^env must have a Discrete, MultiDiscrete, MultiBinary or float Box action"):
        head_for(space, Lifetimes(0))
