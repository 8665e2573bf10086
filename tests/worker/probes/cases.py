# mypy: ignore-errors
# ruff: noqa: PTH109, PTH112, PTH115, PTH123, PTH208, SIM115, SIM300
"""A program that looks around, and ends, in as many ways as there are; one case at a time.

Run with `--args-json` and `--out-json` like a task, warm and cold; what it returns, what it prints
and how it ends must be the same. For Python 3.8 and newer.
"""

import argparse
import asyncio
import atexit
import concurrent.futures
import gc
import inspect
import json
import logging
import multiprocessing
import os
import random
import resource
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
import warnings
import weakref
from multiprocessing import resource_tracker, shared_memory

import counted

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]

CASES = {}
KEPT = []


def case(function):
    CASES[function.__name__] = function
    return function


# what it finds


@case
def program(args):
    main = sys.modules["__main__"]
    return {
        "argv": sys.argv,
        "orig_argv": getattr(sys, "orig_argv", None),
        "path": sys.path,
        "flags": repr(sys.flags),
        "warnoptions": sys.warnoptions,
        "executable": sys.executable,
        "prefix": sys.prefix,
        "names": sorted(vars(main)),
        "special": {
            name: repr(value)
            for name, value in sorted(vars(main).items())
            if name.startswith("__") and name not in ("__builtins__", "__loader__", "__doc__")
        },
        "builtins": type(vars(main)["__builtins__"]).__name__,
        "loader": [type(main.__loader__).__name__, main.__loader__.name, main.__loader__.path],
        "same": main.__dict__ is globals(),
        "is_main": program.__module__,
        "source": inspect.getsource(case),
        "ours": [name for name in sys.modules if "fractal" in name],
    }


@case
def process(args):
    numbers = [n for n in range(1, 32) if n not in (signal.SIGKILL, signal.SIGSTOP)]
    with open("/proc/self/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    ours = 2**31 - 1  # what follows is the C library's own: 33 once there was a thread
    return {
        "session": os.getsid(0) == os.getpid(),
        "group": os.getpgrp() == os.getpid(),
        "orphan": os.getppid() == 1,
        "name": status["Name"],
        "signals": [
            hex(int(status[name], 16) & ours) for name in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")
        ],
        "handlers": [repr(signal.getsignal(n)) for n in numbers],
        "wakeup": signal.set_wakeup_fd(-1),
        "umask": [os.umask(0o022), os.umask(0o022)],
        "limits": {
            name: resource.getrlimit(getattr(resource, name))
            for name in dir(resource)
            if name.startswith("RLIMIT_")
        },
        "nice": os.nice(0),
        "oom": open("/proc/self/oom_score_adj").read(),
        "cwd": os.getcwd(),
        "ids": [os.getuid(), os.getgid(), os.getgroups()],
    }


@case
def environment(args):
    return [dict(os.environ), subprocess.check_output(["env"]).decode().splitlines()]


@case
def descriptors(args):
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = [
                os.readlink("/proc/self/fd/" + name),
                os.get_inheritable(int(name)),
                stat.S_IFMT(os.fstat(int(name)).st_mode),
            ]
        except OSError:
            continue  # the one that lists
    with open("/proc/self/fdinfo/1") as file:
        found["flags"] = file.read().split()[3]
    return found


@case
def standard_files(args):
    facts = [
        [
            file.name,
            file.mode,
            file.encoding,
            file.errors,
            file.line_buffering,
            file.isatty(),
            file.closed,
            getattr(file, "write_through", None),
            type(file.buffer).__name__,
            file.fileno(),
        ]
        for file in (sys.stdin, sys.stdout, sys.stderr)
    ]
    same = [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__]
    return facts, same, sys.stdin.read(), sys.stdout.tell()


@case
def interpreter(args):
    return {
        "gc": [gc.isenabled(), gc.get_threshold()],
        "recursion": sys.getrecursionlimit(),
        "switch": sys.getswitchinterval(),
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
        "tracing": [sys.gettrace(), sys.getprofile()],
        "encoding": [sys.getfilesystemencoding(), sys.getdefaultencoding()],
        "filters": [str(f) for f in warnings.filters],
        "log": [logging.root.level, len(logging.root.handlers)],
        "fresh_clock": time.time() * (1e9 if isinstance(logging._startTime, int) else 1)
        - logging._startTime
        < 5 * (1e9 if isinstance(logging._startTime, int) else 1),
        "little_processor_time": time.process_time() < 5,
        "last": [hasattr(sys, name) for name in ("last_type", "last_value", "last_exc")],
        "importers": [path for path in sys.path_importer_cache if "worker" in path],
        "stack": [entry.name for entry in traceback.extract_stack()][-2:],
    }


@case
def threads(args):
    main = threading.main_thread()
    return {
        "main": main is threading.current_thread(),
        "name": main.name,
        "ident": main.ident == threading.get_ident(),
        "native": main.native_id == os.getpid() == threading.get_native_id(),
        "alive": main.is_alive(),
        "all": len(threading.enumerate()),
    }


@case
def processes(args):
    current = multiprocessing.current_process()
    return {
        "name": current.name,
        "pid": current.pid == os.getpid(),
        "daemon": current.daemon,
        "parent": str(multiprocessing.parent_process()),
        "children": multiprocessing.active_children(),
        "method": multiprocessing.get_start_method(),
        "start": multiprocessing.process.ORIGINAL_DIR == os.getcwd(),
    }


@case
def modules(args):
    return {
        "processors": counted.PROCESSORS,
        "state": KEPT.append(1) or len(KEPT),
        "random": type(random._inst).__name__,
        "temporary": tempfile.gettempdir(),
    }


# what it can do


def square(number):
    return number * number


def in_pool(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        return pool.map(square, range(5))


@case
def pool_of_forks(args):
    return in_pool("fork")


@case
def pool_of_spawned(args):
    return in_pool("spawn")


@case
def pool_of_a_server(args):
    return in_pool("forkserver")


@case
def executor_of_processes(args):
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        return list(executor.map(square, range(5)))


@case
def executor_of_threads(args):
    with concurrent.futures.ThreadPoolExecutor(4) as executor:
        return list(executor.map(square, range(100)))


@case
def executor_left_running(args):
    executor = concurrent.futures.ThreadPoolExecutor(2)
    KEPT.append(executor)
    executor.submit(lambda: time.sleep(0.05) or print("done late", flush=True))


@case
def queue_between_processes(args):
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=queue.put, args=("hello",))
    child.start()
    said = queue.get(timeout=30)
    child.join()
    return said, child.exitcode


@case
def manager(args):
    with multiprocessing.Manager() as server:
        shared = server.dict(a=1)
        return dict(shared)


@case
def memory_shared(args):
    memory = shared_memory.SharedMemory(create=True, size=100)
    memory.buf[0] = 7
    value = memory.buf[0]
    memory.close()
    memory.unlink()
    return value, resource_tracker._resource_tracker._pid is not None


@case
def program_called(args):
    return subprocess.check_output(["sh", "-c", "echo called; echo to log >&2"]).decode()


@case
def coroutine(args):
    async def main():
        process = await asyncio.create_subprocess_exec("true")
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
        return await process.wait()

    return asyncio.run(main())


@case
def child_that_ends_like_the_program(args):
    print("before", flush=True)
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        return status
    print("in the child")
    sys.exit(3)


@case
def alarm(args):
    heard = []
    signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not heard:
        time.sleep(0.005)
    return heard


@case
def own_temporary_folder(args):
    KEPT.append(tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="kept-"))
    return os.path.isdir(KEPT[-1].name)


