"""What a scenario may say about one machine, in people's words and units; checked by pydantic.

Keys follow from the settings (zone/settings.py), group by group: name, kind, bounds, default and
sentence. Only those whose words differ from the machine's are declared here. `Machine.settings()`
turns words into the plain numbers that a simulated zone takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from study.refusals.kernel import spell
from study.scenario import nic as nic_rules
from study.scenario.errors import nearest_version, shown
from study.scenario.machine.dma import OFF, Dma, dma_from
from study.scenario.machine.kernels import OLDEST, nearest_below, parse
from study.scenario.machine.lists import TYPES, StartLists, start_lists
from study.scenario.machine.profile import Profile, profile_from
from study.scenario.machine.recordings import recording_named, recording_of
from study.scenario.machine.requests import Actions, Requests, plain_actions
from study.scenario.machine.sysctls import SYSCTLS, Sysctl
from study.scenario.units import (
    Bytes,
    Count,
    Duration,
    KBytes,
    LineRate,
    Number,
    Pages,
    Rate,
    ScanSpeed,
    Share,
    SizeOrNumber,
    Switch,
    number_from,
    pages_from,
    within,
)
from study.trust.extensions import only_named
from study.zone import settings as plain
from study.zone.marks import above_min

_Bundle = dict[str, dict[str, Any]]


POLICY = "policy"
"""Marks a key by which kernels and their administrators choose how memory is managed. All others
are the machine and its load: what there is, and who asks for what. Figures compare the former."""


@dataclass(frozen=True)
class OneOf:
    """The words that a key may have.

    words  in the order of the zone's enum
    """

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> Any:
        return core_schema.literal_schema(list(self.words))


def of(members: type[IntEnum]) -> OneOf:
    """The words for the members of a zone enum."""
    return OneOf(tuple(plain.words_of(members)))


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _working_set(value: Any) -> str | float:
    """A multiple of the zone's memory (1.2) or a size (1GiB); kept as it was written."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            pages_from(value)
            return value
        return number_from(value)
    except ValueError as error:
        if "looks like" not in str(error):
            raise
    raise ValueError(
        f"is {shown(value)}; it must be a multiple of the zone's memory (1.2) or a size (1GiB)"
    )


def _buddyinfo(value: Any, info: ValidationInfo) -> StartLists | None:
    """Free blocks from any form; zone.name, which stands before it, says of which zone."""
    return start_lists(value, info.data.get("name"))


def _kernel(value: Any) -> str:
    """A kernel's version, known or not; none before the first that is known."""
    text = str(value)
    version = parse(text)
    if version is None:
        raise ValueError(
            f"is {shown(value)}; it must be a kernel's version, from {OLDEST} on; known are "
            f"{', '.join(KERNELS)}, any other is taken as the nearest one below"
        )
    if nearest_below(text, KERNELS) is None:
        hint = nearest_version(text, tuple(KERNELS))
        raise ValueError(f"is {shown(value)}; the first kernel that is known is {OLDEST}{hint}")
    return text


def _stack_size(size: int) -> int:
    if size not in (4_096, 8_192):
        raise ValueError(f"is {size} bytes; THREAD_SIZE is 4KiB or 8KiB")
    return size


_NAME_LETTERS_MOST = 200


