"""Image networks: their shape, how training images are moved about, and why a network says what it says."""
