"""What can be done to posts and deliveries: one module per act."""
