"""What a study leaves behind: a folder of Parquet files, a manifest and a summary.

pandas, pyarrow and scipy live in this room. Importing it loads none of them.
"""

from study.results.folder import Folder, ResultsError, create_folder, default_path, open_folder
from study.results.manifest import FORMAT, fingerprint_of
from study.results.read import Results, read_series, read_summary, read_trials
from study.results.store import Store

__all__ = [
    "FORMAT",
    "Folder",
    "Results",
    "ResultsError",
    "Store",
    "create_folder",
    "default_path",
    "fingerprint_of",
    "open_folder",
    "read_series",
    "read_summary",
    "read_trials",
]
