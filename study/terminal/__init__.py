"""What reaches a terminal: text of others without control characters, whoever prints it."""

from __future__ import annotations
