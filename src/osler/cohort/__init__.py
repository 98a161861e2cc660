"""Cohort: patients, their measurements, their outcome; read through one gate, seen through landmarks."""
