"""Adversarial training: discriminators, losses, and the two alternating descents."""
