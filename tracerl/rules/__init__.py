"""Learning rules: the eligibility of each parameter and the scalar signal that multiplies it."""