@case
def recursion(args):
    def deep(n):
        return n if n == 0 else deep(n - 1)

    try:
        return deep(100000)
    except RecursionError as error:
        return str(error)


# how it ends

EXITS = {
    "none": None,
    "zero": 0,
    "three": 3,
    "minus_one": -1,
    "large": 256,
    "larger": 2**40 + 3,
    "true": True,
    "text": "said at the end",
    "float": 1.5,
    "tuple": (1, 2),
    "exception": ValueError("inside"),
}


def exit_case(name, value):
    def end(args):
        print("on its way out")
        sys.exit(value)

    end.__name__ = "exit_" + name
    case(end)


for _name, _value in EXITS.items():
    exit_case(_name, _value)


@case
def exit_raised(args):
    raise SystemExit(4)


@case
def exit_of_several(args):
    raise SystemExit(1, 2)


@case
def exit_at_once(args):
    print("lost")
    os._exit(7)


@case
def exit_by_quit(args):
    quit(5)


@case
def order_of_the_end(args):
    class Thing:
        def __init__(self, name):
            self.name = name

        def __del__(self):
            print("gone:", self.name, flush=True)

    print("buffered")
    sys.stderr.write("not buffered\n")
    atexit.register(print, "registered first")
    atexit.register(print, "registered last")
    atexit.register(lambda: print("names:", sorted(n for n in globals() if n.startswith("__f"))))
    weakref.finalize(KEPT, print, "finalizer")
    thread = threading.Thread(target=lambda: time.sleep(0.05) or print("thread", flush=True))
    thread.start()
    cycle = Thing("in a cycle")
    cycle.itself = cycle
    globals()["_private"] = Thing("private")
    globals()["public"] = Thing("public")


