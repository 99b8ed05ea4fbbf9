"""How much a loss rises under perturbations, and what of that is a property of the function."""
