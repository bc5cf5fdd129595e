/*
 * A 16550A serial port (PC16550D data sheet), with a terminal that is always connected.
 *
 * Owns: one UART's registers, its receive FIFO and a small buffer of output. Bytes are sent at
 * once: the transmitter is always empty again. Nothing here locks: the caller's lock must cover
 * serial_input(), serial_flush() and every bus access; the callbacks run under it.
 */
#ifndef PLEX86_HAL_SERIAL_H
#define PLEX86_HAL_SERIAL_H

#include "../bytes.h"
#include "bus.h"

#define SERIAL_COM1	0x3f8
#define SERIAL_COM1_IRQ 4
#define SERIAL_FIFO	16

struct serial_config {
	void (*out)(void *opaque, const u8 *data, size_t n);
	void (*irq)(void *opaque, bool level); /* called when the level changes */
	void *opaque;
};

struct serial {
	struct serial_config cfg;
	u8 ier, lcr, mcr, msr, scr, dll, dlm;
	u8 lsr_errors;	 /* overrun and its like, until LSR is read */
	bool fifo;	 /* FIFO mode */
	u8 trigger;	 /* bytes that make the receive interrupt */
	bool thre_event; /* the transmitter has become empty since IIR said so */
	bool irq_level;
	bool found_empty; /* the guest has seen, in LSR or IIR, that all input is taken */
	u8 lsr_polls;	  /* reads of LSR with nothing else between them */
	u8 rx[SERIAL_FIFO];
	u8 rx_head, rx_count;
	u8 out[256];
	size_t out_used;
};

/* Both callbacks must be set. */
void serial_init(struct serial *s, const struct serial_config *cfg);
bool serial_register(struct serial *s, struct bus *b, u16 base);

/* How many bytes the guest would take now: 0 while it does not listen, so that what is typed before
 * its driver is up is not lost. Changes only by the guest's accesses to the port. */
size_t serial_room(const struct serial *s);
/* Bytes arriving from the terminal. Returns how many of them were taken, from the first. */
size_t serial_input(struct serial *s, const u8 *data, size_t n);
/* Hand buffered output to out(): call it when the guest idles and when it ends. Full buffers and
 * newlines flush by themselves. */
void serial_flush(struct serial *s);

/* For snapshots, output flushed; its line is driven as it was by others. False: impossible. */
void serial_save(const struct serial *s, struct byte_writer *w);
bool serial_load(struct serial *s, struct byte_reader *r);

#endif
