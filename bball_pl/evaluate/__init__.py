"""Checkpoint to predictions to metrics."""
