"""The JSON of things: a model for each, made of what the store and the Python API return.

Times are seconds since the epoch (UTC), sizes are bytes.
"""
