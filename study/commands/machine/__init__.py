"""The commands that ask about a machine: why it refused, and a scenario from its report."""