@case
def files_left_open(args):
    # One is the program's own, another is kept by a library.
    plain = globals()["plain"] = open(args["folder"] + "/plain", "w")
    plain.write("text")
    warnings.kept_file = open(args["folder"] + "/kept", "wb")
    warnings.kept_file.write(b"bytes")


@case
def exit_hook_raises(args):
    atexit.register(lambda: print("after"))
    atexit.register(lambda: 1 / 0)


@case
def exit_hook_exits(args):
    atexit.register(lambda: sys.exit(9))


@case
def thread_raises(args):
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()


@case
def daemon_left(args):
    def work():
        while True:
            time.sleep(0.001)
            square(2)

    threading.Thread(target=work, daemon=True).start()
    print("leaving")


@case
def finalizer_raises(args):
    # Without a source: an interpreter that ends does not always show it.
    exec("class Bad:\n  def __del__(self): 1 / 0", globals())
    globals()["bad"] = globals()["Bad"]()


@case
def output_closed(args):
    print("before it is closed")
    sys.stdout.close()


@case
def output_is_none(args):
    sys.stdout = None
    sys.stderr = None
    print("to nobody")
    raise ValueError("to nobody")


@case
def output_lost(args):
    print("does not fit")
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


@case
def output_broken(args):
    class Broken:
        def write(self, text):
            return len(text)

        def flush(self):
            raise OSError("cannot be flushed")

    sys.stdout = Broken()


# how it fails


def fail(depth):
    if depth:
        fail(depth - 1)
    raise ValueError("at the bottom")


@case
def error(args):
    print("printed before")
    fail(3)


@case
def error_of_an_error(args):
    try:
        fail(1)
    except ValueError as reason:
        raise KeyError("from it") from reason


@case
def error_while_handling(args):
    try:
        fail(1)
    except ValueError:
        print(undefined)  # noqa: F821


@case
def error_of_many_lines(args):
    raise RuntimeError("first line\nsecond line\n\nfourth line")


@case
def error_group(args):
    group = getattr(__builtins__, "ExceptionGroup", None)
    if group is None:
        raise ValueError("no groups")
    raise group("several", [ValueError("one"), KeyError("two")])


@case
def error_in_syntax(args):
    exec("if so:\n  what what")


@case
def error_on_import(args):
    import nothing_like_that  # noqa: F401


@case
def error_that_cannot_be_told(args):
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("mute")

    raise Mute


@case
def error_with_a_hook(args):
    sys.excepthook = lambda kind, value, trace: print(
        "hook:", kind.__name__, value, trace.tb_frame.f_code.co_name
    )
    fail(0)


@case
def error_with_a_broken_hook(args):
    def hook(kind, value, trace):
        raise KeyError("in the hook")

    sys.excepthook = hook
    fail(0)


@case
def error_with_a_hook_that_exits(args):
    sys.excepthook = lambda *_: sys.exit(11)
    fail(0)


@case
def error_without_a_hook(args):
    del sys.excepthook
    fail(0)


@case
def interrupted(args):
    atexit.register(print, "still told")
    raise KeyboardInterrupt


@case
def interrupted_by_signal(args):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)


@case
def interrupted_kind_of(args):
    class Mine(KeyboardInterrupt):
        pass

    raise Mine


@case
def warned(args):
    warnings.warn("look out", UserWarning, stacklevel=1)
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    logging.warning("logged")
    logging.getLogger("x").error("logged too", stack_info=False)


def signal_case(name):
    def end(args):
        print("about to go", flush=True)
        os.kill(os.getpid(), getattr(signal, name))
        time.sleep(10)

    end.__name__ = "killed_by_" + name
    case(end)


for _name in (
    "SIGTERM",
    "SIGKILL",
    "SIGSEGV",
    "SIGABRT",
    "SIGHUP",
    "SIGUSR1",
    "SIGALRM",
    "SIGQUIT",
):
    signal_case(_name)


@case
def signals_that_are_ignored(args):
    os.kill(os.getpid(), signal.SIGPIPE)
    os.kill(os.getpid(), signal.SIGCHLD)
    return "still here"


# chance; compared differently


@case
def chance(args):
    numbers = [random.random(), secrets.token_hex(), str(uuid.uuid4()), os.urandom(4).hex()]
    numbers.append(bytes(multiprocessing.current_process().authkey).hex())
    numbers.append(next(tempfile._get_candidate_names()))
    if numpy is not None:
        numbers += [float(numpy.random.random()), float(numpy.random.default_rng().random())]
    return numbers


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--args-json", required=True)
    parser.add_argument("--out-json", required=True)
    options = parser.parse_args()
    with open(options.args_json) as file:
        arguments = json.load(file)
    result = CASES[arguments["case"]](arguments)
    with open(options.out_json, "w") as file:
        json.dump(result, file)
