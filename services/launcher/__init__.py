"""Runs the whole stack on one machine without Docker: a real nats-server and supervised child processes."""
