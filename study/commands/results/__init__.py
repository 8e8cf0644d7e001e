"""The commands that read a results folder."""
