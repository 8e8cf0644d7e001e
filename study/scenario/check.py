"""pydantic's findings, said in the words of the scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from study.scenario.errors import FAULTS_MOST, did_you_mean, nearest_version, shown
from study.scenario.machine.requests import RequestKeys
from study.scenario.machine.sysctls import SYSCTLS, about_unknown
from study.scenario.model import Machine, fields
from study.scenario.units import text_of
from study.scenario.versions import VERSION_KEYS

Finding = tuple[tuple[str | int, ...], str]
"""Path of the value, and a sentence about it."""


class _Keys(tuple[str, ...]):
    """Every dotted key; in it are also those of requests, whatever their names."""

    __slots__ = ()

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key):
            return True
        parts = str(key).split(".")
        return len(parts) == 3 and parts[0] == "requests" and parts[2] in RequestKeys.model_fields


@lru_cache(maxsize=1)
def known_keys() -> tuple[str, ...]:
    """Every dotted key that a machine has: kernel, zone.memory, ..., clock.sample."""
    return _Keys(fields())


@lru_cache(maxsize=1)
def groups() -> frozenset[str]:
    """The groups that settings stand in: zone, nic, clock, ..."""
    return frozenset(key.partition(".")[0] for key in known_keys() if "." in key)


def nearest(key: str) -> str:
    """A suggestion for an unknown key: the same word in another group comes before a like one."""
    if key in Machine.model_fields:
        return f"; it is a group of settings, such as {key}.{_example(key)}"
    last = key.rsplit(".", 1)[-1]
    if key.startswith(("vm.", "requests.")):
        of_vm = key.startswith("vm.")
        return about_unknown(last) if of_vm else did_you_mean(last, RequestKeys.model_fields)
    if ":" in last:
        return "; a colon needs a space behind it"
    if last.isdigit():
        return "; a decimal has a point, not a comma"
    elsewhere = [known for known in known_keys() if known.rsplit(".", 1)[-1] == last]
    if len(elsewhere) == 1:
        return f"; did you mean {elsewhere[0]}?"
    fields = tuple(Machine.model_fields)
    return did_you_mean(key, known_keys() if "." in key else (*known_keys(), *fields))


def machine_of(raw: Mapping[str, Any]) -> tuple[Machine | None, list[Finding]]:
    """A Machine from nested plain values, or None and what is wrong with them."""
    try:
        return Machine.model_validate(raw), []
    except ValidationError as error:
        found = list(findings(error))
    # What is wrong with a sysctl is wrong with the setting that it gives: it is said once.
    wrong = {".".join(map(str, path)) for path, _ in found}
    twice = {one.key for name, one in SYSCTLS.items() if f"vm.{name}" in wrong}
    return None, [one for one in found if ".".join(map(str, one[0])) not in twice]


def findings(
    error: ValidationError, unknown: Callable[[str], str] | None = None, *, within: str = ""
) -> Iterator[Finding]:
    """What pydantic found, one sentence for each.

    unknown  says what is wrong with a key that is none, where it would be no setting of a machine
    within   the key that all of this stands under, for the sentences

    Of very many the first ones, as many as are reported.
    """
    for detail in islice(error.errors(include_url=False), FAULTS_MOST + 2):
        # A union adds the name of its branch, in brackets.
        path = tuple(part for part in detail["loc"] if not str(part).startswith("("))
        if detail["type"] == "extra_forbidden" and unknown:
            yield path, unknown(str(path[-1]))
            continue
        key = shown(".".join(map(str, (within, *path) if within else path)), 100)
        yield path, sentence(key, detail)


def sentence(key: str, detail: ErrorDetails) -> str:
    """One finding as a clause that begins with the key."""
    found = shown(detail["input"])
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            text = f"is not a setting{nearest(key)}"
        case "missing":
            text = "is missing"
        case "literal_error":
            allowed = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ")
            near = nearest_version if key in VERSION_KEYS else did_you_mean
            text = f"is {found}; allowed are {allowed}{near(found, allowed.split(', '))}"
        case "value_error":
            text = str(context["error"])
        case "bool_parsing" | "bool_type":
            text = f"is {found}; allowed are true, false"
        case "model_type":
            text = f"is {found}; it is a group of settings, such as {key}.{_example(key)}"
        case kind if kind in _BOUNDS and _field(key):
            words, name = _BOUNDS[kind]
            value, bound = (in_units(key, v) for v in (detail["input"], context[name]))
            text = f"is {value}; it must be {words} {bound}"
        case kind:
            text = f"is {found}; {_must(kind, context) or detail['msg'].lower()}"
    return f"{key} {text}"


_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def in_units(key: str, value: Any) -> str:
    """A value of a key, or a bound of it, as a person would write it."""
    field = _field(key)
    text = text_of(field.annotation, field.metadata, value) if field else shown(value)
    return f"{value:,.12g}" if not value or text == shown(value) else text


def _field(key: str) -> FieldInfo | None:
    """The declaration of a dotted key, also of one of a request by name; None for none."""
    group, _, rest = key.partition(".")
    if group == "requests":
        found: FieldInfo | None = RequestKeys.model_fields.get(rest.rpartition(".")[2])
        return found
    return fields().get(key)


def _must(kind: str, context: Mapping[str, Any]) -> str:
    """What a value must be that is of the wrong kind or size; empty for what is not foreseen."""
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"it must be {words} {context[name]:,g}"
    return {
        "string_type": "it must be text; put a number in quotes",
        "string_too_short": "it must say something",
        "float_type": "it must be a number",
        "float_parsing": "it must be a number",
        "int_type": "it must be a whole number",
        "dict_type": "it must be a mapping of keys to values",
        "tuple_type": "it must be a list: [a, b]",
        "list_type": "it must be a list: [a, b]",
        "too_long": f"it must have at most {context.get('max_length')} entries",
    }.get(kind, "")


def _example(group: str) -> str:
    members = [key.split(".", 1)[1] for key in known_keys() if key.startswith(f"{group}.")]
    return members[0] if members else "..."
