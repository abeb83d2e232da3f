"""Per-image adaptation of any layer."""
