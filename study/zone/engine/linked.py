"""Kernels that kernels call: typed and lowered once, and linked into what Python calls.

numba makes a library of each compiled function and all that it calls, optimises it as a whole and
makes machine code of it, at every level of the tree of calls: what ten kernels call at five levels
is optimised fifty times, though Python calls a dozen kernels. Here a kernel that kernels call stays
a module of its own. The library of a kernel that Python calls links the modules of all that it
calls, directly or not, and is optimised as a whole, once.

numba promises none of what this stands on (a library and `no_compile` are what its own compiler of
callbacks and subroutines hands to `compile_extra`), so it is done with the minor versions that were
tried, and with others numba has its way: the same results, after three times as long.
"""

from __future__ import annotations

import hashlib

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
import numba
from llvmlite import binding as llvm
from numba.core import compiler
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult, Flags
from numba.core.funcdesc import default_mangler

TRIED = ("0.68",)


def is_tried() -> bool:
    """Whether this numba is one that this module was tried with."""
    return numba.__version__.rpartition(".")[0] in TRIED


class Module(JITCodeLibrary):  # type: ignore[misc]
    """One kernel, for these types, without the kernels that it calls.

    name   which it is: (kernel, types of its arguments)
    calls  modules of the kernels that it calls
    """

    def __init__(self, codegen, name, calls=()):
        super().__init__(codegen, str(name[0]))
        self.name_and_types = name
        self.calls = list(calls)

    def finalize(self):
        """Link small functions of numba's, but no kernel."""
        self._raise_if_finalized()
        own = {f.name for f in self._final_module.functions if not f.is_declaration}
        for library in self._linking_libraries:
            if isinstance(library, Module):
                self.calls.append(library)
            else:
                self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        for function in self._final_module.functions:
            # Their names count up in each process: two of one name need not be the same.
            if not function.is_declaration and function.name not in own:
                function.linkage = "internal"
        self._linking_libraries = []
        self._finalized = True

    def alone(self):
        """Its LLVM module, to be linked any number of times."""
        return super()._get_module_for_linking()

    def _get_module_for_linking(self):
        """Who does not link what it calls gets that, too."""
        whole = self.alone().clone()
        for called in _reached([self])[1:]:
            whole.link_in(called.alone(), preserve=True)
        return whole

    def serialize_using_object_code(self):
        """What the cache keeps: bitcode, and the names of what it calls."""
        self._ensure_finalized()
        called = [library.name_and_types for library in self.calls]
        return self.name_and_types, self._final_module.as_bitcode(), called


def _reached(modules: list[Module]) -> list[Module]:
    """Modules, and all that they call, directly or not."""
    found = dict.fromkeys(modules)
    todo = list(found)
    while todo:
        module = todo.pop()
        module._ensure_finalized()
        new = [called for called in module.calls if called not in found]
        found |= dict.fromkeys(new)
        todo += new
    return list(found)


class _Whole(JITCodeLibrary):  # type: ignore[misc]
    """A kernel that Python calls, with all kernels that it calls."""

    def finalize(self):
        linked = self._linking_libraries
        own = {f.name for f in self._final_module.functions if not f.is_declaration}
        for module in _reached([library for library in linked if isinstance(library, Module)]):
            self._final_module.link_in(module.alone(), preserve=True)
        for function in self._final_module.functions:
            # Nobody else calls these: LLVM may change how they are called, and make one of what is
            # called from one place. numba's own, of reference counts, are known by their names.
            if _is_kernel(function) and not function.is_declaration and function.name not in own:
                function.linkage = "internal"
        self._linking_libraries = [lib for lib in linked if not isinstance(lib, Module)]
        super().finalize()
        missing = [f.name for f in self._final_module.functions if _is_missing(f)]
        if missing:
            raise RuntimeError(f"{self.name}: nothing was linked for {', '.join(missing)}")


def _is_missing(function) -> bool:
    """Is it a kernel of which there is no code? To call it would end the process."""
    return bool(function.is_declaration) and _is_kernel(function)


def _is_kernel(function) -> bool:
    return str(function.name).startswith("_ZN5study")


class WholeCompiler(compiler.Compiler):  # type: ignore[misc]
    """numba's compiler, for kernels that Python calls."""

    def define_pipelines(self):
        """The same pipelines, into a library of ours."""
        codegen = self.state.targetctx.codegen()
        self.state.library = _Whole(codegen, self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


class _ModuleCompiler(compiler.Compiler):  # type: ignore[misc]
    """numba's compiler, for kernels that kernels call."""

    def define_pipelines(self):
        """The same pipelines, under a name that is the same in every process.

        Modules from the cache know those that they call by name. numba counts functions and types
        as it meets them, and puts both numbers into the name.
        """
        function = self.state.func_id
        function.unique_id = _MODULE
        function.unique_name = f"{function.func_qualname}${_MODULE}"
        # A copy of the compiler's own: others are named as before.
        self.state.targetctx.mangler = _mangler
        return super().define_pipelines()


_MODULE = 0  # numba's own numbers begin with 1


def _mangler(name, argtypes, *, abi_tags=(), uid=None):
    if uid != _MODULE:
        return default_mangler(name, argtypes, abi_tags=abi_tags, uid=uid)
    digest = hashlib.blake2b(repr(argtypes).encode(), digest_size=8).hexdigest()
    return default_mangler(f"{name}.{digest}", (), abi_tags=abi_tags, uid=uid)


def compile_module(kernel, name) -> CompileResult:
    """Type and lower a kernel, a dispatcher of numba's, as the module of this name."""
    target = kernel.targetdescr
    flags = Flags()
    target.options.parse_as_flags(flags, kernel.targetoptions)
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    library = Module(target.target_context.codegen(), name)
    compiled = compiler.compile_extra(
        target.typing_context,
        target.target_context,
        kernel.py_func,
        args=name[1],
        return_type=None,
        flags=flags,
        locals={},
        library=library,
        pipeline_class=_ModuleCompiler,
    )
    library._ensure_finalized()
    _announce(compiled)
    return compiled


def module_from_cache(target_context, payload, module_of) -> CompileResult:
    """What compile_module returned, from what the cache kept of it.

    module_of is a function from the name of a module to that module.
    """
    (name, bitcode, called), fndesc, environment, signature, _, _, _, reload_init, others = payload
    for reload in reload_init:
        reload()
    library = Module(target_context.codegen(), name, map(module_of, called))
    library._final_module = llvm.parse_bitcode(bitcode)
    library._ensure_finalized()
    compiled = CompileResult(
        typing_context=target_context.typing_context,
        target_context=target_context,
        entry_point=None,
        typing_error=None,
        type_annotation=None,
        signature=signature,
        objectmode=False,
        lifted=(),
        fndesc=fndesc,
        library=library,
        call_helper=None,
        environment=environment,
        metadata=None,
        reload_init=reload_init,
        referenced_envs=others,
    )
    _announce(compiled)
    return compiled


def _announce(compiled: CompileResult) -> None:
    """Tell numba's lowering of calls what to call; the key is what get_overload returns."""
    library = compiled.library
    compiled.target_context.insert_user_function(library, compiled.fndesc, [library])
