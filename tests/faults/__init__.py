"""Faults of processes, of the network and of messages, made on real stacks; `README.md` says where each is covered."""
