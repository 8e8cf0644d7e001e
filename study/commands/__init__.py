"""Commands of `study`, one a module; study/cli.py gathers them."""
