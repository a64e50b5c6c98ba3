"""Datasets to batches: the check, validation split, cache, augmentation, samplers and the datamodule."""
