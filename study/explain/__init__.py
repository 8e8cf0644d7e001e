"""A small zone to watch, one step at a time: the study's own compiled zone, observed.

Importing this room loads nothing heavy.
"""
