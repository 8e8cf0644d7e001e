"""Requests by name and actions, as a scenario says them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from study.refusals import gfp
from study.scenario.errors import did_you_mean, shown
from study.scenario.machine.sysctls import SYSCTLS
from study.scenario.units import (
    Count,
    Duration,
    Number,
    Rate,
    kbytes_from,
    number_from,
    time_text,
    within,
)
from study.zone import settings as plain
from study.zone.gfp import KNOWN_FLAGS, gfp_of
from study.zone.settings import (
    ORDER_MAX,
    RATE_MOST,
    REQUESTS_MAX,
    SETTABLE,
    AdminAction,
    Otherwise,
)
from study.zone.trial.metrics import LABELS, METRICS

_NAME = re.compile("[A-Za-z][A-Za-z0-9_-]{0,31}")
_NAMES_LETTERS = 200

_WITHOUT_EFFECT = frozenset(
    (
        *(
            "IO",
            "FS",
            "COMP",
            "ZERO",
            "NOWARN",
            "KSWAPD",
            "HIGHMEM",
            "HARDWALL",
            "THISNODE",
            "ACCOUNT",
        ),
        *("NOTRACK", "WRITE", "NO_KSWAPD", "OTHER_NODE", "KMEMCG", "COLD", "ATOMIC", "NOMEMALLOC"),
        "NO_GROW",
    )
)
"""Flags that change nothing in a machine with one zone and one node, but FS, which is NOFS
without."""


@dataclass(frozen=True)
class Driver:
    """A driver of today, or another part of the kernel, that asks for blocks.

    about                     what it drives
    order, flags, otherwise   what it asks for, in the words of a scenario
    source                    where that stands
    at_open                   blocks that it asks for when the device is opened, and keeps; 0 if it
                              asks while frames come
    """

    about: str
    order: int
    flags: str
    otherwise: str
    source: str
    at_open: int = 0


DRIVERS: dict[str, Driver] = {
    "r8169": Driver(
        "Realtek gigabit card, as on most boards",
        2, "GFP_KERNEL", "refuse",
        "drivers/net/ethernet/realtek/r8169_main.c, rtl8169_alloc_rx_data: 16 KB a buffer, 256 "
        "when the device is opened; frames are copied out of them",
        at_open=256,
    ),
    "r8152": Driver(
        "Realtek USB adapter, 1 to 2.5 Gbit/s",
        2, "GFP_ATOMIC", "refuse",
        "drivers/net/usb/r8152.c, alloc_rx_agg: rx_buf_sz of 16 KB (32 KB with some chips), "
        "__GFP_COMP, while frames come in",
    ),
    "bnx2": Driver(
        "Broadcom NetXtreme II gigabit card of servers",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/broadcom/bnx2.c, bnx2_alloc_rx_data: kmalloc of rx_buf_size, below a "
        "page; jumbo frames continue in single pages",
    ),
    "bnxt": Driver(
        "Broadcom NetXtreme-C/E card, 10 to 200 Gbit/s",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/broadcom/bnxt/bnxt.c, __bnxt_alloc_rx_data: kmalloc of rx_buf_size, "
        "below a page",
    ),
    "mlx5": Driver(
        "NVIDIA ConnectX card, 10 to 400 Gbit/s",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/mellanox/mlx5/core of 6.12: single pages from a page pool for every "
        "kind of queue",
    ),
    "fec": Driver(
        "Ethernet of i.MX boards",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/freescale/fec.h of 6.1: FEC_ENET_RX_FRSIZE is less than a page, from "
        "a page pool",
    ),
    "mt76": Driver(
        "MediaTek Wi-Fi from 6.3 on",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/wireless/mediatek/mt76/mt76.h of 6.3, mt76_get_page_pool_buf: fragments of "
        "single pages",
    ),
    "mt76-frag": Driver(
        "MediaTek Wi-Fi to 6.2, as on many routers",
        3, "GFP_ATOMIC|__GFP_NORETRY", "order-0",
        "drivers/net/wireless/mediatek/mt76/dma.c to 6.2, mt76_dma_rx_fill: page_frag_alloc, "
        "blocks of 32 KB, else one page",
    ),
    "virtio_net": Driver(
        "card of a virtual machine, with mergeable buffers",
        3, "GFP_NOWAIT|__GFP_NORETRY", "order-0",
        "drivers/net/virtio_net.c, add_recvbuf_mergeable; net/core/sock.c, skb_page_frag_refill: "
        "SKB_FRAG_PAGE_ORDER is 32 KB, without direct reclaim, else one page",
    ),
    "tcp-send": Driver(
        "TCP that sends from user memory, over any card",
        3, "GFP_NOWAIT|__GFP_NORETRY", "order-0",
        "net/core/sock.c, sk_page_frag_refill: 32 KB without direct reclaim, else one page",
    ),
    "i40e": Driver(
        "Intel 700 series card, 10 to 40 Gbit/s, with jumbo frames",
        1, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/intel/i40e of 6.12, MTU above 1500: two pages for two 3 KB buffers",
    ),
    "ice": Driver(
        "Intel 800 series card, 25 to 100 Gbit/s, with jumbo frames",
        1, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/intel/ice of 6.12, MTU above 1500: two pages for two 3 KB buffers",
    ),
    "e1000e": Driver(
        "Intel gigabit card of PCs with jumbo frames",
        0, "GFP_ATOMIC", "refuse",
        "drivers/net/ethernet/intel/e1000e/netdev.c, e1000_alloc_jumbo_rx_buffers: a page for each "
        "descriptor",
    ),
}  # fmt: skip
"""By what a scenario calls them."""


def gfp_bits(text: Any) -> int:
    """The zone's bits for the flags of a request: GFP_KERNEL, GFP_ATOMIC|__GFP_COMP, NOFS, ...

    Raises
    ------
    ValueError
        A name is no flag, or one that a zone alone cannot have an answer to.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > _NAMES_LETTERS:
        raise ValueError(f"is {shown(text)}; flags look like GFP_KERNEL or GFP_ATOMIC|__GFP_COMP")
    names = [_spelled(word) for word in re.split(r"[|,\s]+", text.strip()) if word]
    if not any(name.startswith(("GFP_", "0x")) for name in names):
        names.insert(0, "GFP_KERNEL")
    flags = gfp.from_names("|".join(names), (5, 9))
    if flags is None:
        raise ValueError(f"is {shown(text)}; flags look like GFP_KERNEL or GFP_ATOMIC|__GFP_COMP")
    for name in sorted(flags):
        if name in ("DMA", "DMA32"):
            raise ValueError(f"is {shown(text)}; __GFP_{name} asks for another zone than Normal")
        if name not in KNOWN_FLAGS and name not in _WITHOUT_EFFECT:
            near = did_you_mean(name, (*sorted(KNOWN_FLAGS), *_WITHOUT_EFFECT))
            raise ValueError(f"is {shown(text)}; __GFP_{name} is no flag that is modelled{near}")
    return gfp_of(flags)


