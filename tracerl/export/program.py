"""A fixed agent without learning as one function: (observation, state) -> (action, outputs, new state).

It is written as a file of ``torch.export``, for Python and AOTInductor, or of ONNX.
"""

import io
import warnings
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from tracerl.config.checks import ConfigError
from tracerl.export.description import NetworkDescription, describe
from tracerl.export.program_modules import Choice, Convolved, Encoding, Output, State, stage_module
from tracerl.nn.encoders import Encoder
from tracerl.nn.exportable import part_of
from tracerl.nn.heads import Head
from tracerl.nn.wiring import INPUT


class Program(nn.Module):
    """The computation of an agent from observation to action, without learning and without internal state.

    The state is one vector, kept by the caller: zeros at the start of an episode, then the result of the last call. The
    mean and standard deviation of observations are those of the agent at the time of the export.

    Attributes:
        places: slice of each part of the state: ``membrane_0``, ``spikes_0``, ..., ``filtered``.
        n_state: length of the state.
        n_observation: length of an observation, flattened.
    """

    def __init__(self, description: NetworkDescription, encoder: Encoder, head: Head | None) -> None:
        super().__init__()
        assert description.readout is not None
        self.encoder = Encoding(encoder)
        stages = [stage_module(stage, i) for i, stage in enumerate(description.stages)]
        self.stages = nn.ModuleList(stages)
        self.sources = [(stage.sources, getattr(stage, "delayed", ())) for stage in description.stages]
        self.readout, self.ticks = Output(description.readout), description.ticks
        self.choice = None if head is None else Choice(head)
        self.outputs = description.readout.sources
        self.n_observation = self.encoder.n_in
        sizes: dict[str, int] = {}
        for part in (self.encoder, *stages, self.readout):
            sizes |= part.sizes
        ends = list(accumulate(sizes.values()))
        self.places = {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.n_state = ends[-1]

    def forward(self, observation: Tensor, state: Tensor) -> tuple[Tensor, ...]:
        """Advance one env step.

        Args:
            observation: flattened, float32, [n_observation].
            state: [n_state].

        Returns:
            The likeliest action, flattened, as the env takes it (absent where the outputs are no action's); the
            outputs of the network: logits, a value, or means and deviations' raw form; the new state.
        """
        parts = {name: state[place] for name, place in self.places.items()}
        code = self.encoder(observation, parts)
        for _ in range(self.ticks):
            outputs = self._tick(code, parts)
        after = torch.cat([parts[name] for name in self.places])
        return (outputs, after) if self.choice is None else (self.choice(outputs), outputs, after)

    def _tick(self, code: Tensor, parts: State) -> Tensor:
        """Advance every layer by one tick, replace their parts of the state and return the outputs."""
        emitted = {INPUT: code}
        before = {name: parts[name] for name in parts if name.startswith("spikes_")}
        for i, (stage, (sources, delayed)) in enumerate(zip(self.stages, self.sources, strict=True)):
            received = [emitted[source] for source in sources] + [before[f"spikes_{source}"] for source in delayed]
            emitted[i] = stage(torch.cat(received), parts)
        outputs: Tensor = self.readout(torch.cat([emitted[source] for source in self.outputs]), parts)
        return outputs


def program_of(agent: Any, network: str = "policy") -> Program:
    """Return the policy or critic of an agent as a program; raise a ConfigError if it cannot be exported."""
    part = part_of(agent, network)
    program = Program(describe(part), agent.encoder, agent.head if network == "policy" else None)
    for module in program.modules():  # no views, because a file would contain the whole larger tensors
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, buffer.clone(memory_format=torch.contiguous_format))
    return program.eval()


def torch_export_bytes(program: Program) -> bytes:
    """Return a file for ``torch.export.load``."""
    memory = io.BytesIO()
    torch.export.save(torch.export.export(program, _example(program)), memory)
    return memory.getvalue()


def onnx_bytes(program: Program) -> bytes:
    """Return an ONNX graph as a file. It needs ``tracerl[onnx]``.

    Raises:
        ConfigError: the agent is float64 and has convolutions, which onnxruntime computes in float32 only.
    """
    if program.encoder.dtype == torch.float64 and any(isinstance(part, Convolved) for part in program.modules()):
        problem = "which onnxruntime computes in float32 only: use --pt2"
        raise ConfigError("dtype", f"must be float32 for an ONNX program with convolutions, {problem}")
    inputs = ("observation", "state")
    names = ("outputs", "new_state") if program.choice is None else ("action", "outputs", "new_state")
    options: dict[str, Any] = {"dynamo": True, "input_names": inputs, "output_names": names, "verbose": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a deprecation within torch
        warnings.simplefilter("ignore", DeprecationWarning)
        made: Any = torch.onnx.export(program, _example(program), **options)
    found: bytes = made.model_proto.SerializeToString()
    return found


def _example(program: Program) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an example of an observation and a state."""
    dtype = program.encoder.dtype
    return torch.zeros(program.n_observation), torch.zeros(program.n_state, dtype=dtype)
