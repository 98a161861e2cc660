"""Survival analysis on arrays: risk curves, nonparametric estimators, likelihoods."""