def _extension(kind: str, none: str) -> BeforeValidator:
    """A check that a name is that of a registered extension, or the word for none."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError(f"is {shown(value)}; it must be a name, or {none}")
        if len(value) > _NAME_LETTERS_MOST:
            raise ValueError(f"is {shown(value)}; it has at most {_NAME_LETTERS_MOST} letters")
        if value != none and not only_named():
            from study.zone.extension import find

            find(kind, value)
        return value

    return BeforeValidator(check, json_schema_input_type=str)


def _profile(what: str) -> tuple[Any, Any]:
    """The key of a load that comes unevenly."""
    kind = Annotated[
        Any,
        BeforeValidator(
            profile_from,
            json_schema_input_type=list[tuple[str, str | float]] | dict[str, str] | None,
        ),
        PlainSerializer(lambda profile: profile and profile.plain(), when_used="json"),
    ]
    return _key(kind, None, what)


def _key(kind: Any, default: Any, about: str, *, policy: bool = False) -> tuple[Any, Any]:
    """A key of a group: its type, and its default with its sentence."""
    field = Field(default=default, description=about)
    return Annotated[kind, POLICY] if policy else kind, field


_OWN: dict[str, tuple[Any, Any]] = {
    "zone.lowmem": _key(
        Pages | None,
        None,
        "Present pages of all lowmem zones, from which the marks follow; unless given, this "
        "zone's.",
    ),
    "zone.dma": _key(
        Annotated[
            Any,
            BeforeValidator(
                dma_from,
                json_schema_input_type=Literal[False, "off"]
                | dict[Literal["memory", "reserved"], SizeOrNumber],
            ),
            PlainSerializer(Dma.plain, when_used="json"),
        ],
        OFF,
        plain.declared()["memory.dma_pages"].about,
    ),
    "zone.name": _key(
        str | None,
        None,
        "Which zone of the text under zone.buddyinfo, if it has several: Normal, 1/Normal.",
    ),
    "zone.buddyinfo": _key(
        Annotated[
            Any,
            BeforeValidator(
                _buddyinfo, json_schema_input_type=str | list[int | str] | dict[str, Any] | None
            ),
            PlainSerializer(lambda lists: lists and lists.plain(), when_used="json"),
        ],
        None,
        "Start with these free blocks, everything else in use: any form of a buddy list.",
    ),
    "zone.pageblocks": _key(
        dict[str, Count] | None,
        None,
        "Pageblocks of each type at the start, by letter: {U: 868, E: 433}; the rest are movable.",
    ),
    "zone.above": _key(
        Pages,
        0,
        "Managed pages of the higher zones, from which lowmem_reserve_ratio holds back.",
    ),
    "watermarks.min": _key(
        Pages | None,
        None,
        "Instead of the formula; low and high follow from it, unless they are given as well.",
        policy=True,
    ),
    "watermarks.low": _key(Pages | None, None, "kswapd is woken below it.", policy=True),
    "watermarks.high": _key(Pages | None, None, "kswapd rests above it.", policy=True),
    "watermarks.lowmem_reserve_ratio": _key(
        within(Count, ge=1) | None,
        None,
        "vm.lowmem_reserve_ratio of this zone: it holds back zone.above pages divided by this.",
        policy=True,
    ),
    "watermarks.min_free_kbytes": _key(
        within(KBytes, le=plain.declared()["watermarks.min_free_kbytes"].setting.most),
        0,
        plain.declared()["watermarks.min_free_kbytes"].about,
        policy=True,
    ),
    "stacks.size": _key(
        Annotated[Bytes, AfterValidator(_stack_size)],
        8_192,
        "THREAD_SIZE: 8KiB, or 4KiB with CONFIG_4KSTACKS.",
    ),
    "user.working_set": _key(
        Annotated[str | float, BeforeValidator(_working_set, json_schema_input_type=SizeOrNumber)],
        1.2,
        "Distinct pages that programs touch: a multiple of the zone's memory, or a size.",
    ),
    "user.touch_profile": _profile(plain.declared()["user.touch_profile"].about),
    "nic.rx_profile": _profile(plain.declared()["nic.rx_profile"].about),
    "nic.tx_profile": _profile(plain.declared()["nic.tx_profile"].about),
    "nic.driver": _key(
        Annotated[str, OneOf(tuple(nic_rules.MTU_LIMITS))],
        "e1000",
        "Whose rules give the order of receive buffers (study/scenario/nic.py).",
    ),
    "nic.mtu": _key(
        Count, 9_000, "Bytes; with the driver it decides the order of receive buffers."
    ),
    "nic.transmit": _key(
        Annotated[str, of(plain.NicTransmit)] | None,
        None,
        "One contiguous copy a frame, or order-0 fragments; unless given, as the driver can.",
    ),
    "nic.line_rate": _key(
        within(LineRate, ge=1_000), 1e9, "Speed of the wire, which spaces the frames of a burst."
    ),
    "nic.rx_order": _key(
        within(Count, le=plain.ORDER_MAX) | None,
        None,
        "Order of a linear receive buffer, if not what driver and MTU imply.",
    ),
    "nic.tx_order": _key(
        within(Count, le=plain.ORDER_MAX) | None,
        None,
        "Order of a linear frame to send, if not what the MTU implies.",
    ),
    "load.trace": _key(
        Annotated[str | None, BeforeValidator(recording_named, json_schema_input_type=str | None)],
        None,
        "A recorded trace whose requests and frees are a load: a file as `study replay` reads it.",
    ),
    "extension.victims": _key(
        Annotated[str, _extension("victims", "lru")],
        "lru",
        "Who picks reclaim's next victim: LRU, or a function of yours (docs/scenarios.md).",
        policy=True,
    ),
    "extension.source": _key(
        Annotated[str, _extension("source", "none")],
        "none",
        "A further load: a function of yours (docs/scenarios.md).",
    ),
    "extension.numbers": _key(
        Annotated[tuple[Number, ...], Field(max_length=plain.NUMBERS_MAX)],
        (),
        "What it is told, at most eight numbers; what they mean is its affair.",
    ),
}
"""Keys whose words are not the machine's: a size for an order, a name for a function."""

