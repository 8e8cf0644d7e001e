"""The keys of the study itself, and the sections that stand beside them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from study.scenario.units import count_from

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
SECTIONS = ("base", "axes", "include", "exclude", "sampling", "nuisance", "claims", "recordings")


class Head(BaseModel):
    """What a study is called, what it asks, and how often it runs each cell."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Annotated[str, Field(pattern=rf"^{NAME}$")] = "study"
    """What its results folder is called after."""
    question: str = ""
    """What it asks, in a sentence."""
    seed: Annotated[int, BeforeValidator(count_from)] = 1
    """From which the seeds of its trials are made."""
    replicates: Annotated[int, BeforeValidator(count_from), Field(ge=1)] = 5
    """Trials of each cell; the least number, if a rule says how many."""
    ranking: str | None = None
    """Axis whose levels are ranked by how well they serve the requests by name; the first of them
    is the machine as it is."""
