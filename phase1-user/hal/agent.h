/*
 * The guest's ear: a virtio-console with one port that is no console (virtio 1.2, section 5.3.6.2),
 * over which the guest is asked to power off.
 *
 * Owns: the port's four queues. What is said is one request of the QEMU guest agent's protocol, on
 * the port of its name, so that not only the guests of plex86's own images understand. All
 * functions are called with the device lock held.
 */
#ifndef PLEX86_HAL_AGENT_H
#define PLEX86_HAL_AGENT_H

#include "device.h"

/* Ask now, or as soon as somebody listens. */
void agent_power_off(struct hal_device *d);
/* Call `opened` when a program in the guest opens the port. */
void agent_connect(struct hal_device *d, void (*opened)(void *opaque), void *opaque);
/* Has a program in the guest opened the port? */
bool agent_listens(const struct hal_device *d);

#endif
