"""What is done to task groups: collected, deactivated, reactivated, deleted, cleaned.

Each action is an activity of the store, done by a process of its own (`process.py`), so that it
outlives whoever asked for it; clients follow it through the store. One place (a folder of a
resource) is changed by one activity at a time. Whatever dies, what is left is the state before,
or the state after.
"""