_SHORT = {
    "atomic": "GFP_ATOMIC", "kernel": "GFP_KERNEL", "nofs": "GFP_NOFS", "noio": "GFP_NOIO",
    "nowait": "GFP_NOWAIT", "movable": "GFP_HIGHUSER_MOVABLE", "noretry": "__GFP_NORETRY",
    "retry_mayfail": "__GFP_RETRY_MAYFAIL", "nofail": "__GFP_NOFAIL", "repeat": "__GFP_REPEAT",
}  # fmt: skip


def _spelled(word: str) -> str:
    return _SHORT.get(word.lower(), word)


def _flags(value: Any) -> str | None:
    if value is None:
        return None
    gfp_bits(value)
    return str(value).strip()


def _driver(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in DRIVERS):
        return value
    near = did_you_mean(str(value), DRIVERS)
    raise ValueError(
        f"is {shown(value)}; drivers with known requests are {', '.join(DRIVERS)}{near}"
    )


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _RequestBase(_Keys):
    driver: Annotated[str | None, BeforeValidator(_driver)] = Field(
        default=None, description="Whose order, flags and fallback these are."
    )
    order: within(Count, le=ORDER_MAX) | None = Field(  # type: ignore[valid-type]
        default=None, description="Of the block: 2 ** order pages."
    )
    flags: Annotated[str | None, BeforeValidator(_flags)] = Field(
        default=None, description="As GFP_ATOMIC; GFP_KERNEL unless given."
    )
    rate: within(Rate, le=RATE_MOST) = Field(  # type: ignore[valid-type]
        default=0.0, description="How many come, on average."
    )
    hold: Duration = Field(default=1_000_000_000, description="Mean time until one is given back.")
    hold_sigma: within(Number, ge=0, le=10) = Field(  # type: ignore[valid-type]
        default=0.0,
        description="Above 0 hold is a median, lognormal, and this the deviation of its logarithm.",
    )
    burst: within(Number, ge=1, le=100_000) = Field(  # type: ignore[valid-type]
        default=1.0, description="Mean number that come at one moment (geometric)."
    )
    first: Duration | None = Field(
        default=None, description="When the first one comes; unless given, by chance."
    )

    def __str__(self) -> str:
        order, flags, otherwise = self.asked()
        said = f"order {order} {flags} {self.rate:g}/s"
        return said if otherwise == "refuse" else f"{said}, else {otherwise}"

    def asked(self) -> tuple[int, str, str]:
        """Order, flags and fallback: said, or those of the driver."""
        driver = DRIVERS.get(self.driver or "")
        order, flags, otherwise = (getattr(self, name) for name in ("order", "flags", "else"))
        if driver is None:
            return order, flags or "GFP_KERNEL", otherwise or "refuse"
        return (
            driver.order if order is None else order,
            flags or driver.flags,
            otherwise or driver.otherwise,
        )

    def plain(self, name: str) -> plain.Request:
        """The same in the kernel's units."""
        order, flags, otherwise = self.asked()
        first = self.first
        return plain.Request(
            name=name,
            order=order,
            gfp=gfp_bits(flags),
            per_s=self.rate,
            hold_ns=self.hold,
            otherwise=plain.words_of(Otherwise)[otherwise],  # type: ignore[arg-type]
            first_ns=-1 if first is None else first,
            hold_sigma=self.hold_sigma,
            burst=self.burst,
        )


