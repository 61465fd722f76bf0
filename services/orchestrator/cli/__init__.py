"""The command line that makes one list: starts what is needed, shows progress, and leaves the files."""
