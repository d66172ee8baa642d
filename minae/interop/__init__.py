"""Doors to neighbours: each module here speaks another library's language, and needs that library."""
