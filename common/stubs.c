/*
 * The PV page's code stubs: see stubs.h; the instructions are in stubs.S.
 */
#include "stubs.h"
#include "mem.h"
#include "pv.h"
#include "segment.h"
#include "stubs-layout.h"

#define HIDDEN __attribute__((visibility("hidden")))

/* stubs.S */
extern HIDDEN const u8 stubs_template[], stubs_template_end[], stubs_trap[];
extern HIDDEN const u8 stubs_tls_0[], stubs_tls_4[], stubs_tls_8[], stubs_tls_12[], stubs_tls_16[],
	stubs_tls_20[], stubs_kernel_cs[], stubs_esp0[], stubs_slow[], stubs_to_user[],
	stubs_to_kernel[];
struct stub_state {
	u32 offset, state;
};
extern HIDDEN const struct stub_state stubs_states[], stubs_states_end[];

#define STUBS_BASE   (PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET)
#define GATE_INT32   14
#define SYSCALL_GATE 0x80
#define TLS_BYTES    24
#define OPCODE_HLT   0xf4

static u32 *stub_word(const struct vm *vm, u32 offset)
{
	return (u32 *)((u8 *)pv_page(vm) + offset);
}

static u8 *stub_code(const struct vm *vm)
{
	return (u8 *)pv_page(vm) + PLEX86_PV_STUB_IRET;
}

/* The gate depends on nothing of the guest's; its twin returns to the instruction, which traps. */
static void install_trap(struct vm *vm)
{
	static const u8 ret = 0xc3;
	u8 *code = pv_page(vm)->stub_trap;

	if (!vm->abi || !vm->fast_paths || !vm->gate) {
		*code = ret;
		return;
	}
	mem_copy(code, stubs_trap, stubs_template_end - stubs_trap);
	mem_copy(stub_word(vm, STUB_GATE), &vm->gate, sizeof(vm->gate));
}

void stubs_reset(struct vm *vm)
{
	static const u8 trap[] = {OPCODE_HLT, 0xeb, 0xfd}; /* 1: hlt; jmp 1b */
	struct pv_page *pv = pv_page(vm);

	mem_copy(pv->stub_iret, trap, sizeof(trap));
	mem_copy(pv->stub_int80, trap, sizeof(trap));
	pv->flags &= ~PLEX86_PV_F_FAST;
	vm->stubs.enabled = false;
	install_trap(vm);
}

/* ------------------------------------------------------ putting them in ---- */

static bool is_flat_kernel(const struct segment *seg)
{
	return (seg->attr & SEG_P) && seg_dpl(seg) == 0 && !seg->base && seg->limit == 0xffffffffu;
}

/* The system call gate, if it is one the stub can stand for. */
static bool read_gate(struct vm *vm, struct stubs *s)
{
	u64 raw, desc;
	u16 selector;

	if (SYSCALL_GATE * 8 + 7 > vm->cpu.idtr.limit ||
	    !mem_read(vm, (u32)(vm->cpu.idtr.base + SYSCALL_GATE * 8), &raw, 8, false))
		return false;
	selector = raw >> 16;
	/* Present, DPL 3, a 32-bit interrupt gate. */
	if ((raw >> 40 & 0xff) != (0x80 | 0x60 | GATE_INT32) || (selector & 3) ||
	    !seg_descriptor(vm, selector, &desc))
		return false;
	seg_unpack(desc, selector, &s->kernel_cs);
	s->handler = (raw & 0xffff) | (raw >> 32 & 0xffff0000u);
	return seg_is_code(&s->kernel_cs) && !seg_is_conforming(&s->kernel_cs) &&
	       is_flat_kernel(&s->kernel_cs);
}

