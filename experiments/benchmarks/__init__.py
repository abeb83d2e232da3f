"""What `python -m experiments.benchmark` measures, one module a subject."""
