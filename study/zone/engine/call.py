"""Calling code that is no part of the simulation: through an address kept in the zone record.

A compiled kernel cannot know what somebody else will write; an address it can. Without an extension
the address is 0 and nothing is called.
"""

from __future__ import annotations

from llvmlite import ir

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
from numba import types
from numba.core.typing import signature
from numba.extending import intrinsic

_WORD = ir.IntType(64)
_ENTRY = ir.FunctionType(_WORD, [_WORD, _WORD])


@intrinsic
def call_at(typingctx, address, z, value):  # noqa: ARG001 - numba calls it by these names
    """Call what lies at an address with the zone and a number; returns a number (all int64)."""

    def codegen(context, builder, sig, args):  # noqa: ARG001
        entry = builder.inttoptr(args[0], _ENTRY.as_pointer())
        return builder.call(entry, [builder.ptrtoint(args[1], _WORD), args[2]])

    return signature(types.int64, types.int64, z, types.int64), codegen


def zone_at(zone_type):
    """An intrinsic that takes the address of a zone record (int64) for the record."""

    @intrinsic
    def zone(typingctx, address):  # noqa: ARG001 - numba calls it by these names
        def codegen(context, builder, sig, args):
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return signature(zone_type, types.int64), codegen

    return zone
