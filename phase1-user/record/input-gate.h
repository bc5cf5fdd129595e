/*
 * How much console input a guest gets, and when.
 *
 * Owns: pacing, and holding input back from a Linux guest that is not ready for it. A UART without
 * flow control loses what comes faster than the guest's tty can take it away: bytes that come as
 * fast as the interrupt handler reads them never let the rest of the guest run.
 */
#ifndef PLEX86_INPUT_GATE_H
#define PLEX86_INPUT_GATE_H

#include "../hal/serial.h"
#include "../loop.h"

struct input_gate {
	const struct serial *serial;
	struct loop *loop;
	struct loop_source timer;
	/* Called with the loop's lock held when there may be room again, for no access of the
	 * guest. */
	void (*opened)(void *owner);
	/* Does the guest wait for something? */
	bool (*idle)(void *owner);
	/* How long has it waited for the host's CPU, in ns? */
	u64 (*waited)(void *owner);
	void *owner;
	bool flow;	/* the guest's RTS means what it says */
	bool hold;	/* until the guest's init raises OUT1, or patience ends */
	u64 held_since; /* ns */
	u64 patience;	/* ns */
	u64 hold_until; /* ns: when to look again whether patience has ended */
	bool probing;	/* the driver of hvc0 is just finding its device */
	u64 probed_by;	/* ns */
	u64 passed;	/* when bytes last did, ns */
	u64 filled;	/* when the budget was last filled up, ns */
	u32 budget;	/* bytes that may pass now */
};

bool input_gate_init(struct input_gate *g, struct loop *loop, const struct serial *serial,
		     struct error *e);
void input_gate_destroy(struct input_gate *g);
/* The guest is a Linux whose init knows plex86.pipe (guest/init/cmdline.h). One that does not never
 * says that it is ready: patience ends then. */
void input_gate_hold(struct input_gate *g, unsigned patience_s);

/* The guest's driver of hvc0 has begun. Linux's throws away what comes before its probe function
 * has ended, and that it does not tell: but the guest cannot be idle before. */
void input_gate_probing(struct input_gate *g);

/* Must input for hvc0 wait? */
bool input_gate_holds(struct input_gate *g);
/* Bytes the guest may get by its serial port now. */
size_t input_gate_room(struct input_gate *g);
void input_gate_passed(struct input_gate *g, size_t bytes);

#endif
