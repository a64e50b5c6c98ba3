"""What a run does beside training: the probe, pictures, throughput, stopping in good order."""
