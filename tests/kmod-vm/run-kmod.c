/*
 * run-kmod GUEST: run one test guest on /dev/plex86, its serial port on stdout.
 *
 * Owns: the smallest VMM that the test guests need: a serial port, and the exit port 0xf4. Exit status: as tests/guest/run-guest has them (0-99 the guest's, 100 shut down, 102).
 */
#define _GNU_SOURCE
#include "../../common/host.h"
#include "../../common/vm.h"
#include "../../phase1-user/hal/serial.h"
#include "../../phase1-user/loader/loader.h"
#include "../../phase2-kmod/plex86-ioctl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define RAM_SIZE (16u << 20)
#define PORT_EXIT 0xf4
enum { RUN_SHUTDOWN = 100, RUN_FAILED = 102 };

static int fail(const char *what)
{
	fprintf(stderr, "run-kmod: %s: %s\n", what, strerror(errno));
	return RUN_FAILED;
}

/* What a freshly reset vcpu holds, as far as a boot protocol does not say. */
static int load(const char *path, u8 *ram, int fd)
{
	struct blob file;
	struct image image;
	static struct vm vm;
	struct error e;
	struct boot boot = {.ram = ram, .ram_size = RAM_SIZE, .cmdline = ""};
	struct plex86_memory mem = {
		.address = (u64)ram, .ram_size = RAM_SIZE, .layout = PLEX86_LAYOUT};

	if (!blob_read(&file, "guest", path, &e) || !image_identify(&image, &file, &e)) {
		fprintf(stderr, "run-kmod: %s\n", e.text);
		return RUN_FAILED;
	}
	mem.flags = image.abi ? PLEX86_ABI : 0;
	if (ioctl(fd, PLEX86_SET_MEMORY, &mem))
		return fail("PLEX86_SET_MEMORY");
	if (ioctl(fd, PLEX86_GET_STATE, &vm))
		return fail("PLEX86_GET_STATE");
	if (!image_load(&image, &boot, &vm.cpu, &e)) {
		fprintf(stderr, "run-kmod: %s\n", e.text);
		return RUN_FAILED;
	}
	if (ioctl(fd, PLEX86_SET_CPU, &vm.cpu))
		return fail("PLEX86_SET_CPU");
	return 0;
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

	if (exit->io.write && exit->io.port == PORT_EXIT) {
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
	struct plex86_run *shared;
	int fd, ret;
	u8 *ram;

	if (argc != 2) {
		fprintf(stderr, "usage: run-kmod GUEST\n");
		return 2;
	}
	fd = open("/dev/plex86", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail("open /dev/plex86");
	if (ioctl(fd, PLEX86_GET_VERSION) != PLEX86_API_VERSION)
		return fail("PLEX86_GET_VERSION");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ram = mmap(NULL, RAM_SIZE + HOST_EXTRA_BYTES, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || ram == MAP_FAILED)
		return fail("mmap");
	d.fd = fd;
	bus_init(&d.bus);
	serial_init(&d.serial, &serial);
	if (!serial_register(&d.serial, &d.bus, SERIAL_COM1))
		return RUN_FAILED;
	ret = load(argv[1], ram, fd);
	if (!ret)
		ret = run(&d, shared);
	serial_flush(&d.serial);
	fflush(stdout);
	return ret;
}
