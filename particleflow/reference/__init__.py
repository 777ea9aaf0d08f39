"""Other roads to the answers of the flow: nothing here imports the flow, its integrators or its energy."""
