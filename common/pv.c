/*
 * The PV page: its contents after reset. The stubs in it are stubs.c's.
 */
#include "pv.h"
#include "stubs.h"

void pv_reset(struct vm *vm)
{
	struct pv_page *pv = pv_page(vm);

	mem_set(pv, 0, sizeof(*pv));
	pv->version = PLEX86_ABI_VERSION;
	stubs_reset(vm);
}
