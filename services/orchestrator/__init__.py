"""Consumes candidates, removes duplicates, steers the producers, publishes the list; also the command line."""
