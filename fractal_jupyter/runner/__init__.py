"""Driving jobs: submission, the supervisor, and recovery."""
