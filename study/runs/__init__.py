"""Runs of a study from beginning to end: make the folder, fan out, store, summarise."""

from study.runs.options import Options
from study.runs.place import writing
from study.runs.run import resume_study, run_study
from study.runs.watcher import SILENT, Watcher

__all__ = ["SILENT", "Options", "Watcher", "resume_study", "run_study", "writing"]
