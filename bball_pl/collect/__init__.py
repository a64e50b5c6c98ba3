"""Photos in, each with where it came from and under which licence: one module per source, one job for all."""
