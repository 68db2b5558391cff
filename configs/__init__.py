"""The configuration files, and the one place that composes them."""
