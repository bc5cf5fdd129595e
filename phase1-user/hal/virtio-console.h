/*
 * virtio-console (virtio 1.2, section 5.3): one port, the guest's hvc0.
 *
 * Owns: the two queues of the port and its size. Where output goes and input comes from is the
 * owner's business, who gives itself with virtio_console_connect(). All functions are called with
 * the device lock held, and so are the callbacks.
 */
#ifndef PLEX86_HAL_VIRTIO_CONSOLE_H
#define PLEX86_HAL_VIRTIO_CONSOLE_H

#include "device.h"

struct virtio_console_config {
	/* Output; the bytes are guest memory. May release the lock while it waits. */
	void (*out)(void *opaque, const u8 *data, size_t n);
	/* The guest has given room for input. */
	void (*drained)(void *opaque);
	/* The driver has begun (up), or has reset the device. */
	void (*changed)(void *opaque, bool up);
	void *opaque;
};

/* Before the guest runs. */
void virtio_console_connect(struct hal_device *d, const struct virtio_console_config *config);

/* Has the guest a buffer for input? */
bool virtio_console_room(const struct hal_device *d);
/* Returns how many were taken, from the first. */
size_t virtio_console_input(struct hal_device *d, const u8 *data, size_t n);
/* 0 by 0: not known. */
void virtio_console_resize(struct hal_device *d, unsigned columns, unsigned rows);

#endif
