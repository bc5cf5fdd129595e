/*
 * Reset ports. Touches nothing but its owner's callback.
 */
#include "reset.h"

/* The reset control register shares its address with the PCI configuration ports, which are
 * accessed as words of 4 bytes. They must be claimed whole: split into bytes, a guest that probes
 * for PCI and restores the all-ones it read would reset itself. */
#define PORT_PCI       0xcf8
#define PCI_PORTS      8
#define CONTROL_OFFSET 1
#define CONTROL_RESET  0x04
#define CONTROL_BITS   0x0e

#define PORT_KEYBOARD 0x64
/* No keyboard controller: as a floating bus, except that its input buffer is empty, because
 * reboot code waits for that before it sends the reset command. */
#define KEYBOARD_STATUS 0xfd
#define PULSE_MASK	0xf1 /* pulse output lines low: those with a 0 bit; line 0 is reset */
#define PULSE_RESET	0xf0

#define PORT_92	    0x92
#define FAST_RESET  0x01
#define A20_ENABLED 0x02

static u64 pci_read(void *opaque, u64 offset, unsigned size)
{
	struct reset *r = opaque;

	if (size == 1 && offset == CONTROL_OFFSET)
		return r->control;
	return ~(u64)0;
}

static void pci_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct reset *r = opaque;

	if (size != 1 || offset != CONTROL_OFFSET)
		return;
	r->control = value & CONTROL_BITS;
	if (value & CONTROL_RESET)
		r->reset(r->opaque);
}

static u64 keyboard_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return KEYBOARD_STATUS;
}

static void keyboard_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct reset *r = opaque;

	(void)offset, (void)size;
	if ((value & PULSE_MASK) == PULSE_RESET)
		r->reset(r->opaque);
}

static u64 port92_read(void *opaque, u64 offset, unsigned size)
{
	struct reset *r = opaque;

	(void)offset, (void)size;
	return r->port92 | A20_ENABLED;
}

static void port92_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct reset *r = opaque;
	bool rises = value & ~r->port92 & FAST_RESET;

	(void)offset, (void)size;
	r->port92 = value; /* A20 stays enabled: see port92_read() */
	if (rises)
		r->reset(r->opaque);
}

static const struct bus_ops pci_ops = {pci_read, pci_write, 4};
static const struct bus_ops keyboard_ops = {keyboard_read, keyboard_write, 1};
static const struct bus_ops port92_ops = {port92_read, port92_write, 1};

bool reset_register(struct reset *r, struct bus *b)
{
	r->control = r->port92 = 0;
	return bus_register_io(b, PORT_PCI, PCI_PORTS, &pci_ops, r) &&
	       (r->has_keyboard || bus_register_io(b, PORT_KEYBOARD, 1, &keyboard_ops, r)) &&
	       bus_register_io(b, PORT_92, 1, &port92_ops, r);
}
