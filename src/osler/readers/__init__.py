"""Readers: files become tables, matrices and pixels; nothing here knows what they mean."""
