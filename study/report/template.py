"""The room's Jinja2 templates, which escape whatever they are given."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any


def template(name: str) -> Any:
    """One of this room's templates; whatever it is given is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("study.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["source"] = _source
    environment.globals["digest"] = _digest
    environment.filters["moment"] = _moment
    environment.filters["unbroken"] = _unbroken
    return environment.get_template(name)


def _source(name: str) -> Any:
    """A style sheet or script of this room, as it is."""
    from markupsafe import Markup

    return Markup((Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def _digest(name: str) -> str:
    """The hash by which the page's content policy lets one script run, and no other."""
    text = str(_source(name)).encode()
    return f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}"


def _moment(iso: str) -> str:
    """A time of a manifest to the minute; all of them are in UTC."""
    return f"{iso[:16].replace('T', ' ')} UTC"


def _unbroken(text: str) -> str:
    """No line ends between a number and its unit, and a minus is as wide as a plus."""
    return re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text.replace(" %", "\N{NO-BREAK SPACE}%"))
