"""Many trials, run in this process or on Ray, as batches of finished rows.

Trials are pure functions of (cell, seed, replicate), so it never matters where, in what order,
in what company or how often one runs.
"""

from study.fanout.pace import Pace
from study.fanout.prepare import prepare_simulation
from study.fanout.session import FanoutError, Session, open_session, usable_cores
from study.fanout.tasks import on_ray
from study.fanout.trial import Limits, Row, in_process, run_trial

__all__ = [
    "FanoutError",
    "Limits",
    "Pace",
    "Row",
    "Session",
    "in_process",
    "on_ray",
    "open_session",
    "prepare_simulation",
    "run_trial",
    "usable_cores",
]
