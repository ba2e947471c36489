"""Bytes to text, by content first and by suffix second."""
