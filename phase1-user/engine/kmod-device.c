/*
 * /dev/plex86: see kmod-device.h.
 */
#include "kmod-device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *open_remedy(int error)
{
	switch (error) {
	case ENOENT:
	case ENXIO:
		return "is plex86.ko loaded? (see phase2-kmod/README.md; it works without --kmod)";
	case EACCES:
	case EPERM:
		return "ask its owner for access, or do without --kmod";
	default:
		return "do without --kmod";
	}
}

static bool check_version(int fd, char *err, size_t err_size)
{
	const int version = ioctl(fd, PLEX86_GET_VERSION);

	if (version == PLEX86_API_VERSION)
		return true;
	snprintf(err, err_size,
		 "'" KMOD_DEVICE "': the module's interface is version %d, ours %d: load the "
		 "plex86.ko of this build",
		 version, PLEX86_API_VERSION);
	return false;
}

static bool create(int fd, unsigned kind, char *err, size_t err_size)
{
	if (!ioctl(fd, PLEX86_CREATE, (unsigned long)kind))
		return true;
	snprintf(err, err_size, "'" KMOD_DEVICE "': cannot create a machine: %s: %s",
		 strerror(errno), open_remedy(errno));
	return false;
}

int kmod_device_open(unsigned kind, char *err, size_t err_size)
{
	const int fd = open(KMOD_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		snprintf(err, err_size, "'" KMOD_DEVICE "': %s: %s", strerror(errno),
			 open_remedy(errno));
		return -1;
	}
	if (check_version(fd, err, err_size) && create(fd, kind, err, err_size))
		return fd;
	close(fd);
	return -1;
}

static const char *memory_remedy(int error)
{
	switch (error) {
	case ENOMEM:
		return "guest RAM is locked: raise RLIMIT_MEMLOCK (ulimit -l), or use a smaller -m";
	case EINVAL:
		return "is the module that is loaded of this build?";
	default:
		return "do without --kmod";
	}
}

bool kmod_device_set_memory(int fd, struct plex86_memory *memory, char *err, size_t err_size)
{
	memory->layout = PLEX86_LAYOUT;
	if (!ioctl(fd, PLEX86_SET_MEMORY, memory))
		return true;
	snprintf(err, err_size, "'" KMOD_DEVICE "': cannot take %llu MiB of guest RAM: %s: %s",
		 (unsigned long long)memory->ram_size >> 20, strerror(errno), memory_remedy(errno));
	return false;
}
