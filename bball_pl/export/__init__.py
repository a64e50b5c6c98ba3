"""Checkpoint to ONNX, Core ML and Core AI, each verified without a Mac."""

import bball_pl.verify  # noqa: F401 (silences coremltools before a module of this package imports it)
