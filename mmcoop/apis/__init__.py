"""What the command lines in tools/ are made of."""
