"""A program as a file: of ``torch.export``, which Python and AOTInductor load, or ONNX, which everything loads."""

import io
import warnings
from typing import Any

import torch

from tracerl.export.program import Program

INPUTS = ("observation", "state")


def torch_export_bytes(program: Program) -> bytes:
    """Return the file that ``torch.export.load`` reads."""
    memory = io.BytesIO()
    torch.export.save(torch.export.export(program, _example(program)), memory)
    return memory.getvalue()


def onnx_bytes(program: Program) -> bytes:
    """Return the file of an ONNX graph; needs ``tracerl[onnx]``."""
    names = ("outputs", "new_state") if program.choice is None else ("action", "outputs", "new_state")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about what it calls itself
        warnings.simplefilter("ignore", DeprecationWarning)
        made: Any = torch.onnx.export(
            program, _example(program), dynamo=True, input_names=INPUTS, output_names=names, verbose=False
        )
    found: bytes = made.model_proto.SerializeToString()
    return found


def _example(program: Program) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an observation and a state that a call could have."""
    dtype = program.encoder.dtype
    return torch.zeros(program.n_observation), torch.zeros(program.n_state, dtype=dtype)
