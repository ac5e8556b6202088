"""How a mixture is estimated: M-step, Anderson acceleration, driver, stepwise EM."""
