"""What a code is worth: probes, retrieval, and (as the chapters need them) detection and disentanglement."""
