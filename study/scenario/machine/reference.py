"""What a scenario may say and what a trial measures, as people look it up.

Read off the declarations (study/zone/settings.py, study/zone/trial/metrics.py, model.py): nothing
about a key or a metric is written a second time. The commands `study keys` and `study metrics` and
the pages docs/settings.md and docs/metrics.md show it.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from study.scenario.check import in_units
from study.scenario.claims.keys import ClaimKeys
from study.scenario.errors import did_you_mean
from study.scenario.machine.requests import DRIVERS, ActionKeys, RequestKeys, by_column
from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.model import KERNELS, POLICY, Machine, OneOf, fields
from study.scenario.origin import text_of_key
from study.scenario.sampling import SamplingKeys
from study.scenario.schema import schema
from study.scenario.stopping import PrecisionKeys, StoppingKeys
from study.scenario.units import text_of
from study.zone.settings import Otherwise, declared, words_of
from study.zone.trial import metrics as declarations

_READ_BY = {
    "pages_from": "size",
    "bytes_from": "size",
    "nanoseconds_from": "time",
    "per_second_from": "rate",
    "pages_per_ms_from": "speed",
    "bits_per_second_from": "line rate",
    "share_from": "share",
    "count_from": "whole number",
    "number_from": "number",
    "switch_from": "true, false",
    "kbytes_from": "kB, or a size",
    "_kernel": "a version from 2.6.8 on",
    "_buddyinfo": "any form of a buddy list",
    "dma_from": "off, or its memory and what of it is reserved",
    "profile_from": "pieces, or a file of rates",
    "_requests": "names and requests, below",
    "_flags": "the kernel's, as GFP_ATOMIC|__GFP_COMP",
}
_BOUNDS = (("ge", "at least"), ("gt", "above"), ("le", "at most"))


@dataclass(frozen=True)
class Key:
    """A key of `base` and `axes`.

    Parameters
    ----------
    name
        Dotted, as kswapd.policy.
    about
        What it is, without a full stop.
    values
        What it may be: words, or a kind of quantity and its bounds.
    default
        As a scenario would write it.
    by_kernel
        "VERSION: value" for each kernel from which on `kernel:` sets another value.
    setting
        The field of Settings that it gives; empty if several follow from it.
    is_policy
        Whether it is how memory is managed, rather than the machine or its load.
    sysctls
        Names under vm.* that give it.
    of_study
        Whether it belongs to the study: what is asked, varied and decided, and how often it runs.
    """

    name: str
    about: str
    values: str
    default: str
    by_kernel: tuple[str, ...]
    setting: str
    is_policy: bool
    sysctls: tuple[str, ...]
    of_study: bool = False


@dataclass(frozen=True)
class MetricEntry:
    """A metric of a trial.

    Parameters
    ----------
    name
        Of its column, and in claims.
    section
        The heading under which it stands.
    unit
        Of its values.
    about
        What it is, without a full stop.
    label
        What tables and figures call it; empty if they show its name.
    """

    name: str
    section: str
    unit: str
    about: str
    label: str = ""


@dataclass(frozen=True)
class Kernel:
    """A kernel that `kernel:` knows.

    Parameters
    ----------
    name
        Its version.
    sets
        "key: value" for what it sets otherwise than the one before; of the first, all.
    """

    name: str
    sets: tuple[str, ...]


class _Entry(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...


_E = TypeVar("_E", bound=_Entry)


def keys() -> list[Key]:
    """All keys, in the order of the machine.

    Returns
    -------
    list of Key
    """
    usual = Machine()
    settings = {one.key: one.name for one in declared().values()}
    return [
        Key(
            name=name,
            about=(field.description or "").rstrip("."),
            values=_values(name, field),
            default=text_of_key(usual, name) or "()",
            by_kernel=tuple(_by_kernel(name)),
            setting=settings.get(name, ""),
            is_policy=POLICY in field.metadata,
            sysctls=tuple(f"vm.{each}" for each, one in SYSCTLS.items() if one.key == name),
        )
        for name, field in fields().items()
    ]


def entry_keys() -> list[Key]:
    """The keys that each request by name has, and each action.

    Returns
    -------
    list of Key
        Called requests.NAME.KEY and actions.KEY.
    """
    words = {
        "requests.NAME.driver": ", ".join(DRIVERS),
        "requests.NAME.else": ", ".join(words_of(Otherwise)),
    }
    return [
        Key(
            name=name,
            about=(field.description or "").rstrip("."),
            values=words.get(name) or _values(name, field),
            default=_default(field),
            by_kernel=(),
            setting="",
            is_policy=False,
            sysctls=(),
        )
        for section, model in (("requests.NAME", RequestKeys), ("actions", ActionKeys))
        for name, field in ((f"{section}.{key}", one) for key, one in model.model_fields.items())
    ]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return text_of(field.annotation, field.metadata, field.default)


_WITHIN: dict[str, type[BaseModel]] = {
    "replicates": StoppingKeys,
    "replicates.until": PrecisionKeys,
    "sampling": SamplingKeys,
    "claims": ClaimKeys,
}


def study_keys() -> list[Key]:
    """What stands beside `base` and `axes`: the sections, and what each holds.

    Returns
    -------
    list of Key
        Called SECTION and SECTION.KEY; those of claims stand in each of them.
    """
    machine = {key.name for key in keys()}
    found = []
    for name, entry in schema()["properties"].items():
        told = entry
        if "$ref" in entry:
            told = schema()["definitions"][entry["$ref"].rpartition("/")[2]]
        if name not in machine:
            found.append(_study_key(name, told["description"], str(told.get("default", ""))))
    for section, model in _WITHIN.items():
        for name, field in model.model_fields.items():
            values = _values(f"{section}.{name}", field)
            if get_origin(field.annotation) is Literal:
                values = ", ".join(get_args(field.annotation))
            about = " ".join((field.description or "").split())
            found.append(_study_key(f"{section}.{name}", about, _default(field), values))
    return found


def every_key() -> list[Key]:
    """All that a scenario can say: of the machine, of requests and actions, and of the study."""
    return [*keys(), *entry_keys(), *study_keys()]


def _study_key(name: str, about: str, default: str, values: str = "") -> Key:
    return Key(
        name, about.rstrip("."), values, default, (), "", is_policy=False, sysctls=(), of_study=True
    )


def kernels() -> list[Kernel]:
    """The known kernels, oldest first.

    Returns
    -------
    list of Kernel
    """
    found: list[Kernel] = []
    before: dict[str, Any] = {}
    for name, bundle in KERNELS.items():
        flat = {
            f"{group}.{key}": value for group, of in bundle.items() for key, value in of.items()
        }
        new = [f"{key}: {_word(value)}" for key, value in flat.items() if before.get(key) != value]
        found.append(Kernel(name, tuple(new)))
        before = flat
    return found


def sections() -> dict[str, str]:
    """The sections of the metrics: heading -> what stands under it.

    Returns
    -------
    dict of str to str
    """
    said = _sentences()
    return {_heading(section.__name__): said[section.__name__] for section in declarations.SECTIONS}


def own_metrics(names: Sequence[str]) -> list[MetricEntry]:
    """The metrics of a scenario's requests by their own names.

    Parameters
    ----------
    names
        Of its requests.

    Returns
    -------
    list of MetricEntry
        Called as claims may call them; which column that is stands behind what it is.
    """
    found = []
    for column, name in by_column(names).items():
        for one in metrics(members=True):
            if one.name.startswith(f"{column}_"):
                own = f"requests.{name}.{one.name.removeprefix(f'{column}_')}"
                found.append(replace(one, name=own, about=f"{one.about} ({one.name})"))
    return found


def metrics(*, members: bool = False) -> list[MetricEntry]:
    """All metrics, in the order of their declarations.

    Parameters
    ----------
    members
        Each member of a family by its name (rx_attempts, tx_attempts); else a family is one entry
        (CALLER_attempts).

    Returns
    -------
    list of MetricEntry
    """
    said = _sentences()
    found = []
    for section in declarations.SECTIONS:
        for name, metric in declarations.declared(section).items():
            family = declarations.family_of(name)
            each = declarations.FAMILIES[family] if family and members else [family]
            found += [
                MetricEntry(
                    name.replace(family, member) if family else name,
                    _heading(section.__name__),
                    metric.unit,
                    said[name].rstrip("."),
                    declarations.LABELS.get(name.replace(family, member) if family else name, ""),
                )
                for member in each
            ]
    return found


def families(entries: Iterable[MetricEntry]) -> dict[str, tuple[str, ...]]:
    """The families that some metrics are of, in capitals, and their members.

    Parameters
    ----------
    entries
        As metrics() gives them.

    Returns
    -------
    dict of str to tuple of str
    """
    of = dict.fromkeys(declarations.family_of(entry.name) for entry in entries)
    return {family: tuple(declarations.FAMILIES[family]) for family in of if family}


WORDS = {
    "dirty": "written",
    "hugepage": "huge",
    "hugepages": "huge",
    "jumbo": "mtu",
    "latency": "stall",
    "loss": "dropped",
    "packet": "frame",
    "packets": "frame",
    "slub": "slab",
    "thp": "huge",
    "throughput": "success_ratio",
}
"""What people say -> the word that names here have for it."""


def matching(entries: Sequence[_E], word: str, aliases: Iterable[tuple[str, str]] = ()) -> list[_E]:
    """Entries that a word means: by name, by part of one, by an alias, or by what is said of them.

    Parameters
    ----------
    entries
        To be looked through, in their order.
    word
        What somebody typed, as vm.swappiness, kswapd or watermark.
    aliases
        (Other name, name of an entry).

    Returns
    -------
    list
        The one of that name and those below it, or those it is an alias of; else those in whose
        name it stands; else those in whose sentence; else those that speak of each of several
        words, be it in what tables call them; else those that the word stands for in WORDS; none
        if there is none.
    """
    wanted = " ".join(word.lower().split())
    meant = {name for other, name in aliases if other == wanted}
    exact = [entry for entry in entries if entry.name.lower() == wanted or entry.name in meant]
    if any(entry.name.lower() == wanted for entry in exact):
        exact = [one for one in entries if one in exact or one.name.startswith(f"{wanted}.")]
    return (
        exact
        or [entry for entry in entries if wanted in entry.name.lower()]
        or [entry for entry in entries if wanted in entry.about.lower()]
        or [entry for entry in entries if _speaks_of(entry, wanted.split())]
        or (matching(entries, WORDS[wanted]) if wanted in WORDS else [])
        or (matching(entries, fewer) if (fewer := _telling(wanted)) != wanted else [])
    )


_NOT_TELLING = frozenset(
    ("a", "an", "and", "for", "in", "number", "of", "on", "size", "the", "to", "value")
)


def _telling(words: str) -> str:
    """Without those that say little of what is meant; all of them if none is left."""
    return " ".join(one for one in words.split() if one not in _NOT_TELLING) or words


def _speaks_of(entry: _Entry, words: Sequence[str]) -> bool:
    """Does all that is said of an entry hold each of these words?"""
    label = entry.label if isinstance(entry, MetricEntry) else ""
    said = f"{entry.name} {entry.about} {label}".lower()
    return bool(words) and all(word in said for word in words)


def near(word: str, names: Iterable[str]) -> str:
    """The nearest known name as '; did you mean x?', or of its last part; empty if none is near.

    Parameters
    ----------
    word
        What nothing was found for.
    names
        That are known.
    """
    known = list(names)
    last = {name.rpartition(".")[2]: name for name in known}
    said = did_you_mean(word, known) or did_you_mean(word.rpartition(".")[2], last)
    for short, name in last.items():
        said = said.replace(f"mean {short}?", f"mean {name}?")
    return said


def _marks(field: FieldInfo) -> list[Any]:
    """Everything that is attached to the type of a key, or to one of its alternatives."""
    arms = [mark for arm in get_args(field.annotation) for mark in getattr(arm, "__metadata__", ())]
    return [*field.metadata, *arms]


def _values(key: str, field: FieldInfo) -> str:
    said = []
    for mark in _marks(field):
        if isinstance(mark, OneOf):
            said.append(", ".join(mark.words))
        name = getattr(getattr(mark, "func", None), "__name__", "")
        said += [_READ_BY[name]] if name in _READ_BY else []
    for mark in _marks(field):
        for bound, words in _BOUNDS:
            if hasattr(mark, bound):
                said.append(f"{words} {in_units(key, getattr(mark, bound))}")
    return ", ".join(dict.fromkeys(said))


def _by_kernel(key: str) -> Iterator[str]:
    """From which kernel on the key is set to what, where that is not the default."""
    group, _, name = key.partition(".")
    before = None
    for kernel, bundle in KERNELS.items():
        value = bundle.get(group, {}).get(name)
        if value != before and before is not None:
            yield f"{kernel}: {_word(value)}"
        before = value


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sentences() -> dict[str, str]:
    """Name -> sentence of every section and every metric, as they stand in the source."""
    found = {}
    for section in ast.parse(inspect.getsource(declarations)).body:
        if not isinstance(section, ast.ClassDef):
            continue
        found[section.name] = " ".join((ast.get_docstring(section) or "").split())
        for above, below in zip(section.body, section.body[1:], strict=False):
            match above, below:
                case ast.Assign([ast.Name(name)]), ast.Expr(ast.Constant(str(text))):
                    found[name] = " ".join(text.split())
    return found


def _heading(section: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", section).capitalize()
