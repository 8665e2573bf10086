"""How the environment of a task package is built, and what is found in it.

The work is done by one program (`on_host`) that runs, on whatever host, on the interpreter that
the environment is for; this side says what is wanted, follows the log, and puts failures in words.
"""