static bool read_stack(struct vm *vm, struct stubs *s)
{
	const struct segment *tr = &vm->cpu.tr;
	const u32 esp0 = 4, ss0 = 8, esp1 = 12, ss1 = 16;
	u16 selector, inner;
	u64 desc;

	if (seg_is_null(tr->selector) || seg_is_tss16(tr) || tr->limit < ss1 + 3 ||
	    !mem_read(vm, (u32)(tr->base + ss0), &selector, 2, false) || (selector & 3) ||
	    !seg_descriptor(vm, selector, &desc))
		return false;
	seg_unpack(desc, selector, &s->kernel_ss);
	/* Linux keeps the task's own stack in ESP1, whose SS1 no ring 1 could use; ESP0 is that of
	 * a trampoline, from which its entry code would only go on to the task's. */
	if (!mem_read(vm, (u32)(tr->base + ss1), &inner, 2, false))
		return false;
	s->esp0 = (u32)(tr->base + (inner == s->kernel_cs.selector ? esp1 : esp0));
	return seg_is_writable_data(&s->kernel_ss) && is_flat_kernel(&s->kernel_ss);
}

static bool read_tls(struct vm *vm, struct stubs *s)
{
	const u32 offset = HOST_TLS_ENTRY * 8;
	u8 tls[TLS_BYTES];

	if (vm->cpu.gdtr.limit < offset + TLS_BYTES - 1)
		return false;
	s->tls = (u32)(vm->cpu.gdtr.base + offset);
	/* The stub reads them there; their copy to compare with is seg_sync_tls()'s. */
	return mem_read(vm, s->tls, tls, sizeof(tls), false);
}

static bool suitable(struct vm *vm, struct stubs *s)
{
	/* With a view for each level, the system call's stub reads user code's stack in the
	 * kernel's, and so would read whatever of the kernel's lies below 3 GiB. */
	return vm->fast_paths && vm->abi && seg_is_null(vm->cpu.ldtr.selector) &&
	       !(vm->two_views && vm_shadow(vm)->supervisor_low) && read_gate(vm, s) &&
	       read_stack(vm, s) && read_tls(vm, s);
}

/* Fill in the dword that ends at `end`. */
static void patch(struct vm *vm, const u8 *end, u32 value)
{
	mem_copy(stub_code(vm) + (end - stubs_template) - sizeof(value), &value, sizeof(value));
}

static void install_view_change(struct vm *vm, const u8 *end)
{
	static const u8 int80[] = {0xcd, SYSCALL_GATE};

	mem_copy(stub_code(vm) + (end - stubs_template) - sizeof(int80), int80, sizeof(int80));
}

static void install(struct vm *vm, const struct stubs *s)
{
	static const u8 *const tls[] = {stubs_tls_0,  stubs_tls_4,  stubs_tls_8,
					stubs_tls_12, stubs_tls_16, stubs_tls_20};

	mem_copy(stub_code(vm), stubs_template, stubs_trap - stubs_template);
	for (unsigned i = 0; i < ARRAY_SIZE(tls); i++)
		patch(vm, tls[i], s->tls + 4 * i);
	if (vm->two_views) {
		install_view_change(vm, stubs_to_user);
		install_view_change(vm, stubs_to_kernel);
	}
	if (!vm->gate)
		stub_code(vm)[stubs_slow - stubs_template] = OPCODE_HLT;
	patch(vm, stubs_kernel_cs, s->kernel_cs.selector);
	patch(vm, stubs_esp0, s->esp0);
	*stub_word(vm, STUB_CS) = PLEX86_USER_CS;
	*stub_word(vm, STUB_SS) = HOST_FLAT_DS;
	*stub_word(vm, STUB_HANDLER) = s->handler;
	pv_page(vm)->flags |= PLEX86_PV_F_FAST;
	vm->stubs = *s;
}

void stubs_refresh(struct vm *vm)
{
	struct stubs now = {.enabled = true};

	if (!suitable(vm, &now)) {
		if (vm->stubs.enabled)
			stubs_reset(vm);
		return;
	}
	if (!vm->stubs.enabled || __builtin_memcmp(&now, &vm->stubs, sizeof(now)))
		install(vm, &now);
}

