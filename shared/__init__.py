"""The wire contract and the bus kit that every service shares, and nothing else."""
