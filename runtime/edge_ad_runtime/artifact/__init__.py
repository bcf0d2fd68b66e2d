"""What an artifact is: its schema, its folder, and how both are read without trusting either."""