u32 stubs_view_change(bool user)
{
	return STUBS_BASE + ((user ? stubs_to_user : stubs_to_kernel) - stubs_template);
}

/* ------------------------------------------------------- getting out ---- */

bool stubs_contain(const struct vm *vm)
{
	u32 rip = vm->cpu.rip;

	return vm->abi && rip >= STUBS_BASE; /* to the end of the 4 GiB */
}

static u32 state_at(u32 offset)
{
	u32 state = STUB_IRET_START;

	for (const struct stub_state *s = stubs_states; s < stubs_states_end; s++)
		if (offset >= s->offset)
			state = s->state;
	return state;
}

static u32 stack_word(struct vm *vm, u32 depth)
{
	u32 value = 0;

	mem_read(vm, (u32)vm->cpu.gpr[GPR_SP] + depth, &value, sizeof(value), false);
	return value;
}

static void move_sp(struct vm *vm, s32 bytes)
{
	vm->cpu.gpr[GPR_SP] = (u32)(vm->cpu.gpr[GPR_SP] + bytes);
}

static void pop_ax(struct vm *vm)
{
	vm->cpu.gpr[GPR_AX] = stack_word(vm, 0);
	move_sp(vm, 4);
}

static void enter_kernel(struct vm *vm)
{
	pv_page(vm)->cpl = 0;
	if (!vm->stubs.enabled)
		return; /* the trapping stub has not left the kernel's segments */
	seg_install(vm, SEG_CS, &vm->stubs.kernel_cs);
	seg_install(vm, SEG_SS, &vm->stubs.kernel_ss);
}

static void enter_user(struct vm *vm, u32 rip)
{
	static const u16 selector[] = {[SEG_CS] = PLEX86_USER_CS, [SEG_SS] = PLEX86_USER_DS};

	for (enum seg_reg reg = SEG_CS; reg <= SEG_SS; reg++) {
		struct segment seg;
		u64 desc;

		if (!seg_descriptor(vm, selector[reg], &desc))
			continue; /* not without the ABI's segments: stubs_contain() */
		seg_unpack(desc, selector[reg], &seg);
		seg_install(vm, reg, &seg);
	}
	pv_page(vm)->cpl = 3;
	vm->cpu.rip = rip;
}

/* Back to the macro's iret, before which IF may have been anything; 0 is what lets nothing happen
 * until the iret sets it. */
static enum stub_exit undo_iret(struct vm *vm, u32 state)
{
	switch (state) {
	case STUB_IRET_PUSHED:
		pop_ax(vm);
		break;
	case STUB_IRET_POP1:
		move_sp(vm, -4);
		break;
	case STUB_IRET_POP2:
		move_sp(vm, -8);
		break;
	case STUB_IRET_POP3:
		move_sp(vm, -12);
		vm_set_if(vm, 0);
		break;
	case STUB_KERN_PUSHED:
		pop_ax(vm);
		/* fall through */
	case STUB_KERN_LAST: {
		const u32 cs = vm->stubs.kernel_cs.selector;

		mem_write(vm, (u32)vm->cpu.gpr[GPR_SP] + 4, &cs, sizeof(cs), false);
		vm_set_if(vm, 0);
		break;
	}
	}
	enter_kernel(vm);
	vm->cpu.rip = pv_page(vm)->iret_site;
	return STUB_EXIT_IRET;
}

/* What `pushf` at CPL 3 can have pushed; IF is the virtual one. */
#define PUSHED_FLAGS                                                                               \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_OF | \
	 FLAG_NT | FLAG_AC | FLAG_ID)

/* Back to the `int $0x80` behind the far call, or, from the far call's trapping twin, to it. */
static enum stub_exit undo_syscall(struct vm *vm, u32 state)
{
	u32 rip = *stub_word(vm, STUB_EIP);

