"""The first and last module of a program: the encoder and the choice of an action."""

import numpy as np
import torch
from torch import Tensor, nn

from tracerl.config.checks import ConfigError
from tracerl.export.about import moments
from tracerl.export.program_layers import State
from tracerl.nn.encoders import ContrastEncoder, Encoder, RawEncoder, decays_of
from tracerl.nn.heads import Head
from tracerl.nn.heads.bernoulli import Bernoulli
from tracerl.nn.heads.gaussian import Gaussian


class Encoding(nn.Module):
    """Append traces to observations if configured, then standardise and bound them with fixed moments.

    Attributes:
        n_in: length of an observation.
        dtype: dtype of the features.
        sizes: sizes of its parts of the state. With traces they are ``seen``, 0 at the start of an episode, and
            ``trace``.
    """

    fresh: Tensor  # 1 - decay of each trace
    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(encoder, (RawEncoder, ContrastEncoder)):
            raise ConfigError("encoder", f"must be raw or contrast for a program, got {encoder.name}")
        compared, kept = decays_of(encoder)
        decays = compared + kept
        self.traces, self.n_in = len(decays), encoder.n_out // (1 + len(decays))
        self.n_compared = len(compared) * self.n_in
        self.sizes = {"seen": 1, "trace": self.traces * self.n_in} if decays else {}
        self.register_buffer("fresh", torch.tensor([1 - d for d in decays for _ in range(self.n_in)]).to(encoder.dtype))
        self.clip, self.dtype, self.standardises = encoder.clip, encoder.dtype, encoder.normalizer is not None
        if self.standardises:
            mean, deviation = moments(encoder)
            self.register_buffer("mean", mean)
            self.register_buffer("deviation", deviation)

    def forward(self, observation: Tensor, parts: State) -> Tensor:
        """Return the encoded observation, [n_out]."""
        x = observation
        if self.traces:
            n = self.n_compared
            seen = torch.cat([observation.to(self.dtype)] * self.traces)
            start = torch.cat([seen[:n], torch.zeros_like(seen[n:])])
            contrast = seen - torch.where(parts["seen"] > 0, parts["trace"], start)
            parts["trace"] = seen - (1 - self.fresh) * contrast
            x = torch.cat([observation.to(self.dtype), contrast[:n], parts["trace"][n:]])
            parts["seen"] = torch.ones_like(parts["seen"])
        if self.standardises:
            x = ((x.double() - self.mean) / self.deviation).clamp(-self.clip, self.clip)
        return x.to(self.dtype)


class Choice(nn.Module):
    """The most probable action; see ``Head.greedy``."""

    start: Tensor
    low: Tensor
    high: Tensor
    centre: Tensor
    half_range: Tensor

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.kind, self.sizes = type(head), getattr(head, "sizes", (head.n_outputs,))
        if isinstance(head, Gaussian):
            for name in ("low", "high", "centre", "half_range"):
                self.register_buffer(name, getattr(head, name).cpu())
        else:
            start = np.ravel(getattr(head, "_start", 0)).astype(np.int64)
            self.register_buffer("start", torch.from_numpy(start))

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the flat action for the env: int64, or the dtype of the outputs for continuous actions."""
        if self.kind is Gaussian:
            mean = outputs[: self.centre.shape[0]].double()
            return torch.clamp(self.centre + mean * self.half_range, self.low, self.high).to(outputs.dtype)
        if self.kind is Bernoulli:
            return (outputs > 0).long()
        best = [logits.argmax(-1, keepdim=True) for logits in outputs.split(self.sizes)]
        return torch.cat(best) + self.start
