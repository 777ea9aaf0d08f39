"""Claims about particleflow, checked by running it; every figure in the documentation comes from here."""
