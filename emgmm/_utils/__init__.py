"""What every part needs: threads, products, validation, files."""