def _otherwise(value: Any) -> str | None:
    words = tuple(plain.words_of(Otherwise))
    if value is None or (isinstance(value, str) and value in words):
        return value
    raise ValueError(f"is {shown(value)}; allowed are {', '.join(words)}")


_ELSE: Any = {
    "else": (
        Annotated[str | None, BeforeValidator(_otherwise)],
        Field(
            default=None,
            description="What it is content with if refused: refuse (nothing), order-0 (one page), "
            "vmalloc (single pages).",
        ),
    )
}
# A field of that name is a word of Python, and can be written in no class.
RequestKeys: Any = create_model("RequestKeys", __base__=_RequestBase, __module__=__name__, **_ELSE)
"""One request, as a scenario says it."""


def _requests(value: Any) -> Any:
    """Mappings of names; a dotted key within stands for the same of that name."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"is {shown(value)}; it maps names to requests: {{dockerd: {{order: 6}}}}")
    nested: dict[str, Any] = {}
    for name, told in value.items():
        if "." not in str(name):
            nested[str(name)] = {} if told is None else told
    for name, told in value.items():
        owner, dot, key = str(name).partition(".")
        below = nested.get(owner, {})
        if dot and isinstance(below, Mapping):
            nested[owner] = {**below, key: told}
    for name in nested:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"has the name {shown(name)}; a name has letters, digits, dash and underscore, at "
                "most 32, and begins with a letter"
            )
    if len(nested) > REQUESTS_MAX:
        raise ValueError(
            f"has {len(nested)} names; at most {REQUESTS_MAX} have metrics of their own"
        )
    return dict(sorted(nested.items()))


Requests = Annotated[
    dict[str, RequestKeys],
    BeforeValidator(_requests, json_schema_input_type=dict[str, RequestKeys] | None),
]
"""Name -> request, in the order of the names."""


_ACTIONS = {"drop_caches": AdminAction.DROP_CACHES, "compact_memory": AdminAction.COMPACT_MEMORY}
_BY_SYSCTL = {f"vm.{name}": one.key for name, one in SYSCTLS.items()}


def _do(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value in _ACTIONS):
        return value
    raise ValueError(
        f"is {shown(value)}; allowed are {', '.join(_ACTIONS)}, or set: {{KEY: VALUE}}"
    )


def _set(value: Any) -> dict[str, int] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"is {shown(value)}; it looks like {{watermarks.min_free_kbytes: 65000}}")
    found = {}
    for name, told in _flat(value):
        key = _BY_SYSCTL.get(name, name)
        if key not in SETTABLE:
            near = did_you_mean(name, (*SETTABLE, *_BY_SYSCTL))
            can = near or f"; it can set {', '.join(SETTABLE)}"
            raise ValueError(f"has {shown(name)}, which no action can set{can}")
        found[key] = _number(name, key, told)
    return found


def _number(name: str, key: str, told: Any) -> int:
    """The value that an action gives a setting, within the setting's bounds."""
    declared = plain.declared()[key].setting
    least, most = int(declared.least or 0), int(declared.most or 1 << 40)
    try:
        number = (kbytes_from if key.endswith("_kbytes") else number_from)(told)
    except ValueError as error:
        raise ValueError(f"has {name}, which {error}") from None
    if number != int(number) or not least <= number <= most:
        raise ValueError(
            f"has {name}, which is {shown(told)}; it must be a whole number, {least} to {most:,}"
        )
    return int(number)


