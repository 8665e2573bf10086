"""What the worker and a forker say to each other, over a stream between them.

The forker finds what it has to know in a file. Then the worker sends commands of six bytes, and
the forker sends frames of one size; some frames are followed by a text.
"""

from __future__ import annotations

import struct

# kind, a number, slot, share of the processors
COMMAND = struct.Struct("=cBHH")
FORK = b"F"  # the number says whether the unit is to list the modules that it loaded
KILL = b"K"  # the number is the signal
LEARN = b"L"  # import what the file of learned modules names

# kind, slot, pid, status, peak memory in bytes, CPU seconds, start and end as Unix times
FRAME = struct.Struct("=cxHiiqddd")
READY = b"R"  # imports are done; followed by JSON, whose length is the status
GIVE_UP = b"G"  # it will fork nothing; followed by JSON
FORKED = b"F"  # a unit has this pid
REFUSED = b"N"  # a unit could not be started; the status is an error number
RETURNED = b"B"  # a unit was not started, and may be started elsewhere
ENDED = b"E"  # a unit has ended

# Where a unit lists the modules that it loaded, in its folder.
MODULES = "modules"
# Where the worker lists those that it wants imported, in the attempt's folder.
LEARNED = "learned"
