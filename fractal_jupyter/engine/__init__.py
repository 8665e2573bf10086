"""What runs on which images, and what becomes of the image list: pure functions, no I/O.

`filters` choose the images of a step, `arguments` checks what the task is given, `planning` makes
units of both, `batching` packs units, and `merging` brings what the units wrote into the image
list.
"""
