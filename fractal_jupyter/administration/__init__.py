"""Documents of an administrator: files in Jupyter's configuration path, brought into the store."""
