"""How a kernel reaches a table: a type of its own for numba, an address and a number of rows.

`table[row].field` is then one address and one access. numba's arrays would do, but each use of one
builds a description with shape and strides, and each index is first asked whether it is negative.
"""

from __future__ import annotations

import operator
import os

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

BOUNDSCHECK = os.environ.get("STUDY_BOUNDSCHECK", "") not in ("", "0")
"""Set STUDY_BOUNDSCHECK=1 to have every index of every table checked (the tests do)."""


class TableType(types.Type):  # type: ignore[misc]  # numba is not typed
    """Rows of one structured dtype."""

    def __init__(self, row):
        self.row = row
        super().__init__(name=f"Table({row})")


@register_model(TableType)
class _TableModel(models.StructModel):  # type: ignore[misc]
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, [("at", types.uint64), ("rows", types.int64)])


@infer_global(operator.getitem)
class _RowOfTable(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args, kws):  # noqa: ARG002 - numba calls it by these names
        table, row = args
        if isinstance(table, TableType) and isinstance(row, types.Integer):
            return signature(table.row, table, types.int64)
        return None


@lower_builtin(operator.getitem, TableType, types.int64)
def _row_of_table(context, builder, sig, args):
    table = cgutils.create_struct_proxy(sig.args[0])(context, builder, args[0])
    if BOUNDSCHECK:
        cgutils.do_boundscheck(context, builder, args[1], table.rows)
    size = context.get_abi_sizeof(context.get_data_type(sig.return_type))
    offset = builder.mul(args[1], ir.Constant(args[1].type, size))
    return builder.inttoptr(builder.add(table.at, offset), context.get_value_type(sig.return_type))


def table_of(name, dtype):
    """An intrinsic from the zone record to its table of that name, of a structured dtype.

    The record's `name_at` and `name_rows` say where it lies. They are set before a kernel runs and
    never while one does, which the compiler is told: it then keeps the address in a register.
    """
    kind = TableType(numba.from_dtype(dtype))

    @intrinsic
    def table(typingctx, z):  # noqa: ARG001 - numba calls it by these names
        places = {field: z.offset(f"{name}_{field}") for field in ("at", "rows")}

        def codegen(context, builder, sig, args):
            found = cgutils.create_struct_proxy(sig.return_type)(context, builder)
            for field, offset in places.items():
                place = cgutils.get_record_member(builder, args[0], offset, ir.IntType(64))
                value = builder.load(place)
                value.set_metadata("invariant.load", builder.module.add_metadata([]))
                setattr(found, field, value)
            return found._getvalue()

        return kind(z), codegen

    return table


@intrinsic
def prefetch(typingctx, table, row):  # noqa: ARG001 - numba calls it by these names
    """Ask the processor to bring a row of a table near; no row is too far, and nothing changes."""

    def codegen(context, builder, sig, args):
        kind, _ = sig.args
        at = cgutils.create_struct_proxy(kind)(context, builder, args[0]).at
        size = context.get_abi_sizeof(context.get_data_type(kind.row))
        place = builder.add(at, builder.mul(args[1], ir.Constant(args[1].type, size)))
        word, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        call = builder.module.declare_intrinsic(
            "llvm.prefetch", (pointer,), ir.FunctionType(ir.VoidType(), [pointer, *[word] * 3])
        )
        # To be read, to be kept, data.
        hints = [ir.Constant(word, hint) for hint in (0, 3, 1)]
        builder.call(call, [builder.inttoptr(place, pointer), *hints])
        return context.get_dummy_value()

    return types.void(table, types.int64), codegen


@intrinsic
def lowest_bit(typingctx, word):  # noqa: ARG001 - numba calls it by these names
    """Place of the lowest bit of a word (uint64) that is set; there must be one."""

    def codegen(context, builder, sig, args):  # noqa: ARG001
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen
