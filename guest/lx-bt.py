"""lx-bt: backtraces of tasks that do not run, for gdb on a guest's Linux.

Linux's own gdb scripts list tasks (lx-ps) but do not say where they sleep. A task that was switched
away from has its registers on its stack, and with CONFIG_FRAME_POINTER each function's frame begins
with the address of the frame around it. For i386 kernels; `source guest/lx-bt.py`.
"""

import gdb

LONG = 4
FRAMES = 40
MANY = 100000
STATES = ((0x402, "I"), (0x1, "S"), (0x2, "D"), (0x4, "T"), (0x8, "t"), (0x20, "Z"))  # as ps has them


def read_long(address):
    memory = gdb.selected_inferior().read_memory(address, LONG)
    return int.from_bytes(memory.tobytes(), "little")


def members(head, member):
    """The tasks on a list of the kernel's, which is the guest's and may be damaged."""
    task = gdb.lookup_type("struct task_struct").pointer()
    offset = int(gdb.parse_and_eval("&((struct task_struct *)0)->%s" % member))
    link = head["next"]
    for _ in range(MANY):
        if link == head.address:
            return
        yield gdb.Value(int(link) - offset).cast(task)
        link = link["next"]
    gdb.write("lx-bt: the list of tasks has no end\n", gdb.STDERR)


def tasks():
    """All threads: of the first task, which is on no list, and of all processes."""
    init = gdb.parse_and_eval("&init_task")
    yield init
    for leader in members(init["tasks"], "tasks"):
        yield from members(leader["signal"]["thread_head"], "thread_node")


def running():
    """The task that runs; its name depends on the version."""
    for name in ("current_task", "pcpu_hot.current_task"):
        try:
            return gdb.parse_and_eval(name)
        except gdb.error:
            continue
    return None


def state_of(task):
    names = [field.name for field in task.type.target().fields()]
    state = int(task["__state" if "__state" in names else "state"])
    return next((letter for bits, letter in STATES if state & bits == bits), "R")


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
        try:
            self.show_all(int(gdb.parse_and_eval(words[0])) if words else None)
        except gdb.MemoryError as error:
            raise gdb.GdbError("the kernel's tasks are not there, or damaged: %s" % error)

    def show_all(self, pid):
        current = running()
        if pid is None:
            chosen = [task for task in tasks() if state_of(task) == "D" and task != current]
        else:
            chosen = [task for task in tasks() if int(task["pid"]) == pid]
        if not chosen:
            raise gdb.GdbError("no task is in state D" if pid is None else
                               "no task with number %d" % pid)
        if chosen[0] == current:
            raise gdb.GdbError("task %d runs: backtrace shows where" % pid)
        for task in chosen:
            show(task)


LxBt()