def _flat(value: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    result: list[tuple[str, Any]] = []
    for name, told in value.items():
        if isinstance(told, Mapping):
            result += [(f"{name}.{key}", inner) for key, inner in told.items()]
        else:
            result.append((str(name), told))
    return result


class ActionKeys(_Keys):
    """One action, as a scenario says it."""

    at: Duration = Field(description="When: since the measured time began.")
    do: Annotated[str | None, BeforeValidator(_do)] = Field(
        default=None, description="drop_caches or compact_memory."
    )
    set: Annotated[dict[str, int] | None, BeforeValidator(_set)] = Field(
        default=None, description="Settings as they are from then on: sysctls."
    )

    def __str__(self) -> str:
        what = self.do or ", ".join(f"{key} {value:,}" for key, value in (self.set or {}).items())
        return f"{time_text(self.at)}: {what};"


Actions = Annotated[
    tuple[ActionKeys, ...],
    BeforeValidator(
        lambda value: () if value is None else value,
        json_schema_input_type=list[ActionKeys] | None,
    ),
]
"""What an administrator does."""


def plain_actions(actions: tuple[Any, ...], ageing_ns: int) -> tuple[plain.Action, ...]:
    """The same in the kernel's units, in the order of time."""
    result = []
    for one in sorted(actions, key=lambda one: one.at):
        at = ageing_ns + one.at
        if one.do is not None:
            result.append(plain.Action(at, _ACTIONS[one.do]))
        for key, value in (one.set or {}).items():
            result.append(plain.Action(at, AdminAction.SET, key, value))
    return tuple(result)


_METRIC = re.compile(r"requests\.([^.\s]{1,32})\.(\w{1,60})")
OWN_METRICS = tuple(
    name.removeprefix("request1_") for name in METRICS if name.startswith("request1_")
)
"""What is measured of each request by name."""


def names_of(scenario: Mapping[str, Any]) -> list[str]:
    """The requests that a study knows by name, of all its cells, sorted.

    Parameters
    ----------
    scenario
        With what stands under base, axes and include: as a manifest has it, or not checked.
    """
    base, axes, include = (scenario.get(key) for key in ("base", "axes", "include"))
    asked = base.get("requests") if isinstance(base, Mapping) else None
    names = {str(name).partition(".")[0] for name in (asked if isinstance(asked, Mapping) else ())}
    keys: list[Any] = []
    for axis, levels in axes.items() if isinstance(axes, Mapping) else ():
        keys.append(axis)
        if isinstance(levels, Mapping):
            keys += [key for told in levels.values() if isinstance(told, Mapping) for key in told]
    entries = include if isinstance(include, list | tuple) else ()
    keys += [key for entry in entries if isinstance(entry, Mapping) for key in entry]
    parts = [str(key).split(".") for key in keys]
    return sorted(names | {part[1] for part in parts if len(part) == 3 and part[0] == "requests"})


def by_column(names: Iterable[str]) -> dict[str, str]:
    """What the columns of each request begin with -> its name: they are numbered by their names."""
    return {f"request{place}": name for place, name in enumerate(sorted(names), 1)}


def with_places(
    requests: tuple[plain.Request, ...], names: Sequence[str]
) -> tuple[plain.Request, ...]:
    """Requests of one cell, and for each name that only other cells have one that never comes.

    So each name has the same columns in all cells.
    """
    there = {one.name for one in requests}
    absent = [plain.Request(name, 0, 0, 0.0, 0) for name in names if name not in there]
    return tuple(sorted((*requests, *absent), key=lambda one: one.name))


def column_of(metric: str, names: Iterable[str]) -> str:
    """The column of requests.NAME.METRIC; any other text as it is.

    Parameters
    ----------
    metric
        What somebody calls it; `served` stands for `served_ratio`.
    names
        Of the study's requests.

    Raises
    ------
    ValueError
        It names a request, or a metric of one, that is not there; the text ends a sentence that
        begins with its place.
    """
    if not metric.startswith("requests."):
        return metric
    found = _METRIC.fullmatch(metric)
    if found is None:
        raise ValueError(
            f"is {shown(metric)}; a metric of a request by name is called requests.NAME.METRIC"
        )
    columns = {name: column for column, name in by_column(names).items()}
    if found[1] not in columns:
        hint = did_you_mean(found[1], columns)
        are = f"; there are {', '.join(columns)}" if columns else "; the study has none by name"
        raise ValueError(
            f"is {shown(metric)}; no request of the study is called {found[1]}{hint or are}"
        )
    for own in (f"{found[2]}_ratio", found[2]):
        if own in OWN_METRICS:
            return f"{columns[found[1]]}_{own}"
    short = [own.removesuffix("_ratio") for own in OWN_METRICS]
    hint = did_you_mean(found[2], short) or f"; there are {', '.join(short)}"
    raise ValueError(f"is {shown(metric)}; requests by name have no metric {found[2]}{hint}")


def own_name(column: str, names: Iterable[str]) -> str:
    """requests.NAME.METRIC for a column of a request by name; any other as it is."""
    name = by_column(names).get(column.partition("_")[0])
    return column if name is None else f"requests.{name}.{column.partition('_')[2]}"


def labels_of(scenario: Mapping[str, Any]) -> dict[str, str]:
    """What a study's metrics are called: those of its requests by the names that they have.

    Parameters
    ----------
    scenario
        Resolved, as a manifest has it.

    Returns
    -------
    dict of str to str
        LABELS, with `requests of dockerd` for `requests by name no. 1`.
    """
    return LABELS | request_labels(scenario)


def request_labels(scenario: Mapping[str, Any]) -> dict[str, str]:
    """Of those, the metrics of requests by name: every one of them has a label."""
    labels: dict[str, str] = {}
    for column, name in by_column(names_of(scenario)).items():
        number = column.removeprefix("request")
        for own in OWN_METRICS:
            metric = f"{column}_{own}"
            told = LABELS.get(metric)
            labels[metric] = (
                told.replace(f"by name no. {number}", f"of {name}")
                if told
                else f"requests of {name}: {own.replace('_', ' ')}"
            )
    return labels
