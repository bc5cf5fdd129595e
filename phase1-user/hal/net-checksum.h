/*
 * The Internet checksum (RFC 1071).
 *
 * Owns: completing a checksum that the guest left to its card.
 */
#ifndef PLEX86_HAL_NET_CHECKSUM_H
#define PLEX86_HAL_NET_CHECKSUM_H

#include "../../common/types.h"

/* Sum everything from `start` on, the field at start + offset included (it holds the pseudo
 * header's sum), and put the result there. The field must lie within the frame. */
void net_checksum_complete(u8 *frame, size_t len, size_t start, size_t offset);

#endif
