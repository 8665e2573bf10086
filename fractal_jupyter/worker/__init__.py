"""What runs where the data are: starts the units of a batch and records what becomes of them.

Standard library only, Python 3.8 or newer; shipped as a zip archive (see `bundle`) and run as
`python -I -S worker.pyz run BATCH_FOLDER`. Modules, from the outside in:

    __main__    commands
    loop        the worker's life: starts units, waits for them, records them
    claim       attempts at a batch: claiming, heartbeat, what earlier attempts did
    batch       reading batch.json
    journal     appends records to the results of the attempt
    slots       the files of the units that are running
    outcome     what became of a unit, in words
    cold        starts a unit as a process of its own
    warm        the worker's end of the line to a forker
    forker      the process of the task environment that units are forked from
    imports     what a script imports, read from its source
    threads     whether forking is safe after those imports
    unit        what a forked process does to be a unit
    memory      where the memory of a forker lies
    linux       what only Linux has
    records     the lines of the results; also read on the other side
    segments    append-only files, rolled
    scan        finds OME-Zarr images below a folder
    bundle      makes the archive
"""
