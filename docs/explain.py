"""Writes the run that `study explain` plays from the compiled zone: python docs/explain.py."""

from __future__ import annotations

from study.explain.lesson import settings
from study.explain.recording import FILE, SEED, STEPS, text_of
from study.explain.watch import watch

if __name__ == "__main__":
    FILE.write_text(text_of(watch(settings(), seed=SEED, steps=STEPS)), encoding="utf-8")
