"""One file for each provider's model, and the contract they share."""