	switch (state) {
	case STUB_SYS_START:
		/* Whoever has jumped here could point anywhere: by the far call's own rights. */
		if (!mem_read(vm, (u32)vm->cpu.gpr[GPR_SP], &rip, sizeof(rip), true))
			return STUB_EXIT_FOREIGN;
		move_sp(vm, 8);
		break;
	case STUB_SYS_POPPED:
		move_sp(vm, 4);
		break;
	case STUB_SYS_FLAGS:
		/* Nor need what is there be flags that the stub has pushed. */
		vm->cpu.rflags = (stack_word(vm, 8) & PUSHED_FLAGS) | FLAG_ONE;
		vm_set_if(vm, FLAG_IF);
		/* fall through */
	case STUB_SYS_KERNEL:
		vm->cpu.gpr[GPR_SP] = *stub_word(vm, STUB_ESP);
		break;
	}
	enter_user(vm, rip);
	return STUB_EXIT_SYSCALL;
}

/* Nobody gets beyond the first instruction of a stub that traps. */
static bool at_trapping_entry(const struct vm *vm)
{
	switch ((u32)vm->cpu.rip - PLEX86_PV_PAGE) {
	case PLEX86_PV_STUB_IRET:
		return vm_cpl(vm) == 0;
	case PLEX86_PV_STUB_INT80:
		return vm_cpl(vm) == 3;
	default:
		return false;
	}
}

/* May code at this privilege level be there? Nobody else jumps there in good faith. */
static bool in_good_faith(const struct vm *vm)
{
	const u32 state = state_at((u32)vm->cpu.rip - STUBS_BASE);

	if (state != STUB_TRAP && !vm->stubs.enabled)
		return at_trapping_entry(vm);
	/* In user code's view the kernel's way out has only its last jump left, and nothing of a
	 * system call has been done yet. */
	if (vm->two_views && vm->user_view)
		return vm_cpl(vm) == 3 && (state == STUB_IRET_LAST || state == STUB_SYS_START);
	if (state == STUB_IRET_POP3 || state == STUB_SYS_FLAGS)
		return true; /* the level is being changed */
	if (state == STUB_IRET_LAST || (state >= STUB_SYS_START && state < STUB_SYS_FLAGS))
		return vm_cpl(vm) == 3;
	return vm_cpl(vm) == 0;
}

bool stubs_intruded(const struct vm *vm)
{
	return stubs_contain(vm) && !in_good_faith(vm);
}

enum stub_exit stubs_leave(struct vm *vm)
{
	u32 state = state_at((u32)vm->cpu.rip - STUBS_BASE);

	if (!in_good_faith(vm))
		return STUB_EXIT_FOREIGN;
	switch (state) {
	case STUB_IRET_LAST:
		enter_user(vm, *stub_word(vm, STUB_EIP));
		return STUB_EXIT_DONE;
	case STUB_SYS_LAST:
		enter_kernel(vm);
		vm->cpu.rip = *stub_word(vm, STUB_HANDLER);
		return STUB_EXIT_DONE;
	case STUB_TRAP:
		/* As if there had been no call. */
		vm->cpu.rip = stack_word(vm, 0);
		move_sp(vm, 4);
		return STUB_EXIT_DONE;
	default:
		return state < STUB_SYS_START ? undo_iret(vm, state) : undo_syscall(vm, state);
	}
}

void stubs_sync_segments(struct vm *vm, const u16 hw[SEG_COUNT])
{
	if (!vm->stubs.enabled || vm_cpl(vm) != 0)
		return;
	/* In the guest's kernel, and the core has last seen it in user code. */
	if (hw[SEG_CS] == HOST_FLAT_CS && (vm->cpu.seg[SEG_CS].selector & 3)) {
		vm->cpu.seg[SEG_CS] = vm->stubs.kernel_cs;
		vm->cpu.hw_selector[SEG_CS] = HOST_FLAT_CS;
	}
	if (hw[SEG_SS] == HOST_FLAT_DS && (vm->cpu.seg[SEG_SS].selector & 3)) {
		vm->cpu.seg[SEG_SS] = vm->stubs.kernel_ss;
		vm->cpu.hw_selector[SEG_SS] = HOST_FLAT_DS;
	}
}
