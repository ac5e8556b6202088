"""What is done after a fit: how sure it is, and how many components there are."""
