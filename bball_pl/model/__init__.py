"""Batches to logits: backbone and weights, LightningModule, optimiser, mixing, callbacks."""
