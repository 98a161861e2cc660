"""Evaluation: outcomes and risks in, measures with intervals out; never a model."""
