/*
 * Registers of devices that the core serves itself, so that the guest's access is no exit.
 *
 * Owns: struct device_pages and the protocol of interrupt status words and doorbells. Knows no
 * devices: only that each has a page of registers laid out as virtio over MMIO has it (virtio 1.2,
 * 4.2.2), of which three are served here.
 *
 * Each page lies behind guest RAM, in memory the VMM shares, and is mapped into the guest for
 * reading: the VMM keeps in it what the registers read as. Stores trap. All but those to
 * INTERRUPT_ACK and QUEUE_NOTIFY are exits as ever, and so are these two whenever nothing here
 * applies to them: serving an access here is never more than a short cut.
 *
 * Interrupts. A device's line is high while its status word, in its page, is not zero.
 *   VMM    raise: status |= cause; if it was zero: irq_lines += DEVICE_NEWS, wake the vcpu
 *   core   look (irq_lines has changed): line := status != 0
 *          acknowledge: status &= ~value; line := status != 0
 * Every step on the word is one atomic operation and the core alone moves the line, always to what
 * it reads after its own step. So a cause that is set is either seen by the acknowledgement, which
 * then leaves the line high, or found zero by the VMM, whose news makes the core look afterwards. A
 * cause that is cleared was set before, and what it told of can be seen by the guest then.
 *
 * Doorbells. The VMM promises, by `watched`, to look at `rung` before it sleeps.
 *   core   rung |= bell; if watched: done; else: an exit, as without doorbells
 *   VMM    watched = 0; if rung: serve; else: sleep
 * All sequentially consistent: one of the two sees what the other has written, or both do and a
 * queue is looked at twice, which does no harm.
 */
#ifndef PLEX86_DEVICE_PAGE_H
#define PLEX86_DEVICE_PAGE_H

#include "types.h"

#define DEVICE_PAGES 16 /* as many as interrupt lines */
#define DEVICE_BELLS 4	/* doorbells a device may have, for its queues 0 to 3 */

/* Registers served here; each has 4 bytes. */
#define DEVICE_QUEUE_NOTIFY	0x050
#define DEVICE_INTERRUPT_STATUS 0x060
#define DEVICE_INTERRUPT_ACK	0x064

/* irq_lines counts changes of status words above its 16 lines. */
#define DEVICE_NEWS 0x10000u

struct device_page {
	u64 gpa;  /* where the guest sees it, page-aligned; 0: there is no such device */
	u8 irq;	  /* its line: 0-15, not 2 */
	u8 bells; /* queues whose notification may be a doorbell, as a mask */
};

struct device_pages {
	struct device_page page[DEVICE_PAGES]; /* written by the VMM before the guest runs */
	u64 rung;			       /* bit DEVICE_BELLS * page + queue */
	u32 watched;
};

struct vm;

/* Which device's page is guest-physical `gpa` in? False: none's. */
bool device_page_find(const struct vm *vm, u64 gpa, unsigned *index);
/* A store of the guest's. False: it is for the VMM. */
bool device_page_write(struct vm *vm, u64 gpa, unsigned size, u64 value);
/* The VMM has news: bring the lines in step with the status words. */
void device_page_look(struct vm *vm);

#endif
