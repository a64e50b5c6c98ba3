"""A run of fit: command line, trainer, checkpoints, pictures for TensorBoard, several seeds."""
