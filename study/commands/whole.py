"""Whole numbers within bounds, as options take them."""

from __future__ import annotations

import click


class Whole(click.IntRange):
    """click's own, which says `1 or more` where click has x>=1: no help text has an x."""

    def _describe_range(self) -> str:
        if self.max is None:
            return f"{self.min} or more"
        return f"{self.min} to {self.max:,}"
