"""What is done with a mixture after it has been fitted."""
