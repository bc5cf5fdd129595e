/*
 * The board in a snapshot: see board.h.
 */
#include "board.h"

/* What the route still holds back is output: shown, so that it is in neither. */
void snapshot_put_board(struct machine *m, struct byte_writer *w)
{
	serial_flush(&m->serial);
	serial_save(&m->serial, w);
	bytes_put_u8(w, m->reset.control);
	bytes_put_u8(w, m->reset.port92);
	bytes_put_u16(w, m->pm.enable);
	bytes_put_u16(w, m->pm.control);
	bytes_put_u8(w, m->route.hvc);
}

bool snapshot_get_board(struct machine *m, struct byte_reader *r)
{
	if (!serial_load(&m->serial, r))
		return false;
	m->reset.control = bytes_get_u8(r);
	m->reset.port92 = bytes_get_u8(r);
	m->pm.enable = bytes_get_u16(r);
	m->pm.control = bytes_get_u16(r);
	m->route.hvc = bytes_get_bool(r) && m->hvc;
	m->route.booting = false;
	return bytes_all_read(r);
}
