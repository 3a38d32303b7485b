"""What the paper runs: plans, their execution, probes, reading of prompts."""
