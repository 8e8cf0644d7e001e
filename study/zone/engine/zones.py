"""Exchange of the zone that kernels work on (z.zone) with one of the others (z.others)."""

from __future__ import annotations

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from study.zone.engine.record import ZONE


@intrinsic
def exchange_zone(typingctx, z, index):  # noqa: ARG001 - numba calls it by these names
    """Let z.zone and z.others[index] change places."""
    at, others = z.offset("zone"), z.offset("others")
    size = ZONE.itemsize

    def codegen(context, builder, sig, args):  # noqa: ARG001
        byte = ir.IntType(8).as_pointer()
        record = builder.bitcast(args[0], byte)
        word = args[1].type
        current = builder.gep(record, [ir.Constant(word, at)])
        offset = builder.add(
            ir.Constant(word, others), builder.mul(args[1], ir.Constant(word, size))
        )
        other = builder.gep(record, [offset])
        # numba's alloca_once would fill it with zeros, byte by byte: half a microsecond a call.
        with builder.goto_entry_block():
            room = builder.alloca(ir.IntType(64), ir.Constant(ir.IntType(32), -(-size // 8)))
        held = builder.bitcast(room, byte)
        for target, source in ((held, current), (current, other), (other, held)):
            cgutils.raw_memcpy(builder, target, source, ir.Constant(word, size), 1)
        return context.get_dummy_value()

    return types.void(z, types.int64), codegen
