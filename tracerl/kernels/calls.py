"""Calls of compiled code by its address, and views that are not counted."""

from typing import Any

import llvmlite.ir
import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def address_of(kernel: Any, *arguments: Any) -> int:
    """Return where the machine code of an entry stands that takes these arguments; it must have been called before."""
    typeof: Any = numba.typeof
    (found,) = (
        result
        for signature, result in kernel.overloads.items()
        if signature == tuple(typeof(argument) for argument in arguments)
    )
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


def _call_at(
    context: Any,
    address: Any,
    memory: Any,
    words: Any,
    agents: Any,
    layers: Any,
    constants: Any,
    scratch: Any,
    step_type: Any,
    reward: Any,
    observation: Any,
) -> tuple[Any, Any]:
    """Call the ``advance`` that stands at an address, and return its float64.

    The compiler may round sums in another order wherever it compiles a kernel anew. Called by its address, one piece of
    machine code serves one lifetime, many lifetimes and those in compiled envs, so that all are bit-identical.
    """
    arguments = memory, words, agents, layers, constants, scratch, step_type, reward, observation
    signature = types.float64(address, *arguments)

    def generate(target: Any, builder: Any, called: Any, values: Any) -> Any:
        argument_types = called.args[1:]
        function_type = target.call_conv.get_function_type(types.float64, argument_types)
        function = builder.inttoptr(values[0], llvmlite.ir.PointerType(function_type))
        status, result = target.call_conv.call_function(builder, function, types.float64, argument_types, values[1:])
        if_unlikely: Any = cgutils.if_unlikely
        with if_unlikely(builder, status.is_error):
            target.call_conv.return_status_propagate(builder, status)
        return result

    return signature, generate


call_at: Any = intrinsic(_call_at)


def _borrow(context: Any, array: Any) -> tuple[Any, Any]:
    """Return a view of an array that its caller keeps alive.

    The view has no reference count. Kernels count the references of the views that they receive and return by atomic
    instructions, on counters that lifetimes on several threads share.
    """

    def generate(target: Any, builder: Any, called: Any, values: Any) -> Any:
        view = target.make_array(array)(target, builder, values[0])
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    return array(array), generate


borrow: Any = intrinsic(_borrow)
