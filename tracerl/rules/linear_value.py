"""A linear critic: the value of a state as a weighted sum of its features, learned by TD(lambda)."""

from torch import Tensor

from tracerl.nn import functional as F
from tracerl.nn.lifetimes import Lifetimes, clear_
from tracerl.nn.module import StateModule


class LinearValue(StateModule):
    """V(s) = w . phi(s) with an eligibility trace (Sutton and Barto 2018, section 12.2); phi ends in a constant 1.

        z_t = gamma lambda z_{t-1} + phi(s_t)            w <- w + alpha / max(1, z_t . phi(s_t)) delta_t z_t

    The bound limits the change of V(s_t) per step to alpha delta (similar to Dabney and Barto 2012, AAAI 26, 872-878).
    Without it the rule diverges in long episodes, where the trace grows to 1 / (1 - gamma lambda) times the features.

    State per lifetime: three numbers per feature.

    Attributes:
        weight: w, [*lifetimes, n + 1].
        features: phi of the newest state, [*lifetimes, n + 1].
        eligibility_trace: z, [*lifetimes, n + 1].
        value: V of the newest state, computed at that step, [*lifetimes].
    """

    weight: Tensor
    features: Tensor
    eligibility_trace: Tensor
    value: Tensor
    tracked = ("eligibility_trace",)

    def __init__(self, n: int, step_size: float, discount: float, trace_decay: float, lifetimes: Lifetimes) -> None:
        """Initialise all values to 0.

        Args:
            n: features, without the constant.
            step_size: alpha, in (0, 1].
            discount: gamma per env step.
            trace_decay: lambda.
            lifetimes: maker of tensors.
        """
        super().__init__()
        self.step_size, self.discount, self.decay = step_size, discount, discount * trace_decay
        for name in ("weight", "eligibility_trace"):
            self.register_buffer(name, lifetimes.zeros(n + 1))
        self.register_buffer("features", lifetimes.full(1.0, n + 1))
        self.register_buffer("value", lifetimes.zeros())

    def see(self, features: Tensor) -> Tensor:
        """Store the features of a state, in place, and return its value.

        Args:
            features: [*lifetimes, n].

        Returns:
            V, [*lifetimes].
        """
        self.features[..., :-1].copy_(features)
        return self.value.copy_((self.weight * self.features).sum(-1))

    def learn(self, reward: Tensor, features: Tensor, continues: Tensor) -> Tensor:
        """Learn from one transition, in place, and store the features of the new state.

        Args:
            reward: [*lifetimes].
            features: of the new state, [*lifetimes, n].
            continues: 0 where the episode terminated, 1 elsewhere, [*lifetimes].

        Returns:
            The td error, [*lifetimes].
        """
        F.accumulate_(self.eligibility_trace, self.decay, self.features)
        step = self.step_size / (self.eligibility_trace * self.features).sum(-1).clamp_(min=1.0)
        value_t = self.value.clone()
        delta = F.td_error(reward, value_t, self.see(features), self.discount, continues)
        self.weight.addcmul_(self.eligibility_trace, (delta * step).unsqueeze(-1))
        return delta

    def reset_state(self, mask: Tensor | None = None) -> None:
        """Reset the trace, in place, in the lifetimes of the mask (bool, [*lifetimes]) or in all."""
        clear_(self.eligibility_trace, mask)
