"""A recorded trace of a real kernel's allocator, fed through ours and compared."""

from __future__ import annotations
