"""Where commands run and files live.

Every kind of host offers the methods of `fractal_jupyter.hosts.base.Host`, or says in its
`capabilities` that it cannot; nothing above this part knows which kind it works with.
"""
