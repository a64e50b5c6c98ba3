"""Proof, on any machine, that an exported file answers as the trained model does."""
