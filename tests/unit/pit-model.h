/*
 * A second model of the 8254, written another way than common/pit.c: it ticks.
 *
 * Owns: one counter, stepped clock by clock, and the ports in front of three of them, from the data
 * sheet. Like common/pit.c it loads counts at once, where the chip waits for its next clock. For
 * clarity, not for speed.
 */
#ifndef PLEX86_PIT_MODEL_H
#define PLEX86_PIT_MODEL_H

#include "../../common/pit.h"

struct pit_model_counter {
	unsigned mode, access;
	bool bcd, gate, armed, counting, out, null;
	u32 cr, ce; /* count register, counting element */
	bool odd;   /* mode 3: of the count in the element */
	bool fired; /* modes 0, 1, 4, 5: the end was reached */
	u16 frozen;
	u64 edges;
	/* The ports' side. */
	bool second_write, second_read, latched, status_latched;
	u8 first, status;
	u16 latch;
};

struct pit_model {
	struct pit_model_counter counter[3];
	u8 port61;
};

/* What a counter's element shows. */
u16 pit_model_count(const struct pit_model_counter *m);
/* `n` in decimal digits, as a count is written with BCD. */
u16 pit_model_digits(u32 n, bool bcd);
void pit_model_step(struct pit_model_counter *m);
/* A control word; the first byte of two of a count; a whole count (not 0); the gate. */
void pit_model_control(struct pit_model_counter *m, unsigned mode, unsigned access, bool bcd);
void pit_model_first_byte(struct pit_model_counter *m);
void pit_model_count_written(struct pit_model_counter *m, u32 count);
void pit_model_gate(struct pit_model_counter *m, bool gate);

/* The whole chip, by its ports. `t` is in PIT clocks since boot, up to which it has been stepped.
 */
void pit_model_reset(struct pit_model *m);
void pit_model_write(struct pit_model *m, u16 port, u8 value);
u8 pit_model_read(struct pit_model *m, u16 port, u64 t);

/* The first nanosecond of PIT clock `t`, in wide arithmetic. */
u64 pit_model_time(u64 t);
/* Fail (cmocka's way) unless common/pit.c's deadline at clock `t`, if it is near, is the clock at
 * which a copy of the model's counter 0, whose edges have been taken, rises. */
void pit_model_check_deadline(const struct pit *p, struct pit_model_counter m, u64 t);

#endif
