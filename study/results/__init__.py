"""What a study leaves behind: a folder of Parquet files, a manifest and a summary.

pandas, pyarrow and scipy live in this room. Importing it loads none of them.
"""

from study.results.errors import ResultsError
from study.results.finished import Finished
from study.results.folder import (
    MANIFEST,
    Folder,
    create_folder,
    default_path,
    is_being_written,
    only_writer,
    open_local,
)
from study.results.manifest import FORMAT, fingerprint_of, study_of
from study.results.read import Tables, read_series, read_summary, read_trials
from study.results.resume import Kept, adopt, reopen
from study.results.store import Store

__all__ = [
    "FORMAT",
    "MANIFEST",
    "Finished",
    "Folder",
    "Kept",
    "ResultsError",
    "Store",
    "Tables",
    "adopt",
    "create_folder",
    "default_path",
    "fingerprint_of",
    "is_being_written",
    "only_writer",
    "open_local",
    "read_series",
    "read_summary",
    "read_trials",
    "reopen",
    "study_of",
]
