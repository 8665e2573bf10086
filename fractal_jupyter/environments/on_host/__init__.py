"""What runs on the host of an environment: stdlib only, Python 3.8 or later, shipped as text.

Nothing here imports anything of `fractal_jupyter` outside this folder (see `shipping.py`).
"""
