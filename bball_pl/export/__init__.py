"""Checkpoint to ONNX, Core ML and Core AI, each verified without a Mac."""

import logging

# Before any module imports it: on Linux it complains at once, ten lines long, that it cannot run models.
logging.getLogger("coremltools").setLevel(logging.CRITICAL)
