"""How a mixture is found: M-step, acceleration, the driver, stepwise EM."""
