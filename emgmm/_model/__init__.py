"""What a mixture is: covariances, families and their rules, parameters."""
