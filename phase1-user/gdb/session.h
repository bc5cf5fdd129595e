/*
 * What is between the guest and its debugger: for this directory alone.
 *
 * Owns: struct gdb, the state of both sides, and when the guest stands still for whom. Everything
 * here is called with the machine's lock held, on the I/O thread or, from jobs and exits, on the
 * run thread. It knows nothing of sockets: bytes come in through `in`, go out through `out`.
 *
 * A packet is answered while the guest stands still, be it because the debugger has stopped it or,
 * should it have sent one while the guest runs, for that moment. Until then it waits, and so does
 * whatever the debugger sends behind it.
 */
#ifndef PLEX86_GDB_SESSION_H
#define PLEX86_GDB_SESSION_H

#include "memory.h"
#include "packet.h"
#include "points.h"
#include "registers.h"
#include "text.h"
#include "../machine.h"
#include "../watch/symbols.h"

#define GDB_IN_MAX  4096u
#define GDB_OUT_MAX (192u << 10)

/* As gdb numbers them, whatever the host. */
enum { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGABRT = 6, GDB_SIGKILL = 9, GDB_SIGSEGV = 11 };

struct gdb {
	struct machine_debugger hook;
	struct machine *machine;
	const struct symbols *symbols; /* NULL: none */
	void (*wake)(struct gdb *g);   /* there is output, or input that waited can be taken */

	/* The guest. */
	struct machine_job job, back;
	bool back_step; /* what `back` is to do */
	const char *
		replay_log; /* where a replay is at an end of what was recorded: "begin"; or NULL */
	bool job_queued;
	bool stopped;	/* it stands still for the debugger */
	bool standing;	/* it stands still for this moment */
	bool want_stop; /* it is about to be stopped, with `signal` as the reason */
	bool forget;	/* the core is to be told that there are no points any more */
	bool crashed;	/* it cannot run on: the run ends when the debugger lets it go */
	u8 signal;	/* of the last stop */
	struct vm_exit exit;

	/* The debugger. */
	bool attached;
	bool awaits_stop; /* it has let the guest run and wants to hear when that stops */
	bool no_ack, swbreak, hwbreak;
	bool hang_up; /* when all output has been sent */
	enum gdb_space space;
	struct gdb_points points;
	struct gdb_cpu cpu;

	/* What is said. */
	struct gdb_reader reader;
	bool packet; /* the reader has one that is not answered */
	u8 in[GDB_IN_MAX];
	size_t in_len, in_done;
	u8 out[GDB_OUT_MAX];
	size_t out_len, out_done, out_last; /* out_last: where the last packet begins */
	struct gdb_text reply;
	char reply_buffer[GDB_PACKET_MAX + 1];
	struct gdb_text text; /* what a monitor command says */
};

bool gdb_session_init(struct gdb *g, const struct symbols *symbols);
void gdb_session_destroy(struct gdb *g);
/* `wait`: the guest, which has not run yet, stands still until a debugger says otherwise. */
void gdb_session_start(struct gdb *g, struct machine *m, bool wait);

/* ---- for the socket ---- */

/* A debugger has come: the guest stops. It has gone, or goes: the guest runs on as if there had
 * never been one. */
void gdb_session_attach(struct gdb *g);
void gdb_session_detach(struct gdb *g);
/* Take what is in `in`, up to the first packet, and answer that. False: nothing was left to take,
 * or it has to wait for the guest or for output to be sent. */
bool gdb_session_step(struct gdb *g);
/* Does a packet wait for the guest to stand? Then `wake` is called when it has stood. */
bool gdb_session_waits(struct gdb *g);
/* The run is over, with this status of plex86's. */
void gdb_session_end(struct gdb *g, int status);

/* ---- for the commands ---- */

/* Answer the packet in g->reader. */
void gdb_command(struct gdb *g);
/* The same of one that begins with `q` or `Q`. */
void gdb_query(struct gdb *g);
/* Run a monitor command; what it says goes to `out`. */
void gdb_monitor(struct gdb *g, const char *line, struct gdb_text *out);

/* Send g->reply. */
void gdb_send(struct gdb *g);
/* Make g->reply an error: a number, or words that gdb shows. */
void gdb_reply_error(struct gdb *g, unsigned number);
void gdb_reply_why(struct gdb *g, const char *why);
/* Make g->reply that of the last stop. */
void gdb_reply_stop(struct gdb *g);
/* What has been written into g->cpu becomes the guest's. False: the engine will not have it. */
bool gdb_put_registers(struct gdb *g);
/* Let the guest go on, or make one step. */
void gdb_resume(struct gdb *g, bool step);
/* Go back in a replay, by one instruction or to the last stop. */
void gdb_reverse(struct gdb *g, bool step);
/* End the run. */
void gdb_kill(struct gdb *g);

#endif
