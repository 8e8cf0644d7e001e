"""What may be used although somebody else could have a hand in it: folders, and code by name."""
