"""Words to trials: a scenario file is read, checked and unfolded into cells."""

from study.scenario.claims.comparison import Claim
from study.scenario.errors import Fault, ScenarioError
from study.scenario.load import load, load_claims, load_mapping, load_text
from study.scenario.stopping import Stopping
from study.scenario.study import Study
from study.scenario.trial import Cell, Level, Trial

__all__ = [
    "Cell",
    "Claim",
    "Fault",
    "Level",
    "ScenarioError",
    "Stopping",
    "Study",
    "Trial",
    "load",
    "load_claims",
    "load_mapping",
    "load_text",
]
