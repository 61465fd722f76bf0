"""Keeps a second copy of every accepted attribute, and writes the output files of each run."""
