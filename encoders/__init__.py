"""Encoders: one file and one class each, every one an SB3 features extractor. `from encoders.gnn import GNN`."""
