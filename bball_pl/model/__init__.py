"""Batches to logits: backbone and weights, LightningModule, recipe, callbacks and the fit command."""
