"""Denormal numbers count as zero while a kernel runs.

A trace to which nothing is added decays by a factor at every step, through numbers below the least normal one of its
type (1.2e-38 in float32). Many processors compute those twenty times as slowly as others and more, and a network of
which most neurons are silent, as in MinAtar, is full of them. Their effect is far below the last bit of a weight, but
for a weight that is exactly zero.

The compiler does not see the mode and may move arithmetic on numbers in registers past the switch. Loops over memory,
which take the time, stay where they are.
"""

import platform
from typing import Any

import llvmlite.ir as ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

HAS_MODE = platform.machine() in ("x86_64", "AMD64")  # others lack the instructions, or lose little
_AS_ZERO = 0x8040  # of the control word: results next to zero, and operands


def _flush_denormals(context: Any) -> tuple[Any, Any]:
    """Let denormal numbers count as zero in this thread, and return its control word as it was: uint32."""

    def generate(target: Any, builder: Any, called: Any, values: Any) -> Any:
        if not HAS_MODE:
            return ir.Constant(_WORD, 0)
        place = _stack_slot(builder)
        builder.call(_instruction(builder, "stmxcsr"), [builder.bitcast(place, _POINTER)])
        before = builder.load(place)
        _write(builder, builder.or_(before, ir.Constant(_WORD, _AS_ZERO)))
        return before

    return types.uint32(), generate


def _restore(context: Any, before: Any) -> tuple[Any, Any]:
    """Give this thread the control word that ``flush_denormals`` returned."""

    def generate(target: Any, builder: Any, called: Any, values: Any) -> Any:
        if HAS_MODE:
            _write(builder, values[0])
        return target.get_dummy_value()

    return types.void(before), generate


def _write(builder: Any, word: Any) -> None:
    place = _stack_slot(builder)
    builder.store(word, place)
    builder.call(_instruction(builder, "ldmxcsr"), [builder.bitcast(place, _POINTER)])


def _stack_slot(builder: Any) -> Any:
    """Return where on the stack a word fits."""
    alloca_once: Any = cgutils.alloca_once
    return alloca_once(builder, _WORD)


def _instruction(builder: Any, name: str) -> Any:
    """Return LLVM's intrinsic of an instruction that reads or writes the control word of SSE."""
    full = f"llvm.x86.sse.{name}"
    known = builder.module.globals.get(full)
    return known or ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [_POINTER]), full)


_WORD, _POINTER = ir.IntType(32), ir.IntType(8).as_pointer()

flush_denormals: Any = intrinsic(_flush_denormals)
restore: Any = intrinsic(_restore)
