"""What lies beside the exported files: README, contract, model card, and the parity kit for a Mac."""
