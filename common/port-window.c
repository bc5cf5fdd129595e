/*
 * A port's bytes without exits: see port-window.h.
 */
#include "port-window.h"

bool port_window_read(struct port_window *w, u16 port, unsigned size, u32 *value)
{
	const u32 end = __atomic_load_n(&w->end, __ATOMIC_ACQUIRE);

	if (!end || w->port != port || end > PORT_WINDOW_BYTES || w->used > end ||
	    end - w->used <= size)
		return false;
	*value = 0;
	mem_copy(value, w->data + w->used, size);
	w->used += size;
	return true;
}
