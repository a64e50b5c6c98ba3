"""Dataset folders to batches: decoding, cache, augmentation, samplers and the datamodule."""
