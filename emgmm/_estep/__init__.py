"""Rows and a mixture to sufficient statistics, or to what is predicted of each row."""
