"""Takes tasks of one provider, asks its model, and publishes each attribute the moment it is complete."""
