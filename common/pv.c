/*
 * The PV page: its contents after reset.
 *
 * Owns: the code stubs. These are the trapping ones: each is a privileged instruction, so that
 * the core does the work at a known address.
 */
#include "pv.h"

void pv_reset(struct vm *vm)
{
	static const u8 trapping_stub[] = {0xf4, 0xeb, 0xfd}; /* 1: hlt; jmp 1b */
	struct pv_page *pv = pv_page(vm);

	mem_set(pv, 0, sizeof(*pv));
	pv->version = PLEX86_ABI_VERSION;
	mem_copy(pv->stub_iret, trapping_stub, sizeof(trapping_stub));
	mem_copy(pv->stub_int80, trapping_stub, sizeof(trapping_stub));
}
