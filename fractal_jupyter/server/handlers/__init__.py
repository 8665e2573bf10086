"""What answers requests: a module for each noun, each with its rows of the table of routes."""