_BY_UNIT = {
    "pages": Pages, "ns": Duration, "per_s": Rate, "per_ms": ScanSpeed, "share": Share,
}  # fmt: skip
_BY_KIND = {bool: Switch, int: Count, float: Number}


def _derived(one: plain.Declared) -> tuple[Any, Any]:
    """The key of a setting, as it is declared."""
    setting, default = one.setting, one.default
    if issubclass(one.kind, IntEnum):
        kind: Any = Annotated[str, of(one.kind)]
        default = next(word for word, m in plain.words_of(one.kind).items() if m == default)
    else:
        kind = _BY_UNIT.get(one.unit) or _BY_KIND[one.kind]
        bounds = {"ge": setting.least, "gt": setting.above, "le": setting.most}
        kind = within(kind, **{k: bound for k, bound in bounds.items() if bound is not None})
        default = get_args(kind)[0](default)
    return _key(kind, default, one.about, policy=setting.policy)


def _keys() -> dict[str, tuple[Any, Any]]:
    """Every dotted key, in the order of the settings that they give."""
    keys = {
        one.key: _OWN[one.key] if one.key in _OWN else _derived(one)
        for one in plain.declared().values()
        if one.key
    }
    keys |= {key: typed for key, typed in _OWN.items() if key not in keys}
    # What a zone is called is read before its lists.
    named = {"zone.name": keys.pop("zone.name"), "zone.buddyinfo": keys.pop("zone.buddyinfo")}
    keys |= named
    return keys | {f"vm.{name}": _sysctl(one, keys[one.key]) for name, one in SYSCTLS.items()}


def _sysctl(one: Sysctl, typed: tuple[Any, Any]) -> tuple[Any, Any]:
    """The key of a sysctl: the setting that it gives, or nothing said."""
    kind, *more = get_args(typed[0])
    kept = [mark for mark in more if mark != POLICY]
    kind = Annotated[kind, *kept] if kept else kind
    about = f"The sysctl, of Linux {spell(one.since)} and later: {one.key}. {one.about}"
    return _key(kind | None, None, about, policy=True)


_KEYS = _keys()


def _groups() -> dict[str, tuple[Any, Any]]:
    """A model for each group of keys."""
    keys: dict[str, dict[str, Any]] = {}
    for key, typed in _KEYS.items():
        group, _, name = key.partition(".")
        keys.setdefault(group, {})[name] = typed
    models = {
        group: create_model(f"{group.capitalize()}Group", __base__=_Group, **named)
        for group, named in keys.items()
    }
    return {group: (model, Field(default_factory=model)) for group, model in models.items()}


def _after(before: _Bundle, **changes: dict[str, Any]) -> _Bundle:
    """The settings of a kernel that differs from the one before it in these."""
    return {group: before.get(group, {}) | changes.get(group, {}) for group in before | changes}


def _kernels() -> dict[str, _Bundle]:
    """What each kernel sets; every later one says what it changed.

    Between 2.6.8 and 2.6.11 more changed than the patch: the marks (c07161d8c0, 2.6.10-rc3), the
    allocation path (ac12db05e3, 2.6.9-rc2; f86789bcbb, 2.6.11-rc1), kswapd's loop (31a9b2ac21,
    2.6.9-rc4) and what it counts as scanned. The patch itself is kswapd.policy (d4cf10128c).
    """
    kernels: dict[str, _Bundle] = {"2.6.8": {}}
    kernels["2.6.9"] = _after(
        kernels["2.6.8"], allocation={"path": "2.6.9"}, kswapd={"loop": "2.6.9"}
    )
    kernels["2.6.10"] = _after(
        kernels["2.6.9"], watermarks={"marks": "2.6.10"}, kswapd={"loop": "2.6.10"}
    )
    kernels["2.6.11"] = _after(
        kernels["2.6.10"],
        allocation={"path": "2.6.11"},
        kswapd={"loop": "2.6.11", "policy": "order-aware"},
    )
    kernels["2.6.23"] = _after(kernels["2.6.11"], reclaim={"lumpy": True})
    kernels["2.6.24"] = _after(
        kernels["2.6.23"],
        zone={"grouping": "on", "reserve": "migrate-reserve"},
        allocation={"path": "2.6.24"},
    )
    kernels["2.6.35"] = _after(
        kernels["2.6.24"], compaction={"direct": "costly"}, reclaim={"wait": "2.6.33"}
    )
    # By then compaction served every order (2.6.38), kswapd compacted as well and left the order
    # to it (3.3), and lumpy reclaim was gone (c53919adc0). The daemon stands for kswapd's own.
    kernels["3.5"] = _after(
        kernels["2.6.35"],
        reclaim={"lumpy": False, "wait": "2.6.37"},
        kswapd={"loop": "3.3"},
        compaction={"direct": "all", "daemon": True},
    )
    kernels["4.4"] = _after(
        kernels["3.5"],
        zone={"reserve": "highatomic"},
        allocation={"path": "4.4"},
        compaction={"rules": "3.19"},
        reclaim={"wait": "3.11"},
    )
    kernels["4.8"] = _after(
        kernels["4.4"],
        watermarks={"marks": "4.6"},
        kswapd={"loop": "4.8"},
        reclaim={"wait": "4.7"},
    )
    kernels["5.0"] = _after(
        kernels["4.8"], watermarks={"boost_factor": 15_000}, zone={"nofragment": True}
    )
    kernels["5.9"] = _after(kernels["5.0"], compaction={"proactiveness": 20})
    # What any of them sets has its default in those before.
    usual: _Bundle = {}
    for bundle in kernels.values():
        for group, names in bundle.items():
            keys = {name: _KEYS[f"{group}.{name}"][1].default for name in names}
            usual[group] = usual.get(group, {}) | keys
    return {kernel: _after(usual, **bundle) for kernel, bundle in kernels.items()}


