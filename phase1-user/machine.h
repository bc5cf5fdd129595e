/*
 * The machine: an engine with its devices, run until the guest or the user ends it.
 *
 * Owns: the board (which device is where, on which interrupt line), the handling of exits,
 * and the verdict how it ended.
 */
#ifndef PLEX86_MACHINE_H
#define PLEX86_MACHINE_H

#include "console/console.h"
#include "console/console-route.h"
#include "engine/engine.h"
#include "control/events.h"
#include "watch/goal.h"
#include "hal/acpi-pm.h"
#include "hal/bus.h"
#include "hal/device.h"
#include "hal/debugport.h"
#include "hal/reset.h"
#include "hal/serial.h"
#include "record/input-gate.h"
#include "loop.h"
#include "record/recorder.h"
#include "watch/stats.h"
#include "watch/trace-file.h"
#include "engine/tsc.h"

/* How a run ended. */
enum machine_end {
	END_NONE,
	END_HALTED, /* powered off: by ACPI, or a hlt that nothing can wake */
	END_VALUE,  /* a write of `value` to port 0xF4 */
	END_RESET,
	END_CRASH,  /* triple fault or EXIT_FAULT: `exit` says which */
	END_GONE,   /* the engine died: `exit` says how */
	END_QUIT,   /* Ctrl-A x */
	END_LATE,   /* its time is over */
	END_MET,    /* it has said what was waited for */
	END_SIGNAL, /* `value` is its number */
	END_EVENTS, /* --stop-after: `exit` is EXIT_DEBUG */
	END_PARTED, /* a replay: recorder_difference() says why */
	END_RECORD, /* what is recorded cannot be written: `value` is errno */
	END_OUTPUT, /* standard output cannot be written: `value` is errno */
	END_HUNG,   /* no progress (hang.h) */
	END_TRACE,  /* the trace file cannot be written: `value` is errno */
};

/* Who wants the guest to stand still: it runs when nobody does. */
enum { PAUSE_CONTROL = 1, PAUSE_DEBUGGER = 2 };

/* Something to do when the guest stands still between two instructions; part of what it is for. */
struct machine_job {
	void (*run)(struct machine_job *job); /* on the run thread, with the lock held */
	struct machine_job *next;
};

/* Who wants to see an EXIT_DEBUG, but for --stop-after's, and a crash before the run ends; part of
 * what it is for. */
struct machine_debugger {
	/* On the run thread, with the lock held. True: the guest stands still for it now, as by
	 * machine_pause(), before anything comes of the exit. */
	bool (*exited)(struct machine_debugger *debugger, const struct vm_exit *exit);
};
struct pc;
struct snapshot_config;
struct travel;

struct machine {
	struct engine *engine;
	struct loop *loop;
	struct console *console;
	struct trace_file *trace;  /* NULL: none */
	struct recorder *recorder; /* NULL: none */
	struct travel *travel;	   /* of a replay under a debugger; NULL: none */
	int output_error;	   /* the console's output could not be written: why, or 0 */
	bool travelled;		 /* since it last stood at its end, it has been brought elsewhere */
	enum machine_end ending; /* what the guest has asked for by a port, and */
	u32 ending_value;
	bool muted; /* what the guest says has been said */
	struct bus bus;
	struct serial serial;
	struct debugport debugport;
	struct reset reset;
	struct acpi_pm pm;
	struct input_gate input;
	struct goal goal;
	struct hal *hal;
	struct hal_device *hvc;	  /* NULL: none */
	struct hal_device *agent; /* NULL: none */
	struct pc *pc;		  /* --machine pc; NULL: none */
	struct console_route route;
	struct events events;
	struct loop_source signals;
	struct tsc_sample started;
	bool stats_wanted;
	bool booted;	      /* somebody in the guest has opened the agent's port */
	bool deterministic;   /* its time is its own: nothing the user types reaches the guest */
	bool debugged;	      /* tests: by nobody who wants to see a stop */
	unsigned paused;      /* PAUSE_* */
	bool still;	      /* the run thread waits: it is paused */
	pthread_cond_t moved; /* `paused`, `jobs` or `end` has changed */
	struct machine_job *jobs;
	struct machine_debugger *debugger;   /* NULL: none */
	const struct snapshot_config *about; /* what a snapshot says of it; NULL: there are none */
	const char *unsaved;		     /* then: why */
	const char *snapshot_to;	     /* where SIGUSR2 puts one; NULL: it ends the run */
	bool save_end;			     /* of a run: one may be taken then */
	bool snapshot_wanted;
	struct machine_job snapshot_job;
	enum machine_end end;
	u32 value;
	struct vm_exit exit; /* END_CRASH, END_GONE */
};

/* Build the board around an engine with `ram_size` bytes of RAM, the devices of `hal` on it and, if
 * it is wanted, those of `pc`. machine_run() needs m->console and m->started as well. */
bool machine_init(struct machine *m, struct engine *engine, u64 ram_size, bool deterministic,
		  struct hal *hal, struct pc *pc, struct loop *loop, struct error *e);
/* Have the run end after `timeout_ns` (0: never), and when a line of the guest's console has the
 * regular expression `expect` in it (NULL: never). */
bool machine_set_goal(struct machine *m, u64 timeout_ns, const char *expect, struct error *e);
void machine_destroy(struct machine *m);
/* Block, in this thread and those it will start, the signals machine_init() takes. */
void machine_block_signals(void);

/* Run until m->end is set. */
void machine_run(struct machine *m);
/* Then, if it was recorded or replayed: write or compare the end. May change m->end. */
void machine_end_recording(struct machine *m);
/* Deal with an exit for a device. False: it is of another kind. On the run thread, with the lock
 * held. */
bool machine_answer(struct machine *m, const struct vm_exit *exit);
/* One word. */
const char *machine_end_text(enum machine_end end);

/* What was counted since m->started. Any thread. */
void machine_stats(const struct machine *m, struct stats *s);

/* For others than the run thread, with the loop's lock held. Ask the guest to power off, now or
 * when it begins to listen; does it listen; end the run as SIGTERM does. */
void machine_power_off(struct machine *m);
bool machine_agent_listens(const struct machine *m);
void machine_stop(struct machine *m);
/* End the run with END_HUNG. */
void machine_hung(struct machine *m);

/* Stop the guest, or let it go on; `who` is one of PAUSE_*. With the lock held; any thread. It
 * stands still as soon as m->still is true, or when a job runs. */
void machine_pause(struct machine *m, unsigned who);
void machine_continue(struct machine *m, unsigned who);
/* Have `job` run soon, paused or not: then the guest stands between two instructions with no exit
 * unanswered, so that its state can be read and written. With the lock held; any thread. A run that
 * ends first never runs it. */
void machine_do(struct machine *m, struct machine_job *job);

/* ---- for machine.c and machine-run.c, with the lock held ---- */

/* The run is over. The first reason counts. */
void machine_end_run(struct machine *m, enum machine_end end, u32 value);
/* The terminal may be of another size: tell the guest. */
void machine_update_size(struct machine *m);

/* The console's view of the machine: see struct console_config. `owner` is the machine. */
size_t machine_input_room(void *owner);
size_t machine_input(void *owner, const u8 *data, size_t len);
void machine_console_event(void *owner, enum console_event event, int error);

#endif
