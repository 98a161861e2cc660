"""Features: what models take in, fitted on training patients only."""
