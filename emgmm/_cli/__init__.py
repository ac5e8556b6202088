"""The command `emgmm`."""
