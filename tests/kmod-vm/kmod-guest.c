/*
 * See kmod-guest.h.
 */
#define _GNU_SOURCE
#include "kmod-guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../phase1-user/loader/loader.h"

int kmod_guest_open(struct kmod_guest *g)
{
	*g = (struct kmod_guest){.memory = -1, .ram = MAP_FAILED, .run = MAP_FAILED};
	g->fd = open("/dev/plex86", O_RDWR | O_CLOEXEC);
	if (g->fd < 0)
		return -1;
	if (ioctl(g->fd, PLEX86_GET_VERSION) != PLEX86_API_VERSION) {
		errno = EPROTO;
		return -1;
	}
	if (ioctl(g->fd, PLEX86_CREATE, PLEX86_WHOLE))
		return -1;
	g->run = mmap(NULL, sizeof(*g->run), PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
	return g->run == MAP_FAILED ? -1 : 0;
}

int kmod_guest_memory(struct kmod_guest *g)
{
	struct plex86_memory mem = {
		.ram_size = GUEST_RAM, .flags = PLEX86_ABI, .layout = PLEX86_LAYOUT};

	g->memory = memfd_create("guest", MFD_CLOEXEC);
	if (g->memory < 0 || ftruncate(g->memory, GUEST_RAM_BYTES))
		return -1;
	g->ram = mmap(NULL, GUEST_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->memory, 0);
	if (g->ram == MAP_FAILED)
		return -1;
	mem.address = (u64)g->ram;
	return ioctl(g->fd, PLEX86_SET_MEMORY, &mem);
}

int kmod_guest_get_cpu(struct kmod_guest *g, struct vcpu *cpu)
{
	struct vm *vm = malloc(sizeof(*vm));
	int ret = vm ? ioctl(g->fd, PLEX86_GET_STATE, vm) : -1;

	if (!ret)
		*cpu = vm->cpu;
	free(vm);
	return ret;
}

int kmod_guest_load(struct kmod_guest *g, const char *path)
{
	struct boot boot = {.ram = g->ram, .ram_size = GUEST_RAM, .cmdline = ""};
	struct blob file;
	struct image image;
	struct vcpu cpu;
	struct error e;
	bool loaded;

	if (!blob_read(&file, "guest", path, &e)) {
		errno = ENOENT;
		return -1;
	}
	loaded = image_identify(&image, &file, &e) && !kmod_guest_get_cpu(g, &cpu) &&
		 image_load(&image, &boot, &cpu, &e);
	blob_free(&file);
	if (!loaded) {
		errno = EINVAL;
		return -1;
	}
	return ioctl(g->fd, PLEX86_SET_CPU, &cpu);
}

static int failed(struct kmod_guest *g, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	kmod_guest_close(g);
	return -1;
}

int kmod_guest_create(struct kmod_guest *g, const char *path)
{
	if (kmod_guest_open(g))
		return failed(g, "/dev/plex86");
	if (kmod_guest_memory(g))
		return failed(g, "PLEX86_SET_MEMORY");
	if (kmod_guest_load(g, path))
		return failed(g, path);
	return 0;
}

void kmod_guest_close(struct kmod_guest *g)
{
	if (g->run != MAP_FAILED)
		munmap(g->run, sizeof(*g->run));
	if (g->ram != MAP_FAILED)
		munmap(g->ram, GUEST_RAM_BYTES);
	if (g->memory >= 0)
		close(g->memory);
	if (g->fd >= 0)
		close(g->fd);
}
