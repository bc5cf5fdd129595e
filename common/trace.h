/*
 * Event trace and statistics.
 *
 * Owns: the record format, the ring the core writes and others read, and the counters. What a vcpu
 * process counts may be overwritten by its guest: it is good for showing, not for deciding.
 */
#ifndef PLEX86_TRACE_H
#define PLEX86_TRACE_H

#include "exit.h"
#include "types.h"

/* One counter and one kind of trace record each: X(NAME, text, meaning of a, meaning of b). */
#define PLEX86_EVENTS(X)                                \
	X(TRAP, "trap", "vector", "error code")         \
	X(GATE, "gate", "", "")                         \
	X(INJECT, "inject", "vector", "error code")     \
	X(IRQ, "irq", "vector", "")                     \
	X(PF_FILL, "pf-fill", "linear", "gpa")          \
	X(PF_GUEST, "pf-guest", "linear", "error code") \
	X(LIMIT, "limit", "linear", "error code")       \
	X(IO, "io", "port", "value")                    \
	X(MMIO, "mmio", "gpa", "value")                 \
	X(DEVICE, "device", "gpa", "value")             \
	X(CR, "cr", "register", "value")                \
	X(MSR, "msr", "index", "value")                 \
	X(CPUID, "cpuid", "leaf", "subleaf")            \
	X(TSC, "rdtsc", "value", "")                    \
	X(IRET, "iret", "cs", "eip")                    \
	X(SEGMENT, "segment", "register", "selector")   \
	X(TABLE, "table", "register", "base")           \
	X(INVLPG, "invlpg", "linear", "")               \
	X(PV_STORE, "pv-store", "offset", "value")      \
	X(HLT, "hlt", "", "")                           \
	X(SYSCALL, "int80", "eax", "ebx")               \
	X(INT, "int", "vector", "")                     \
	X(EMULATE, "emulate", "op", "")                 \
	X(KICK, "kick", "signal", "")                   \
	X(MAP, "map", "linear", "pages")                \
	X(UNMAP, "unmap", "linear", "pages")            \
	X(PROTECT, "protect", "linear", "pages")        \
	X(RESYNC, "resync", "from", "to")               \
	X(SWITCH, "switch", "to shadow", "cr3")         \
	X(HANDOVER, "hand-over", "", "")                \
	X(TLS, "tls", "slot", "")                       \
	X(EXIT, "exit", "kind", "")                     \
	X(SHUTDOWN, "shutdown", "", "")

#define PLEX86_EVENT_ENUM(name, text, a, b) EV_##name,
enum event { PLEX86_EVENTS(PLEX86_EVENT_ENUM) EV_COUNT };
#undef PLEX86_EVENT_ENUM

/* Of these, what happens to the guest whatever engine runs it, and as often. The others are an
 * engine's way to make it so: shadow page tables, mappings, hand-overs. */
#define EVENT_BIT(name) (1ull << EV_##name)
#define EVENTS_VISIBLE                                                                             \
	(EVENT_BIT(INJECT) | EVENT_BIT(IRQ) | EVENT_BIT(PF_GUEST) | EVENT_BIT(IO) |                \
	 EVENT_BIT(MMIO) | EVENT_BIT(DEVICE) | EVENT_BIT(CR) | EVENT_BIT(MSR) | EVENT_BIT(CPUID) | \
	 EVENT_BIT(TSC) | EVENT_BIT(IRET) | EVENT_BIT(TABLE) | EVENT_BIT(INVLPG) |                 \
	 EVENT_BIT(PV_STORE) | EVENT_BIT(HLT) | EVENT_BIT(SYSCALL) | EVENT_BIT(INT) |              \
	 EVENT_BIT(SHUTDOWN))

static inline bool event_is_visible(u32 event)
{
	return event < EV_COUNT && EVENTS_VISIBLE >> event & 1;
}

struct trace_record {
	u64 time; /* clock_tsc(): reading it costs no system call */
	u64 rip;
	u64 a, b;
	u16 event; /* enum event */
	u8 cpl;
	u32 digest; /* of the general registers and flags; 0 but in a deterministic run */
};

#define TRACE_RING 4096 /* records, a power of two */

struct trace_ring {
	u64 head;  /* records ever written; the writer's */
	u64 tail;  /* records consumed; the reader's, used only when `keep` is set */
	bool keep; /* a reader wants every record: stop for it before overwriting */
	struct trace_record record[TRACE_RING];
};

/* Times are in TSC cycles. The cause of a trap is the first event recorded for it, with EV_TRAP,
 * EV_GATE and EV_EMULATE giving way to any that says more: a new event needs no more than its line
 * above to be a cause as well. A trap's time is what passes in the monitor, exits included and
 * idling not; the host's own share of it cannot be seen here. */
struct vm_stats {
	u64 count[EV_COUNT];
	u64 traps[EV_COUNT], trap_time[EV_COUNT];	  /* by cause */
	u64 handovers[EV_COUNT], handover_time[EV_COUNT]; /* to the emulator, by the trap's cause */
	u64 exits[EXIT_COUNT],
		exit_time[EXIT_COUNT]; /* by kind: until the VMM gave the turn back */
	u64 idle_time;
	u64 idle_since; /* of a wait that goes on; 0: there is none */
	struct vm_stats_trap {
		u64 begun;
		u32 cause; /* enum event */
	} trap;		   /* being dealt with */
};

/* Text of an event's name and of its two arguments. */
struct event_text {
	const char *name, *a, *b;
};
const struct event_text *event_text(enum event event);

struct vm;
/* Count `event` and record it with its two arguments. */
void trace(struct vm *vm, enum event event, u64 a, u64 b);
/* Must the reader have its chance before the guest runs on? */
bool trace_is_full(const struct vm *vm);

/* Around everything that is done for one trap. */
void stats_trap_begins(struct vm *vm);
void stats_trap_ends(struct vm *vm);
/* Within it: an exit of this kind, which began at host_tsc() `since`, is over. */
void stats_exit_ends(struct vm *vm, u32 kind, u64 since);
/* Within it: the guest has been in the emulator since host_tsc() `since`, which is not the trap's
 * time; `trap` is as it was then. */
void stats_handover_ends(struct vm *vm, const struct vm_stats_trap *trap, u64 since);
/* Within it, around an idle wait. */
void stats_idle_begins(struct vm *vm);
void stats_idle_ends(struct vm *vm);

#endif
