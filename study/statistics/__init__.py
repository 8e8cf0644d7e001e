"""What the numbers of a study say: contrasts, verdicts on its claims, and when it has enough.

SciPy, statsmodels and SALib do the statistics. Importing this room loads none of them.
"""

from study.statistics.contrasts import contrast_table
from study.statistics.effects import Effect, main_effects
from study.statistics.findings import Findings, read_findings, write_findings
from study.statistics.stopping import replicates_wanted

__all__ = [
    "Effect",
    "Findings",
    "contrast_table",
    "main_effects",
    "read_findings",
    "replicates_wanted",
    "write_findings",
]
