/*
 * The keyboard controller (8042 of the PC/AT) with a PS/2 keyboard at it; no mouse.
 *
 * Owns: ports 0x60 and 0x64, the keyboard's state, and the bytes it has sent that the guest has not
 * read. What keys make which bytes is keyboard.h's. Nothing here locks: the caller's lock covers
 * every call; the callbacks run under it.
 */
#ifndef PLEX86_HAL_I8042_H
#define PLEX86_HAL_I8042_H

#include "bus.h"

#define I8042_IRQ   1
#define I8042_QUEUE 32

struct i8042_config {
	void (*irq)(void *opaque, bool level); /* called when the level changes */
	void (*reset)(void *opaque);	       /* the guest pulses the reset line */
	void *opaque;
};

struct i8042 {
	struct i8042_config cfg;
	u8 config;   /* the controller's configuration byte */
	u8 output;   /* of its output port, less what follows from the rest */
	u8 command;  /* the one whose data byte comes next to 0x60; 0: it is for the keyboard */
	bool system; /* the last write was a command */
	u8 ram[31];  /* behind the configuration byte; kept for those who look */
	bool irq_level;

	u8 keyboard_command; /* the same of the keyboard */
	bool scanning;	     /* keys are reported */
	u8 set;		     /* scan code set: 1, 2 or 3 */
	u8 leds;
	/* What waits to be read: bit 8 for what is the controller's, not the keyboard's. */
	u16 queue[I8042_QUEUE];
	u8 head, count;
	u8 last; /* read of port 0x60 */
};

void i8042_init(struct i8042 *k, const struct i8042_config *cfg);
bool i8042_register(struct i8042 *k, struct bus *b);

/* Would the guest have keys at this moment? False while it has not taken those before. */
bool i8042_ready(const struct i8042 *k);
/* A key as in scan code set 1, without its 0xe0 but `extended`. Only if it is ready. */
void i8042_key(struct i8042 *k, u8 code, bool extended, bool pressed);

#endif
