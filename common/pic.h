/*
 * The pair of 8259A interrupt controllers (Intel 8259A data sheet; ELCR as in the PIIX).
 *
 * Owns: ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 and the 16 request lines.
 */
#ifndef PLEX86_PIC_H
#define PLEX86_PIC_H

#include "types.h"

struct pic {
	u8 irr, imr, isr, line; /* line: present level of each input */
	u8 elcr;		/* 1: level-triggered */
	u8 vector_base;
	u8 init_step;  /* 0: operating; 2..4: the ICW expected next */
	bool init4;    /* ICW4 will follow */
	bool single;   /* ICW1: no cascade, no ICW3 */
	bool read_isr; /* OCW3: reads of the command port give ISR */
	bool poll;     /* OCW3: the next read is a poll */
	bool special_mask, special_fully_nested, auto_eoi, rotate_on_auto_eoi;
	u8 lowest_priority; /* the input with the lowest priority, 7 after reset */
};

struct pic_pair {
	struct pic chip[2]; /* master, slave (on input 2) */
};

void pic_reset(struct pic_pair *p);
/* Drive input `irq` (0-15, not 2) to `level`. */
void pic_set_line(struct pic_pair *p, unsigned irq, bool level);
/* INTR: is there something to acknowledge? */
bool pic_pending(const struct pic_pair *p);
/* INTA: the vector to deliver; 7 or 15 of the chip if the request has gone (spurious). */
u8 pic_ack(struct pic_pair *p);
/* Is it a state that this controller can be in? */
bool pic_valid(const struct pic_pair *p);
u8 pic_read(struct pic_pair *p, u16 port);
void pic_write(struct pic_pair *p, u16 port, u8 value);
static inline bool pic_owns(u16 port)
{
	return (port & ~0x81) == 0x20 || (port & ~1) == 0x4d0;
}

#endif
