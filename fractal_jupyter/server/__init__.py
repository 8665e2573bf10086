"""The Jupyter server extension: REST and events over the store that notebooks use."""
