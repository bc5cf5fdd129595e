"""lx-bt: backtraces of tasks that do not run, for gdb on a guest's Linux.

Linux's own gdb scripts list tasks (lx-ps) but do not say where they sleep. A task that was switched
away from has its registers on its stack, and with CONFIG_FRAME_POINTER each function's frame begins
with the address of the frame around it. For i386 kernels; `source guest/lx-bt.py`.
"""

import gdb

LONG = 4
FRAMES = 40
STATES = ((0x402, "I"), (0x1, "S"), (0x2, "D"), (0x4, "T"), (0x8, "t"), (0x20, "Z"))  # as ps has them


def read_long(address):
    memory = gdb.selected_inferior().read_memory(address, LONG)
    return int.from_bytes(memory.tobytes(), "little")


def tasks():
    """All threads: the list of processes, and of each the list of its threads."""
    init = gdb.parse_and_eval("&init_task")
    offset_tasks = int(gdb.parse_and_eval("&((struct task_struct *)0)->tasks"))
    offset_group = int(gdb.parse_and_eval("&((struct task_struct *)0)->thread_group"))
    pointer = init.type
    leader = init
    for _ in range(100000):  # the lists are the guest's: they may be damaged
        thread = leader
        for _ in range(100000):
            yield thread
            link = int(thread["thread_group"]["next"])
            thread = gdb.Value(link - offset_group).cast(pointer)
            if thread == leader:
                break
        leader = gdb.Value(int(leader["tasks"]["next"]) - offset_tasks).cast(pointer)
        if leader == init:
            return


def state_of(task):
    state = int(task["__state"])
    return next((letter for bit, letter in STATES if state & bit == bit), "R")


def frames_of(task):
    """Return addresses, the innermost first."""
    saved = gdb.lookup_type("struct inactive_task_frame").pointer()
    frame = task["thread"]["sp"].cast(saved)
    yield int(frame["ret_addr"])
    bottom = int(task["stack"])
    top = bottom + int(gdb.parse_and_eval("sizeof(init_thread_union)"))
    at = int(frame["bp"])
    for _ in range(FRAMES):
        if not bottom <= at <= top - 2 * LONG:
            return
        yield read_long(at + LONG)
        outer = read_long(at)
        if outer <= at:
            return
        at = outer


def show(task):
    gdb.write("%s  %d  %s\n" % (task["comm"].string(errors="replace"), int(task["pid"]),
                                state_of(task)))
    for number, address in enumerate(frames_of(task)):
        place = gdb.find_pc_line(address - 1)  # of the call, which is the last of its line
        name = gdb.execute("info symbol %#x" % (address - 1), to_string=True).split(" in ")[0]
        if name.startswith("No symbol"):
            return
        where = " at %s:%d" % (place.symtab.filename, place.line) if place.symtab else ""
        gdb.write("  #%-2d %#x in %s%s\n" % (number, address, name.split(" ")[0], where))


class LxBt(gdb.Command):
    """Show where tasks that do not run were switched away from.

lx-bt PID: the task of that number. lx-bt: all that wait and cannot be woken by a signal (D)."""

    def __init__(self):
        super().__init__("lx-bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) > 1:
            raise gdb.GdbError("usage: lx-bt [PID]")
        pid = int(gdb.parse_and_eval(words[0])) if words else None
        chosen = [task for task in tasks()
                  if (int(task["pid"]) == pid if words else state_of(task) == "D")]
        if not chosen:
            raise gdb.GdbError("no task with number %d" % pid if words else "no task is in state D")
        for task in chosen:
            show(task)


LxBt()