KERNELS: dict[str, _Bundle] = _kernels()


def bundle_of(kernel: str) -> _Bundle:
    """What a kernel sets, or the nearest one below it; nothing if it is no version."""
    taken = nearest_below(kernel, KERNELS)
    return {} if taken is None else KERNELS[taken]


_TYPES: dict[str, Any] = {name: type(group) for name, group in vars(plain.Settings()).items()}
"""Of each group of settings."""


@lru_cache(maxsize=1)
def _readings() -> dict[str, list[tuple[str, Any, str, str]]]:
    """Group of the settings -> field, how to read it, and the group and the name of its key; only
    of settings that are given in their own words.
    """
    readings: dict[str, list[tuple[str, Any, str, str]]] = {}
    for one in plain.declared().values():
        group, _, field = one.name.rpartition(".")
        of_group = readings.setdefault(group, [])
        if one.key and one.key not in _OWN:
            is_enum = issubclass(one.kind, IntEnum)
            read: Any = plain.words_of(one.kind).__getitem__ if is_enum else one.kind
            group, _, key = one.key.partition(".")
            of_group.append((field, read, group, key))
    return readings


def _uneven(name: str, mean: str, profile: Profile | None, even_per_s: float) -> dict[str, Any]:
    """A profile as a setting, with the mean rate that it comes to; nothing for an even load."""
    if profile is None:
        return {}
    rates = profile.rates(even_per_s)
    times = sum(lasts for lasts, _ in rates)
    return {name: rates, mean: sum(lasts * rate for lasts, rate in rates) / times}


