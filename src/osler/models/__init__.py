"""Risk models behind one interface; ``create`` makes any of them by name."""
