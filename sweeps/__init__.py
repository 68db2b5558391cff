"""Many runs at once, in processes here or on a cluster; it knows nothing of what a run is."""
