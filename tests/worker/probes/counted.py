"""Counts processors when it is imported, as libraries do that make pools of threads."""

import os

PROCESSORS = len(os.sched_getaffinity(0))
