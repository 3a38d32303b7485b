"""Tables and pictures from the JSONs of runs."""
