"""Reporting: compute, draw, render; one self-contained HTML file each."""