class _Machine(_Group):
    """One cell of the matrix: a machine, its kernel's policies and its load."""

    kernel: Annotated[str, BeforeValidator(_kernel, json_schema_input_type=str), POLICY] = Field(
        default="2.6.8",
        description="Sets all that a kernel changed: marks, paths, kswapd, grouping, reclaim, "
        f"compaction. Known are {', '.join(KERNELS)}; any other is taken as the nearest one below.",
    )
    requests: Requests = Field(
        default={},
        description="Requests by name beside the card's: { dockerd: { order: 6, rate: 1/min } }.",
    )
    actions: Actions = Field(
        default=(),
        max_length=plain.ACTIONS_MAX,
        description="What an administrator does: [{ at: 60s, do: drop_caches }].",
    )

    if TYPE_CHECKING:

        def __getattr__(self, group: str) -> Any:
            """A group of keys; they follow from the settings."""

    def settings(self) -> plain.Settings:
        """The same machine in the kernel's units."""
        converted, groups = self._conversions(), vars(self)
        settings: dict[str, Any] = {}
        for group, readings in _readings().items():
            values = {field: read(vars(groups[of])[key]) for field, read, of, key in readings}
            values |= converted.get(group, {})
            settings |= {group: _TYPES[group](**values)} if group else values
        return plain.Settings(**settings)

    def _conversions(self) -> dict[str, dict[str, Any]]:
        """The settings that people give in other words, by group and name."""
        zone, watermarks, user, nic = self.zone, self.watermarks, self.user, self.nic
        marks = self.marks()
        lists: StartLists | None = zone.buddyinfo
        working_set = user.working_set
        transmit = nic.transmit or nic_rules.transmit(nic.driver)
        rx_order, tx_order = nic_rules.rx_order(nic.driver, nic.mtu), nic_rules.tx_order(nic.mtu)
        return {
            "": {
                "requests": tuple(one.plain(name) for name, one in self.requests.items()),
                "actions": plain_actions(self.actions, self.clock.ageing),
            },
            "memory": {
                "lowmem_pages": zone.lowmem or zone.memory + zone.dma.memory,
                "dma_pages": zone.dma.memory,
                "dma_reserved_pages": zone.dma.reserved,
                "buddyinfo": lists and lists.counts,
                "typed_blocks": lists and lists.by_type,
                "typed_pageblocks": self._pageblocks(),
            },
            "watermarks": {
                "explicit_pages": marks,
                "min_free_kbytes": watermarks.min_free_kbytes,
                "lowmem_reserve_pages": zone.above // watermarks.lowmem_reserve_ratio
                if watermarks.lowmem_reserve_ratio
                else watermarks.lowmem_reserve,
            },
            "user": {
                "working_set_pages": pages_from(working_set)
                if isinstance(working_set, str)
                else round(working_set * zone.memory),
                **_uneven("touch_profile", "touches_per_s", user.touch_profile, user.touch_rate),
            },
            "processes": {"stack_order": nic_rules.kmalloc_order(self.stacks.size)},
            "nic": {
                "replaces": nic.driver in nic_rules.REPLACING,
                "rx_order": rx_order if nic.rx_order is None else nic.rx_order,
                "tx_order": tx_order if nic.tx_order is None else nic.tx_order,
                "frame_pages": nic_rules.frame_pages(nic.mtu),
                "wire_ns": nic_rules.wire_ns(nic.mtu, nic.line_rate),
                "transmit": plain.words_of(plain.NicTransmit)[transmit],
                **_uneven("rx_profile", "rx_frames_per_s", nic.rx_profile, nic.rx_rate),
                **_uneven("tx_profile", "tx_frames_per_s", nic.tx_profile, nic.tx_rate),
            },
            "load": {"trace": recording_of(self.load.trace)},
            "extension": self._extension(),
        }

    def marks(self) -> tuple[int, int, int] | None:
        """(min, low, high) in pages if they are given; low and high follow from min alone."""
        given = self.watermarks
        if given.min is None:
            return None
        if given.low is None or given.high is None:
            formula: Any = plain.words_of(plain.Marks)[given.marks]
            return above_min(formula, given.min, self.zone.memory, given.scale_factor)
        return given.min, given.low, given.high

    def _pageblocks(self) -> tuple[int, ...] | None:
        """Pageblocks by type in the order of the lists; None if nothing is said of them."""
        lists: StartLists | None = self.zone.buddyinfo
        if lists is None or lists.by_type is None:
            return None
        said = dict(lists.pageblocks) | (self.zone.pageblocks or {})
        if self.zone.highatomic and not said.get("H"):
            said["H"] = -(-self.zone.highatomic >> self.zone.pageblock_order)
        return tuple(said.get(letter, 0) for letter in TYPES) if said else None

    def _extension(self) -> dict[str, Any]:
        """The extensions by name, with the versions there are; the numbers are theirs."""
        own = self.extension
        names = {
            "victims": "" if own.victims == "lru" else own.victims,
            "source": "" if own.source == "none" else own.source,
        }
        versions = dict.fromkeys(names, "")
        if any(names.values()) and not only_named():
            from study.zone.extension import find

            versions = {kind: find(kind, n).digest if n else "" for kind, n in names.items()}
        return {
            **names,
            **{f"{kind}_digest": version for kind, version in versions.items()},
            "numbers": own.numbers if any(names.values()) else (),
        }


if TYPE_CHECKING:
    Machine = _Machine
else:
    Machine = create_model("Machine", __base__=_Machine, __module__=__name__, **_groups())


@lru_cache(maxsize=1)
def fields() -> dict[str, FieldInfo]:
    """Every dotted key that a machine has, in the order of the groups: kernel, zone.memory, ..."""
    found: dict[str, FieldInfo] = {}
    for name, field in Machine.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            found |= {f"{name}.{key}": inner for key, inner in group.model_fields.items()}
        else:
            found[name] = field
    return found


@lru_cache(maxsize=1)
def policy_keys() -> frozenset[str]:
    """The dotted keys by which kernels and administrators choose how memory is managed."""
    return frozenset(key for key, field in fields().items() if POLICY in field.metadata)
