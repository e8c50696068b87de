"""Where everything stands in an agent's memory: the table that the kernels read.

``Arena`` moves every tensor of an agent into three buffers per life (network dtype, float64, int64) and leaves views in
their places, so that torch and the kernels work on the same memory. ``Plan`` writes down the offsets. Its fields are
plain ints so that numba compiles them into the code.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tracerl.lives import Lives
from tracerl.network import Sequential

# One layer: sizes, offsets into the real memory, switches.
(
    N_IN,
    N_OUT,
    ROWS,
    AFFINE,
    INPUTS,
    MEMBRANE,
    SPIKES,
    SURROGATE,
    RESET_GAIN,
    RESET_DRIVE,
    SENSITIVITY,
    RATE,
    ELIGIBILITY,  # of a ReadoutCredit
    CARRIED,  # of a PathCredit
    PROJECTED,
    N_ABOVE,
    DECAY,
    DECAY_N,
    DECAY_COMPLEMENT,
    DECAY_RAW,
    THRESHOLD,
    THRESHOLD_N,
    THRESHOLD_RAW,
    HARD_RESET,
    DETACH_RESET,
    ARCTAN,
    LAYER_INTS,
) = range(27)
SLOPE, RATE_DECAY, LAYER_FLOATS = range(3)

# One network with its readout, trace and step rule.
(
    N_PARAMETERS,
    FLAT,
    SCORE,
    TRACE,
    N_LAYERS,
    TICKS,
    READOUT_IN,
    READOUT_OUT,
    READOUT_AFFINE,
    FILTERED,
    READOUT_DECAY,
    READOUT_DECAY_N,
    READOUT_COMPLEMENT,
    READOUT_RAW,
    DECAY_SENSITIVITY,
    RULE,
    STEP_SIZE,
    SECOND_MOMENT,
    SCORE_NORM,
    MEAN_DENOMINATOR,
    SIGNAL_SQUARE,
    SIGNAL_MAGNITUDE,
    UNSEEN,  # float64 memory
    NORMALIZE_SIGNAL,
    FIRST_LAYER,  # place of its first layer in the plan
    FIRST_LAYER_FLOATS,
    NETWORK_INTS,
) = range(27)
ETA, FLOOR, SCORE_DECAY, TRACE_DECAY, SLOW_DECAY, CLIP, LR, KAPPA, UPDATE_DECAY, NETWORK_FLOATS = range(10)

# The agent.
(
    N_OBSERVED,
    N_CODE,
    N_ACTIONS,
    CONTRAST,
    NORMALIZE,
    SCALE_REWARD,
    SIGNAL_KIND,
    VALUE,
    SIGNAL,
    ENTROPY,
    LOG_PROB_TRACE,
    LOG_PROBABILITIES,
    PROBABILITIES,
    SUMS,
    AVERAGE,
    AVERAGE_UNSEEN,
    CONTRAST_TRACE,  # float64 memory from here
    SEEN_COUNT,
    SEEN_MEAN,
    SEEN_SQUARES,
    REWARD_COUNT,
    REWARD_MEAN,
    REWARD_SQUARES,
    DISCOUNTED,
    ACTION,  # int64 memory from here
    COUNTER,
    POLICY,  # places of the networks in the plan
    CRITIC,
    POLICY_FLOATS,
    CRITIC_FLOATS,
    AGENT_INTS,
) = range(31)
DISCOUNT, AGENT_TRACE_DECAY, ENTROPY_WEIGHT, OBSERVATION_CLIP, CONTRAST_DECAY, AVERAGE_DECAY, AGENT_FLOATS = range(7)

INTENTIONAL, OBGD, ADAPTIVE_OBGD, SGD = range(4)
TD, ADVANTAGE, REWARD = range(3)
ABSENT = -1  # offset of what an agent does not have


class Arena:
    """The memory of an agent.

    Attributes:
        real: what has the network's dtype, [*lives, n].
        double: what is float64 whatever the network's dtype, [*lives, n]; where the network is float64 too, ``real``
            itself.
        whole: int64, [*lives, n].
    """

    def __init__(self, module: nn.Module, lives: Lives) -> None:
        """Move every buffer of a module, and the parameters that are views of buffers, here.

        Raises:
            ValueError: a buffer has no lives axis.
        """
        groups: dict[torch.dtype, list[tuple[nn.Module, str, Tensor]]] = {}
        for owner, name, tensor in _buffers(module):
            if tensor.shape[: len(lives.shape)] != lives.shape:
                raise ValueError(f"{type(owner).__name__}.{name} must carry the lives axis {lives.shape}")
            groups.setdefault(tensor.dtype, []).append((owner, name, tensor))
        memories = {dtype: _gather(group, dtype, lives) for dtype, group in groups.items()}
        self.real, self.double, self.whole = (memories[dtype] for dtype in (lives.dtype, torch.float64, torch.int64))
        for network in module.modules():
            if isinstance(network, Sequential):
                network.bind_parameters()


def _buffers(module: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    for owner in module.modules():
        for name, tensor in owner._buffers.items():
            if tensor is not None:
                yield owner, name, tensor


def _gather(group: list[tuple[nn.Module, str, Tensor]], dtype: torch.dtype, lives: Lives) -> Tensor:
    """Copy a group of buffers into one and put views of it in their places."""
    lead = len(lives.shape)
    sizes = [tensor.shape[lead:].numel() for _, _, tensor in group]
    memory = lives.zeros(sum(sizes), dtype=dtype)
    start = 0
    for (owner, name, tensor), size in zip(group, sizes, strict=True):
        place = memory[..., start : start + size].unflatten(-1, tensor.shape[lead:] or (1,))
        view = place if tensor.dim() > lead else place.squeeze(-1)
        view.copy_(tensor)
        owner._buffers[name] = view
        owner.__dict__[name] = view
        start += size
    return memory


def offset(tensor: Tensor | None) -> int:
    """Return where a packed tensor of the first life begins in its memory; ABSENT for None."""
    return ABSENT if tensor is None else int(tensor.storage_offset())
