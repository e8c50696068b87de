"""Write a program as a file of ``torch.export``, for Python and AOTInductor, or of ONNX."""

import io
import warnings
from typing import Any

import torch

from tracerl.export.program import Program

INPUTS = ("observation", "state")


def torch_export_bytes(program: Program) -> bytes:
    """Return a file for ``torch.export.load``."""
    memory = io.BytesIO()
    torch.export.save(torch.export.export(program, _example(program)), memory)
    return memory.getvalue()


def onnx_bytes(program: Program) -> bytes:
    """Return an ONNX graph as a file. It needs ``tracerl[onnx]``."""
    names = ("outputs", "new_state") if program.choice is None else ("action", "outputs", "new_state")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # a deprecation within torch
        warnings.simplefilter("ignore", DeprecationWarning)
        made: Any = torch.onnx.export(
            program, _example(program), dynamo=True, input_names=INPUTS, output_names=names, verbose=False
        )
    found: bytes = made.model_proto.SerializeToString()
    return found


def _example(program: Program) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an example of an observation and a state."""
    dtype = program.encoder.dtype
    return torch.zeros(program.n_observation), torch.zeros(program.n_state, dtype=dtype)
