"""What a code is worth: retrieval, and (as the chapters need them) probes, detection and disentanglement."""
