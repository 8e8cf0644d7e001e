"""How kernels are compiled and where their machine code is kept.

numba caches a function under a hash of the one file that holds it, so an edit in a module that
it merely calls would go unnoticed and old code would run. Each module's machine code is therefore
kept in a folder named after a digest of its source, of every zone source it imports, directly or
not, and of the options that shape the code.

A kernel's machine code holds that of all it calls, so a process needs only the few kernels that
Python itself calls. Each is therefore loaded at its first call and not when its module is imported:
loading all of them took a second and a half. Others are modules that those link (see linked.py),
kept as bitcode, so that an edit compiles what rests on it alone.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import ClassVar

import study.zone.engine.numba_private  # noqa: F401 - before numba, see there

# isort: split
import llvmlite.binding as llvm
import numba
import numpy as np
from numba import njit, types
from numba.core.compiler import CompileResult
from numba.core.typing import make_concrete_template

from study.zone.engine.cache import MODULE, KernelCache, ModuleCache, folder_for
from study.zone.engine.linked import WholeCompiler, compile_module, is_tried
from study.zone.engine.table import BOUNDSCHECK
from study.zone.engine.together import Shares

_ROOM = Path(__file__).parent.parent
_PACKAGE = "study.zone."
_Types = tuple[types.Type, ...]


def _hash(parts: Iterable[bytes]) -> str:
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(part)
    return state.hexdigest()


@lru_cache(maxsize=1)
def digest() -> str:
    """Name of this simulation: 16 hex digits over all its sources and numba's version.

    Whether bounds are checked is left out: it changes no result.
    """
    sources = sorted(_ROOM.rglob("*.py"))
    versions = f"{numba.__version__} {np.__version__}".encode()
    names = (f.relative_to(_ROOM).as_posix().encode() for f in sources)
    return _hash([versions, *chain(*zip(names, (f.read_bytes() for f in sources), strict=True))])


def _file(module: str) -> Path:
    """Source of a zone module, by its name below the package: load.nic."""
    return _ROOM.joinpath(*module.split(".")).with_suffix(".py")


@cache
def _imports(module: str) -> frozenset[str]:
    """The zone modules that one zone module names in its imports."""
    nodes = ast.walk(ast.parse(_file(module).read_bytes()))
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    named = {node.module or "" for node in froms}
    # A module may be imported from its package, by its own name.
    named |= {f"{node.module}.{name.name}" for node in froms for name in node.names}
    below = {name.removeprefix(_PACKAGE) for name in named if name.startswith(_PACKAGE)}
    return frozenset(name for name in below if _file(name).is_file())


def _rests_on(module: str) -> list[str]:
    """A module and every zone module it imports, directly or not."""
    found: set[str] = set()
    new = {module}
    while new:
        found |= new
        new = set().union(*map(_imports, new)) - found
    return sorted(found)


@cache
def _processor() -> str:
    """What the machine code is for: a home may be shared by machines of several kinds."""
    name = numba.config.CPU_NAME or llvm.get_host_cpu_name()
    features = numba.config.CPU_FEATURES
    # Empty ones are named too: code of the plain processor, for whatever machine has it.
    return f"{name} {llvm.get_host_cpu_features().flatten() if features is None else features}"


@cache
def cache_dir(module: str) -> Path | None:
    """Folder with the machine code of one zone module (its name without the package).

    None if none can be kept.
    """
    sources = [_file(name).read_bytes() for name in _rests_on(module)]
    options = f"{numba.__version__} {np.__version__} boundscheck={BOUNDSCHECK} {_processor()}"
    return folder_for(module, _hash([options.encode(), *sources]))


def kernel(function=None, *, inline=False):
    """Compile a function of the zone: cached on disk, C semantics for division.

    The first parameter, z, is the record; a parameter annotated `float` is a float64, one
    annotated `np.ndarray` an int64 vector, every other an int64. One signature a function: left to
    infer, numba would compile each anew for every mix of 8, 32 and 64-bit arguments, which made
    building the zone take four times as long. An inline one becomes part of each kernel that calls
    it, whatever its size: for what is called all the time, and from few places.
    """
    if function is None:
        return lambda f: kernel(f, inline=inline)
    options = {"error_model": "numpy", "no_cfunc_wrapper": True, "boundscheck": BOUNDSCHECK}
    if is_tried():
        options["pipeline_class"] = WholeCompiler
    compiled = njit(forceinline=inline, **options)(function)
    if not numba.config.DISABLE_JIT:
        _WhenCalled(compiled, inline)
    return compiled


def compiled_so_far() -> tuple[int, int]:
    """How many kernels have machine code by now, of how many that there are."""
    made = [each for each in list(_WhenCalled.declared.values()) if not each.inline]
    done = sum(
        bool(each.modules or each.kernel.signatures)
        or (_shares is not None and _shares.is_made(each.name))
        for each in made
    )
    return done, len(made)


_shares: Shares | None = None


@contextmanager
def sharing(shares: Shares | None) -> Iterator[None]:
    """Share the work with another process until the block ends."""
    global _shares  # noqa: PLW0603 - numba asks for modules in the midst of its own calls
    _shares = shares
    try:
        yield
    finally:
        _shares = None


def make_modules() -> None:
    """Make the modules that others call, those that the other process has not taken.

    Nothing is done alone: then each is made when it is needed.
    """
    declared = _WhenCalled.declared.values()
    called = {name for each in declared for name in each.callees}
    todo = [each for each in declared if each.name in called and not each.inline]
    while todo and _shares is not None and is_tried():
        todo = [each for each in todo if not _shares.is_made(each.name)]
        ready = (each for each in todo if all(map(_shares.is_made, each.callees)))
        mine = next((each for each in ready if _shares.take(each.name)), None)
        if mine is not None:
            mine.module(_signature(mine.kernel.py_func))
            _shares.give(mine.name)
        elif not _shares.wait():
            return


def is_kept(name: str) -> bool:
    """Whether the machine code of a kernel that Python calls is in the cache."""
    return _WhenCalled.declared[name].is_kept()


def load_kernel(name: str) -> None:
    """Machine code of a kernel that Python calls, by its full name."""
    _WhenCalled.declared[name].load()


class _WhenCalled:
    """Puts off making a kernel until Python calls it, or a kernel that calls it is compiled.

    numba asks a dispatcher for machine code when Python calls it, and for a signature and the key
    of its code where a kernel that calls it is compiled.
    """

    declared: ClassVar[dict[str, _WhenCalled]] = {}  # in order
    kernels: ClassVar[dict[object, _WhenCalled]] = {}

    def __init__(self, kernel, inline: bool) -> None:
        function = kernel.py_func
        self.name = f"{function.__module__}.{function.__name__}"
        self.kernel, self.inline, self.place = kernel, inline, len(self.declared)
        self.declared[self.name] = self
        self.kernels[kernel] = self
        self.modules: dict[_Types, CompileResult] = {}
        self.module_cache = None
        folder = cache_dir(function.__module__.removeprefix(_PACKAGE))
        if folder is not None:
            # What cache=True does, with a cache of our own.
            kernel._cache = KernelCache(function, folder)
            self.module_cache = ModuleCache(function, folder, _named_module)
        if is_tried():
            kernel.get_call_template = self.get_call_template
            kernel.get_overload = lambda args: self.module(tuple(args)).library
        elif not inline:
            kernel.get_call_template = self.template_of_loaded
        if not inline:
            kernel._compile_for_args = lambda *_args, **_kws: self.load()
            kernel.load = self.load

    def load(self):
        """Machine code for Python to call: from the cache, or compiled."""
        kernel = self.kernel
        if not kernel.signatures:
            if not self.is_kept() and _shares is not None and not _shares.take(f"{self.name}()"):
                _shares.wait(f"{self.name}()")
            if not self.is_kept():
                self._make_what_it_calls()
            kernel.__dict__.pop("_compile_for_args", None)
            if not is_tried():
                kernel.__dict__.pop("get_call_template", None)
            kernel.compile(_signature(kernel.py_func))
            kernel.disable_compile()
            compiled = kernel.overloads[kernel.signatures[0]]
            # numba has set its own, but not those of the modules that it links.
            for environment in compiled._find_referenced_environments():
                compiled.codegen.set_env(environment.env_name, environment)
            if _shares is not None:
                _shares.give(f"{self.name}()")
        return kernel.overloads[kernel.signatures[0]].entry_point

    def is_kept(self) -> bool:
        kept = self.kernel.stats.cache_path
        files = Path(kept).glob(f"*.{self.kernel.__name__}-*.nbi") if kept is not None else ()
        return any(not file.name.endswith(f"{MODULE}.nbi") for file in files)

    @cached_property
    def callees(self) -> list[str]:
        """Kernels that it calls, those of inline ones among them, in the order of declaration.

        What it calls stands in its module's names. One more than it calls would do no harm.
        """
        function = self.kernel.py_func
        named = (function.__globals__.get(name) for name in function.__code__.co_names)
        found = [_WhenCalled.kernels[each] for each in named if each in _WhenCalled.kernels]
        inner = (name for each in found if each.inline for name in each.callees)
        names = {each.name for each in found if not each.inline}.union(inner)
        return sorted(names, key=lambda name: self.declared[name].place)

    def _make_what_it_calls(self) -> None:
        """So that no compilation waits within another."""
        for name in self.callees:
            callee = self.declared[name]
            if not is_tried():
                callee.load()
            elif not callee.modules:
                callee.module(_signature(callee.kernel.py_func))

    def module(self, args: _Types) -> CompileResult:
        """The kernel for these types, to be linked into others: from the cache, or compiled."""
        if args not in self.modules:
            kept = self.module_cache and self.module_cache.load_overload(
                args, self.kernel.targetctx
            )
            if not kept:
                self._make_what_it_calls()
                kept = compile_module(self.kernel, (self.name, args))
                if self.module_cache is not None:
                    self.module_cache.save_overload(args, kept)
            self.modules[args] = kept
        return self.modules[args]

    def get_call_template(self, args, kws):
        """Signature of a call with these types, as numba's Dispatcher has it."""
        kernel = self.kernel
        pysig, args = kernel._compiler.fold_argument_types(args, kws)
        wanted = tuple(map(_plain, args)) if self.inline else _signature(kernel.py_func)
        signature = self.module(wanted).signature
        template = make_concrete_template(self.name, key=self.name, signatures=[signature])
        return template, pysig, args, {}

    def template_of_loaded(self, args, kws):
        """What get_call_template is where kernels are not linked."""
        self.load()
        return self.kernel.get_call_template(args, kws)


def _plain(type_: types.Type) -> types.Type:
    """The type of a number, without its value and the enumeration that it is of."""
    plain = types.unliteral(type_)
    return plain.dtype if isinstance(plain, types.EnumMember) else plain


def _named_module(name: tuple[str, _Types]):
    """The module that another one, from the cache, calls by this name."""
    kernel, args = name
    return _WhenCalled.declared[kernel].module(args).library


@lru_cache(maxsize=1)
def zone_type():
    """numba's type of the record that kernels take."""
    from study.zone.engine.record import MACHINE

    return numba.from_dtype(MACHINE)


def _signature(function):
    kinds = {"float": types.float64, "np.ndarray": types.int64[::1]}
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return (zone_type(), *(kinds.get(p.annotation, types.int64) for p in parameters))
