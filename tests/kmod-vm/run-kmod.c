/*
 * run-kmod GUEST: run one test guest on /dev/plex86, its serial port on stdout.
 *
 * Owns: the smallest VMM that the test guests need: a serial port, and the exit port 0xf4. Exit
 * status: as tests/guest/run-guest has them (0-99 the guest's, 100 shut down, 102).
 */
#define _GNU_SOURCE
#include "kmod-guest.h"

#include "../../phase1-user/hal/serial.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { RUN_SHUTDOWN = 100, RUN_FAILED = 102 };

static int fail(const char *what)
{
	fprintf(stderr, "run-kmod: %s: %s\n", what, strerror(errno));
	return RUN_FAILED;
}

struct devices {
	int fd;
	struct bus bus;
	struct serial serial;
};

static void print(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	fwrite(data, 1, n, stdout);
}

static void set_line(void *opaque, bool level)
{
	const struct devices *d = opaque;
	struct plex86_irq irq = {.irq = SERIAL_COM1_IRQ, .level = level};

	if (ioctl(d->fd, PLEX86_SET_IRQ, &irq))
		exit(fail("PLEX86_SET_IRQ"));
}

/* True: the guest has ended, with *status. */
static bool port(struct devices *d, struct vm_exit *exit, int *status)
{
	u64 value = exit->io.value;

	if (exit->io.write && exit->io.port == GUEST_PORT_EXIT) {
		*status = value & 0x7f;
		return true;
	}
	bus_io(&d->bus, exit->io.port, exit->io.size, exit->io.write, &value);
	if (!exit->io.write)
		exit->io.value = value;
	return false;
}

static int run(struct devices *d, struct plex86_run *shared)
{
	int status = RUN_FAILED;

	for (;;) {
		if (ioctl(d->fd, PLEX86_RUN)) {
			if (errno == EINTR)
				continue;
			return fail("PLEX86_RUN");
		}
		switch (shared->exit.kind) {
		case EXIT_IO:
			if (port(d, &shared->exit, &status))
				return status;
			break;
		case EXIT_MMIO:
			shared->exit.mmio.value = ~0ull;
			break;
		case EXIT_SHUTDOWN:
			return RUN_SHUTDOWN;
		case EXIT_KICKED:
			break;
		default:
			fprintf(stderr, "run-kmod: exit %u, reason %u, detail %#llx\n",
				shared->exit.kind, shared->exit.fault.reason,
				(unsigned long long)shared->exit.fault.detail);
			return RUN_FAILED;
		}
	}
}

int main(int argc, char **argv)
{
	static struct devices d;
	const struct serial_config serial = {.out = print, .irq = set_line, .opaque = &d};
	struct kmod_guest guest;
	int ret;

	if (argc != 2) {
		fprintf(stderr, "usage: run-kmod GUEST\n");
		return 2;
	}
	if (kmod_guest_create(&guest, argv[1]))
		return RUN_FAILED;
	d.fd = guest.fd;
	bus_init(&d.bus);
	serial_init(&d.serial, &serial);
	if (!serial_register(&d.serial, &d.bus, SERIAL_COM1))
		return RUN_FAILED;
	ret = run(&d, guest.run);
	serial_flush(&d.serial);
	fflush(stdout);
	kmod_guest_close(&guest);
	return ret;
}
