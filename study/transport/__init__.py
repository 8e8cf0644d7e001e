"""How results travel: folders on a filesystem elsewhere, jobs on a cluster, rows that come home.

fsspec and Ray's job server are spoken to here alone. Importing this room loads neither.
"""

from study.transport.storage import open_folder

__all__ = ["open_folder"]
