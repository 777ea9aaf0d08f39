"""The parts of `validation.numerical_study`: what is run, how, and what is drawn and written."""
