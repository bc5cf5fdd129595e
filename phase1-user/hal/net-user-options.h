/*
 * The words of `-n user,...`.
 *
 * Owns: struct net_user_options and turning words into it. Opens nothing.
 */
#ifndef PLEX86_HAL_NET_USER_OPTIONS_H
#define PLEX86_HAL_NET_USER_OPTIONS_H

#include <netinet/in.h>
#include "../../common/types.h"
#include "../error.h"

#define NET_USER_FORWARDS 64

struct net_user_forward {
	bool udp;
	struct in_addr host, guest; /* guest 0.0.0.0: whoever has the first DHCP address */
	u16 host_port, guest_port;
};

struct net_user_options {
	u32 network, mask; /* host byte order */
	/* Long frames are less work for each byte, and TCP ends at our sockets, whatever the host's
	 * MTU. But Slirp's TCP has windows of 64 KiB at most: with frames that long it would stall
	 * after each. */
	u16 mtu;
	struct net_user_forward forward[NET_USER_FORWARDS];
	unsigned forwards;
};

/* word[0] is "user". */
bool net_user_parse(struct net_user_options *o, char **word, unsigned words, struct error *e);

#endif
