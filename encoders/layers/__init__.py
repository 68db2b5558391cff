"""The parts encoders are built from."""
