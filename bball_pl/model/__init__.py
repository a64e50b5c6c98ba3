"""Batches to logits: backbone and weights, LightningModule and recipe; `fit` is the command."""
