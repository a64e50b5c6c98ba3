"""Executors of saved Core ML models on torch: ML Programs op by op, NeuralNetworks layer by layer."""
