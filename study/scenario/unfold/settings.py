"""The settings of a machine: what the base says, its kernel, its sysctls, and levels over them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.model import KERNELS, Machine, bundle_of
from study.scenario.trial import Level


def with_kernel(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of their kernel filled in where they say nothing themselves."""
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in raw.items()}
    of_kernel = bundle_of(str(result.get("kernel") or "2.6.8"))
    of_sysctls: dict[str, dict[str, Any]] = {}
    vm = result.get("vm")
    for name, value in vm.items() if isinstance(vm, dict) else ():
        if name in SYSCTLS and value is not None:
            group, _, key = SYSCTLS[name].key.partition(".")
            of_sysctls.setdefault(group, {})[key] = value
    for group in {**of_kernel, **of_sysctls}:
        own = result.setdefault(group, {})
        if isinstance(own, dict):
            result[group] = of_kernel.get(group, {}) | of_sysctls.get(group, {}) | own
    return result


def with_levels(raw: Mapping[str, Any], levels: Mapping[str, Level]) -> dict[str, Any]:
    """Nested settings with dotted keys set."""
    result = copy.deepcopy(dict(raw))
    for key, level in levels.items():
        group, _, name = key.partition(".")
        if name:
            result.setdefault(group, {})[name] = level
        else:
            result[group] = level
    return result


def resolved(base: Mapping[str, Any], varied: Collection[str]) -> dict[str, Any]:
    """Every setting of the base in plain values, but for what follows from others that vary.

    varied  keys that axes or include set
    """
    whole = Machine.model_validate(with_kernel(base)).model_dump(mode="json")
    if "kernel" in varied:
        _leave_to_kernel(whole, base)
    _leave_to_sysctls(whole, base, varied)
    return whole


def _leave_to_kernel(whole: dict[str, Any], base: Mapping[str, Any]) -> None:
    """Take out what the kernel decides unless the scenario itself says it: kernels vary."""
    for group, bundle in KERNELS["2.6.8"].items():
        own = base.get(group, {})
        for name in bundle:
            if name not in own:
                whole[group].pop(name, None)


def _leave_to_sysctls(
    whole: dict[str, Any], base: Mapping[str, Any], varied: Collection[str]
) -> None:
    """Take out what a sysctl gives unless the scenario itself says it: sysctls may vary."""
    said = base.get("vm") or {}
    for sysctl, one in SYSCTLS.items():
        group, _, name = one.key.partition(".")
        own = base.get(group)
        used = said.get(sysctl) is not None or f"vm.{sysctl}" in varied
        if used and (not isinstance(own, dict) or name not in own):
            whole[group].pop(name, None)
