"""minae among its neighbours: one module for each library that models are handed to."""
