/*
 * The front-end of the vhost-user protocol: another program, the backend, serves a device's queues.
 *
 * Owns: the messages on the backend's socket. A backend is not trusted: each reply is awaited for a
 * limited time and checked against what was asked, and the first one that is wrong ends the
 * connection for good. It is given guest RAM, which it may damage as the guest may, and nothing
 * else of ours. Knows no kind of device and no thread; call with the device lock held.
 */
#ifndef PLEX86_HAL_VHOST_USER_H
#define PLEX86_HAL_VHOST_USER_H

#include "../error.h"
#include "virtqueue.h"

#define VHOST_USER_TIMEOUT_MS 10000
#define VHOST_USER_CONFIG_MAX 256u /* bytes of configuration space */

/* Protocol features: those we can use. */
#define VHOST_USER_PROTOCOL_F_MQ	(1ull << 0)
#define VHOST_USER_PROTOCOL_F_REPLY_ACK (1ull << 3)
#define VHOST_USER_PROTOCOL_F_REQ	(1ull << 5) /* the backend may ask us things, too */
#define VHOST_USER_PROTOCOL_F_CONFIG	(1ull << 9)

struct vhost_user {
	int fd;		/* the backend's socket; -1: the connection is over */
	int request_fd; /* its channel for requests of its own; -1: none */
	unsigned timeout_ms;
	u64 features;	    /* of its device, and of its rings */
	u64 protocol;	    /* VHOST_USER_PROTOCOL_F_* agreed upon */
	bool config_stale;  /* it says that the configuration space has changed */
	struct error error; /* why the connection is over */
};

/* All of these: false if the connection is, or thereby becomes, over. */

/* Take over the socket `fd` and agree on protocol features. The backend must have `queues`. */
bool vhost_user_open(struct vhost_user *u, int fd, unsigned queues);
/* `size` bytes of guest RAM, from address 0 on, are those of the file `ram_fd`. */
bool vhost_user_set_memory(struct vhost_user *u, int ram_fd, u64 size);
/* The driver has agreed to `features`; others than u->features are left out. */
bool vhost_user_set_features(struct vhost_user *u, u64 features);
/* Serve the queue `q`, from its beginning. `kick_fd` becomes readable when there is work; `call_fd`
 * is an eventfd to interrupt the driver with. */
bool vhost_user_start_ring(struct vhost_user *u, unsigned index, const struct virtqueue *q,
			   int kick_fd, int call_fd);
/* When this returns true, the backend does not touch the ring or its buffers any more. */
bool vhost_user_stop_ring(struct vhost_user *u, unsigned index);
/* The first `size` bytes of the configuration space. Needs VHOST_USER_PROTOCOL_F_CONFIG. */
bool vhost_user_get_config(struct vhost_user *u, void *config, u32 size);

/* Something may have happened on `request_fd`, or on `fd` while nothing was asked. */
bool vhost_user_requests(struct vhost_user *u);
bool vhost_user_idle(struct vhost_user *u);

/* End the connection; u->error stays. */
void vhost_user_close(struct vhost_user *u);

#endif
