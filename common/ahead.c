/*
 * Which pages the guest's kernel should make present besides the one that has faulted.
 *
 * Owns: seeing that user code writes to fresh memory page after page, and the suggestion in the PV
 * page (PLEX86_PV_AHEAD). What comes of it is the guest's business: it tells nothing back, and
 * shadow_fill_expected() maps what it finds.
 */
#include "ahead.h"
#include "pv.h"

/* No more than a fault maps at once (map_around()), with the page that faulted. */
#define AHEAD_MAX (SHADOW_REACH - 1)

u32 ahead_suggest(struct vm *vm, u64 la, u32 error)
{
	struct shadow *s = vm_shadow(vm);
	const u32 page = (u32)la >> 12, left = AHEAD_MAX - page % SHADOW_REACH;
	u32 n;

	if (!vm->fast_paths || (error & (PF_PRESENT | PF_WRITE | PF_USER)) != (PF_WRITE | PF_USER))
		return 0;
	/* As with a file that is read: the longer it goes on, the more, so that what is never used
	 * is less than what has been. It ends where the host's own clusters do. */
	s->ahead = page == s->ahead_next ? s->ahead * 2 + 1 : 0;
	if (s->ahead > AHEAD_MAX)
		s->ahead = AHEAD_MAX;
	n = s->ahead < left ? s->ahead : left;
	s->ahead_next = page + 1 + n;
	pv_page(vm)->ahead = n ? (page + 1) << 12 | n : 0;
	return n;
}
