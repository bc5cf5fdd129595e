/*
 * Ports 0xE9 and 0xF4. Touches nothing but its owner's callbacks.
 */
#include "debugport.h"

#define PORT_OUT   0xe9
#define PORT_EXIT  0xf4
#define EXIT_PORTS 4 /* as `-device isa-debug-exit,iobase=0xf4,iosize=4` */

static u64 out_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return PORT_OUT; /* how guests find out that the port is there */
}

static void out_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct debugport *d = opaque;
	u8 byte = value;

	(void)offset, (void)size;
	d->out(d->opaque, &byte, 1);
}

static u64 exit_read(void *opaque, u64 offset, unsigned size)
{
	(void)opaque, (void)offset, (void)size;
	return 0;
}

static void exit_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct debugport *d = opaque;

	(void)offset, (void)size;
	d->exit(d->opaque, value);
}

static const struct bus_ops out_ops = {out_read, out_write, 1};
static const struct bus_ops exit_ops = {exit_read, exit_write, 4};

bool debugport_register(struct debugport *d, struct bus *b)
{
	return bus_register_io(b, PORT_OUT, 1, &out_ops, d) &&
	       bus_register_io(b, PORT_EXIT, EXIT_PORTS, &exit_ops, d);
}
