"""Proof, on any machine, that an exported file answers as the trained model does."""

import logging

# Before any module imports it: on Linux it complains at once, ten lines long, that it cannot run models.
logging.getLogger("coremltools").setLevel(logging.CRITICAL)
