/*
 * What is on the board beside virtio devices, in a snapshot: the serial port, the reset ports, and
 * which console the user sees.
 */
#ifndef PLEX86_SNAPSHOT_BOARD_H
#define PLEX86_SNAPSHOT_BOARD_H

#include "../machine.h"

void snapshot_put_board(struct machine *m, struct byte_writer *w);
/* False: impossible. */
bool snapshot_get_board(struct machine *m, struct byte_reader *r);

#endif
