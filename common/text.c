/*
 * The names of events, exits and faults, for whoever prints them. Needs no host.
 */
#include "exit.h"
#include "trace.h"

const struct event_text *event_text(enum event event)
{
#define PLEX86_EVENT_TEXT(id, text, arg_a, arg_b) [EV_##id] = {text, arg_a, arg_b},
	static const struct event_text texts[] = {PLEX86_EVENTS(PLEX86_EVENT_TEXT)};
	static const struct event_text unknown = {"?", "", ""};

	return (unsigned)event < EV_COUNT ? &texts[event] : &unknown;
}

const char *vm_fault_text(enum vm_fault reason)
{
	static const char *const texts[FAULT_COUNT] = {
		[FAULT_NONE] = "no fault",
		[FAULT_INSN] = "an instruction that plex86 does not emulate here",
		[FAULT_FETCH] = "the instruction to emulate cannot be read",
		[FAULT_MODE] =
			"16-bit, virtual-8086 or long mode, which only an emulator could run",
		[FAULT_TASK] = "a hardware task switch, which is not supported",
		[FAULT_PAGING] = "a paging mode that is not supported",
		[FAULT_HOST_MAP] = "the host refused to map guest memory",
		[FAULT_HOST_SEGMENT] = "the host refused a segment descriptor",
		[FAULT_LOOP] = "the same page fault again and again without progress",
		[FAULT_ESCAPE] = "guest code left 32-bit mode or made a host system call",
		[FAULT_MONITOR] = "a trap inside the monitor itself: a bug in plex86",
		[FAULT_GONE] = "the process that ran the guest ended",
		[FAULT_HOST] = "the host would not run the guest, with error",
	};

	return (unsigned)reason < FAULT_COUNT ? texts[reason] : "an unknown fault";
}

const char *vm_exit_text(enum exit_kind kind)
{
	static const char *const texts[EXIT_COUNT] = {
		[EXIT_NONE] = "none",	[EXIT_IO] = "io",	  [EXIT_MMIO] = "mmio",
		[EXIT_IDLE] = "idle",	[EXIT_HALTED] = "halted", [EXIT_SHUTDOWN] = "shutdown",
		[EXIT_DEBUG] = "debug", [EXIT_KICKED] = "kicked", [EXIT_BELL] = "bell",
		[EXIT_FAULT] = "fault",
	};

	return (unsigned)kind < EXIT_COUNT ? texts[kind] : "?";
}
