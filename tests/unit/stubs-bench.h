/*
 * A guest whose tables suit the stubs of the PV page, and its places: for tests of these.
 */
#ifndef PLEX86_STUBS_BENCH_H
#define PLEX86_STUBS_BENCH_H

#include "mock-host.h"

#include "../../common/stubs-layout.h"
#include "../../common/stubs.h"

#define STUB_PAGE_IRET	(PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET)
#define STUB_PAGE_INT80 (PLEX86_PV_PAGE + PLEX86_PV_STUB_INT80)
#define SITE		0x11220
#define STUB_PAGE_TRAP	(PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP)
#define MONITOR		0x600000001230 /* where the gate leads */
#define USER_EIP	0x30010
#define USER_ESP	0x40f00
#define OLD_AX		0x600d600d
#define FRAME		0x20f00 /* where the kernel's frame lies */

/* common/stubs.S */
extern const struct {
	u32 offset, state;
} stubs_states[], stubs_states_end[];

static inline u32 *stub_dword(struct vm *vm, u32 offset)
{
	return (u32 *)((u8 *)pv_page(vm) + offset);
}

static inline bool fast(const struct vm *vm)
{
	return pv_page(vm)->flags & PLEX86_PV_F_FAST;
}

/* A guest whose tables suit the stubs, in its kernel. */
static inline void suit(struct vm *vm)
{
	vm_kernel(vm);
	vm->abi = true;
	vm->fast_paths = true;
	vm->cpu.ldtr = (struct segment){0};
	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_INT32 | D_DPL3);
	seg_sync_ldt(vm);
	seg_sync_tls(vm);
}

static inline void short_idt(struct vm *vm)
{
	vm->cpu.idtr.limit = 0x80 * 8 + 6;
}

/* The kernel's frame for an iret to user code, as the stub finds it. */
static inline void user_frame(struct vm *vm)
{
	const u32 frame[] = {USER_EIP, PLEX86_USER_CS, 0x202, USER_ESP, PLEX86_USER_DS};

	suit(vm);
	stubs_refresh(vm);
	poke(vm, FRAME, frame, sizeof(frame));
	pv_page(vm)->iret_site = SITE;
	vm->cpu.gpr[GPR_AX] = OLD_AX;
	vm->cpu.gpr[GPR_SP] = FRAME;
}

#endif
