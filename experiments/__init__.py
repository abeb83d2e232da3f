"""The harness: one way to measure every codec."""
