/*
 * Fuzzing the core from both sides: a hostile VMM's vcpu, and whatever guest code can do.
 *
 * The input says how the machine is made, changes its vcpu and its memory, and lists traps, answers
 * and failures of the host. ASan sees what leaves guest RAM (it comes from malloc), UBSan what
 * leaves an array, libFuzzer what does not end, and the mock host mappings of what is not RAM.
 * After each entry the vcpu and the chips are in a state that machines can be in, and selectors are
 * what an engine relies on; in the end the shadows are what the host has mapped, and what the page
 * tables allow.
 */
#include "../unit/mock-host.h"

#include <string.h>
#include "../../common/vcpu-check.h"
#include "../unit/shadow-check.h"
#include "fuzz-input.h"

#define STEPS 200
/* Those that code at CPL 3 can set. */
#define FLAGS                                                                                      \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_OF | \
	 FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID)
#define AT_MMIO	 0xfe000000u
#define ANY_GATE 0x12345000u

/* How the machine is made. */
enum {
	MADE_ABI = 1,
	MADE_FAST = 2,
	MADE_PAGING = 4,
	MADE_USER = 8,
	MADE_GATE = 16,
	MADE_DETERMINISTIC = 32,
	MADE_SPACES = 64, /* or more than one */
	MADE_DEVICE = 128,
	MADE_PAE = 256,
	MADE_FILLED = 512, /* page tables with A and D set; else the first accesses set them */
	MADE_TWO_VIEWS = 1024,
	MADE_ENDLESS = 2048, /* a line that stays high interrupts again and again */
	MADE_LEVELS =
		4096,	  /* the engine's CPU has the guest's privilege levels, as the emulator's */
	MADE_REAL = 8192, /* if so: in real mode, or with MADE_USER in vm86 */
	MADE_NATIVE = 16384, /* if so: user code runs on the host's CPU, as under hybrid */
};

/* As much RAM as the machine of the unit tests needs: less is new again sooner. */
#define RAM_SIZE 0x80000u
/* For page tables with PAE. */
#define AT_DIRECTORY 0x7000u
#define LARGE_ENTRY  (PTE_P | PTE_W | PTE_U | PTE_A | PTE_PS)

static struct vm *vm;
static bool stopped; /* the core has given the machine up: what it left half done is nobody's */

/* ----------------------------------------------------------- machine ---- */

static void restart(void)
{
	memset(vm->ram, 0, RAM_SIZE + HOST_EXTRA_BYTES);
	vm_renew(vm);
	stopped = false;
}

/* As vm_paging(), in the other format: [0, 2 MiB) identically, and all of RAM by a large page. */
static void pae_paging(u32 pte)
{
	const u64 top = AT_DIRECTORY | PTE_P, directory = AT_PT | PTE_P | PTE_W | PTE_U;

	poke(vm, AT_PD, &top, sizeof(top));
	poke(vm, AT_DIRECTORY, &directory, sizeof(directory));
	for (u64 page = 0; page < 512; page++) {
		const u64 entry = page << 12 | pte;

		poke(vm, AT_PT + page * 8, &entry, sizeof(entry));
	}
	poke32(vm, AT_DIRECTORY + 8, LARGE_ENTRY);
	vm->cpu.cr3 = AT_PD;
	vm->cpu.cr4 |= CR4_PAE | CR4_PGE;
	vm->cpu.efer = EFER_NXE;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	fuzz_require(paging_load_pdptes(vm, vm->cpu.cr3) && shadow_set_format(vm));
}

/* The emulator's machine: it has real mode and vm86, too. */
static void make_levels(u32 how)
{
	static u8 translated[RAM_SIZE >> 12];

	memset(translated, 0x55, sizeof(translated));
	vm->levels = vm->two_views = true;
	vm->translated = translated;
	vm->native = how & MADE_NATIVE;
	vm->native_ldt = ARRAY_SIZE(mock_of(vm)->segment) - HOST_SLOT_LDT0;
	vm->fast_paths = vm->abi = false;
	vm->gate = 0;
	if (!(how & MADE_REAL))
		return;
	if (how & MADE_USER)
		vm->cpu.rflags |= FLAG_VM;
	else
		vm->cpu.cr0 &= ~(u64)(CR0_PE | CR0_PG);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		vm->cpu.seg[reg] = (struct segment){
			.selector = 0x1000, .base = 0x10000, .limit = 0xffff, .attr = 0x93};
}

static void make(struct fuzz_input *in)
{
	const u32 how = fuzz_take(in, 2);
	const u32 pte =
		(how & MADE_USER ? UPAGE : KPAGE) | (how & MADE_FILLED ? PTE_A | PTE_D | PTE_G : 0);

	restart();
	pic_ready(vm);
	vm->fast_paths = how & MADE_FAST;
	vm->two_views = how & MADE_TWO_VIEWS;
	vm->gate = how & MADE_GATE ? ANY_GATE : 0;
	vm->clock.deterministic = how & MADE_DETERMINISTIC;
	memset(mock_of(vm)->cpuid, 0xff, sizeof(mock_of(vm)->cpuid));
	if (how & MADE_SPACES)
		vm_spaces(vm, 3);
	if (how & MADE_DEVICE)
		vm->devices.page[0] = (struct device_page){AT_MMIO, IRQ, 3};
	vm->abi = how & MADE_ABI;
	if (vm->abi)
		vm->cpu.ldtr = (struct segment){0};
	if (how & MADE_ENDLESS) {
		static const u8 icw[] = {0x11, 0x20, 0x04, 0x03 /* automatic EOI */, 0x00};

		for (unsigned i = 0; i < ARRAY_SIZE(icw); i++)
			pic_write(&vm->pic, 0x20 + !!i, icw[i]);
		pic_write(&vm->pic, 0x4d0, 1 << IRQ);
		put_gate(vm, IRQ_VECTOR, KCS, HANDLER(IRQ_VECTOR), D_TRAP32);
	}
	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_INT32 | D_DPL3);
	if (how & MADE_PAE)
		pae_paging(pte);
	else if (how & MADE_PAGING)
		vm_paging(vm, pte);
	if (how & MADE_PAGING)
		poke32(vm, AT_PD + 4, LARGE_ENTRY);
	if ((how & MADE_USER) && vm->abi)
		vm_abi_user(vm);
	else if (how & MADE_USER)
		vm_user(vm);
	pv_reset(vm);
	pv_page(vm)->cpl = how & MADE_USER ? 3 : 0;
	cpu_identify(vm, &vm->cpu_identity);
	if (how & MADE_LEVELS)
		make_levels(how);
}

/* A vcpu that PLEX86_SET_CPU would take. Where XCR0 has what the host lacks nobody is told: the
 * host refuses. */
static void change_vcpu(struct fuzz_input *in)
{
	struct vcpu cpu = vm->cpu;
	size_t at = fuzz_take(in, 2) % sizeof(cpu);
	u32 bytes = fuzz_take(in, 1) % 8 + 1;

	for (; bytes && at < sizeof(cpu); bytes--, at++) {
		const u8 byte = fuzz_take(in, 1);

		memcpy((u8 *)&cpu + at, &byte, 1);
	}
	cpu.xcr0 &= vm->cpu_identity.components | XCR0_X87;
	if (vcpu_valid(&cpu))
		vm->cpu = cpu;
}

/* ------------------------------------------------------------- guest ---- */

static void scribble(struct fuzz_input *in)
{
	const u32 at = fuzz_take(in, 3) % (RAM_SIZE + HOST_EXTRA_BYTES);
	u32 len = fuzz_take(in, 1);

	for (; len && at + len <= RAM_SIZE + HOST_EXTRA_BYTES; len--)
		vm->ram[at + len - 1] = fuzz_take(in, 1);
}

/* An instruction where the guest is. */
static void put_code(struct fuzz_input *in)
{
	u8 bytes[INSN_MAX];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = fuzz_take(in, 1);
	mem_write(vm, (u32)(vm->cpu.seg[SEG_CS].base + vm->cpu.rip), bytes, sizeof(bytes), false);
}

/* One that traps, and which random bytes would seldom be. */
static void put_known(struct fuzz_input *in)
{
	static const u8 known[][4] = {
		{0x0f, 0x22, 0xc0},
		{0x0f, 0x22, 0xd8},
		{0x0f, 0x22, 0xe0}, /* mov %eax, %crn */
		{0x0f, 0x20, 0xc0},
		{0x0f, 0x21, 0xf8},
		{0x0f, 0x23, 0xf8},
		{0x0f, 0x01, 0x38}, /* invlpg (%eax) */
		{0x0f, 0x01, 0x10},
		{0x0f, 0x01, 0x18}, /* lgdt, lidt (%eax) */
		{0x0f, 0x00, 0xd0},
		{0x0f, 0x00, 0xd8}, /* lldt, ltr %ax */
		{0x0f, 0x30},
		{0x0f, 0x32},
		{0x0f, 0xa2},
		{0x0f, 0x06},
		{0x0f, 0x01, 0xd1},
		{0x0f, 0x31},
		{0xf4},
		{0xfa},
		{0xfb},
		{0xcf},
		{0xcb},
		{0xca, 4, 0},
		{0xff, 0x18},
		{0xff, 0x28}, /* lcall, ljmp *(%eax) */
		{0xcd, 0x80},
		{0xcc},
		{0xce},
		{0xf1},
		{0x8e, 0xd8},
		{0x8e, 0xd0},
		{0x8e, 0xe8},
		{0x1f},
		{0x17},
		{0xc5, 0x00},
		{0xec},
		{0xee},
		{0xef},
		{0xed},
		{0x6c},
		{0x6f},
		{0xf3, 0x6d},
		{0xf3, 0x6e},
		{0xa5},
		{0xf3, 0xa5},
		{0xf3, 0xab},
		{0xa7},
		{0x89, 0x10},
		{0x8b, 0x10},
		{0x0f, 0xc1, 0x10},
		{0x0f, 0xb1, 0x10},
		{0x01, 0x10},
		{0x0f, 0xba, 0x28},
		{0xe6, 0x43},
		{0xe6, 0x40},
		{0xe4, 0x40},
		{0xe6, 0x42},
		{0xe4, 0x42},
		{0xe6, 0x61},
		{0xe4, 0x61},
		{0xe6, 0x20},
		{0xe4, 0x20},
		{0xe6, 0x21},
		{0xe6, 0xa0},
		{0xe6, 0xa1},
		{0xe6, 0x70},
		{0xe6, 0x71},
		{0xe4, 0x71},
		{0x0f, 0x01, 0xf0},
		{0x0f, 0x01, 0xe0},
		{0x0f, 0x01, 0xd0},
		{0x50},
		{0x8f, 0x00},
		{0xff, 0x30},
	};

	mem_write(vm, (u32)(vm->cpu.seg[SEG_CS].base + vm->cpu.rip),
		  known[fuzz_take(in, 1) % ARRAY_SIZE(known)], sizeof(known[0]), false);
}

/* A control register with one bit changed: most other values are refused. */
static enum core_next change_control(struct fuzz_input *in)
{
	static const u8 code[][3] = {{0x0f, 0x22, 0xc0}, {0x0f, 0x22, 0xd8}, {0x0f, 0x22, 0xe0}};
	const u32 which = fuzz_take(in, 1);
	const u64 old[] = {vm->cpu.cr0, vm->cpu.cr3, vm->cpu.cr4};

	vm->cpu.gpr[GPR_AX] = (u32)old[which % 3] ^ 1u << (which / 3 % 32);
	mem_write(vm, (u32)(vm->cpu.seg[SEG_CS].base + vm->cpu.rip), code[which % 3], 3, false);
	return trap_gp(vm);
}

/* What guest code can do with no trap. */
static void run_guest(struct fuzz_input *in)
{
	const u32 reg = fuzz_take(in, 1) % 10, value = fuzz_take(in, 4);

	if (reg < GPR_R8)
		vm->cpu.gpr[reg] = value;
	else if (reg == GPR_R8)
		vm->cpu.rip = value;
	else
		vm->cpu.rflags = (value & FLAGS) | (vm->cpu.rflags & FLAG_VM);
	vm->cpu.rflags |= FLAG_ONE;
}

/* A debugger, wherever the guest stands. */
static void debug(struct fuzz_input *in)
{
	struct debug_request request = {.step = fuzz_take(in, 1) % 4,
					.count = fuzz_take(in, 1) % 5};
	struct debug_regs regs = {.rip = vm->cpu.rip, .rflags = fuzz_take(in, 3)};

	for (u32 i = 0; i < request.count; i++)
		request.point[i] =
			(struct debug_point){fuzz_take(in, 4), fuzz_take(in, 2), fuzz_take(in, 1)};
	debug_set(vm, &request);
	if (!(request.step & 2))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(regs.gpr); i++)
		regs.gpr[i] = vm->cpu.gpr[i] ^ fuzz_take(in, 1);
	debug_set_regs(vm, &regs);
}

/* Selectors that code at CPL 3 can have loaded on a host like ours: what is in its tables. */
static bool is_in_host(u16 selector)
{
	const struct mock *m = mock_of(vm);

	if (selector == TLS0)
		return m->segment[HOST_SLOT_TLS0];
	return (selector != PLEX86_USER_CS && selector != PLEX86_USER_DS) ||
	       m->segment[(vm->native ? HOST_SLOT_LDT0 : 0) + (selector >> 3)];
}

static u16 take_selector(struct fuzz_input *in, const u16 *of, u32 count, u16 old)
{
	const u16 selector = of[fuzz_take(in, 1) % count];

	return is_in_host(selector) ? selector : old;
}

static void load_selectors(struct fuzz_input *in)
{
	static const u16 data[] = {0,
				   3,
				   HOST_FLAT_DS,
				   HOST_FLAT_DS & ~3,
				   HOST_FLAT_CS,
				   PLEX86_USER_CS,
				   PLEX86_USER_DS,
				   TLS0};
	static const u16 cs[] = {HOST_FLAT_CS, PLEX86_USER_CS};
	u16 hw[SEG_COUNT];

	memcpy(hw, vm->cpu.hw_selector, sizeof(hw));
	for (u32 reg = 0, which = fuzz_take(in, 2); reg < SEG_COUNT; reg++, which >>= 1)
		if (which & 1)
			hw[reg] = reg == SEG_CS
					  ? take_selector(in, cs, ARRAY_SIZE(cs), hw[reg])
					  : take_selector(in, data, ARRAY_SIZE(data), hw[reg]);
	/* SS is data, never null, and of RPL 3. */
	if (!(hw[SEG_SS] & ~3) || hw[SEG_SS] == HOST_FLAT_CS || hw[SEG_SS] == PLEX86_USER_CS)
		hw[SEG_SS] = HOST_FLAT_DS;
	hw[SEG_SS] |= 3;
	core_sync_selectors(vm, hw);
}

/* -------------------------------------------------------------- host ---- */

static bool maps_nothing(void)
{
	for (unsigned i = 0; i < SHADOW_COUNT; i++)
		if (vm->shadow[i].total)
			return false;
	return true;
}

/* What addresses a host lets us have is settled before anything is mapped: HOST_LOW is no error that
 * comes by itself. */
static void fail_host(struct fuzz_input *in)
{
	struct mock *m = mock_of(vm);
	const u32 what = fuzz_take(in, 1);

	m->fail_maps = what & 3;
	m->map_error = what & 4 ? HOST_FAIL : HOST_LIMIT;
	m->protect_error = what & 0x10 ? HOST_FAIL : HOST_OK;
	m->segment_error = what & 0x20 ? HOST_FAIL : HOST_OK;
	m->activate_error = what & 0x40 ? HOST_FAIL : HOST_OK;
	if (maps_nothing())
		vm->low_limit = what & 0x80 ? 0x10000 : 0;
}

static enum core_next resume(struct fuzz_input *in)
{
	const u64 value = fuzz_take(in, 4) * 0x100000001ull;

	if (vm->exit.kind == EXIT_IO && !vm->exit.io.write)
		vm->exit.io.value = value;
	else if (vm->exit.kind == EXIT_MMIO && !vm->exit.mmio.write)
		vm->exit.mmio.value = value;
	return core_resume(vm);
}

/* The state that a snapshot would hold. Where the CPU has its levels itself, it has more modes. */
static void check_state(void)
{
	const struct vcpu *cpu = &vm->cpu;

	fuzz_require(vm->levels || vcpu_valid(cpu));
	for (unsigned i = 0; i < GPR_COUNT; i++)
		fuzz_require(!(cpu->gpr[i] >> 32));
	fuzz_require(!(cpu->rip >> 32) && !(cpu->cr3 >> 32) && cpu->iopl <= 3);
	fuzz_require(!(cpu->xcr0 & ~(vm->cpu_identity.components | XCR0_X87)));
	fuzz_require(pic_valid(&vm->pic) && pit_valid(&vm->pit) && cmos_valid(&vm->cmos));
	fuzz_require(vm->pool.active == mock_of(vm)->in_force);
}

/* What goes into the hardware: selectors of ours, and those of code and stack. */
static void check_selectors(void)
{
	const u16 *hw = vm->cpu.hw_selector;

	for (unsigned reg = 0; reg < SEG_COUNT; reg++) {
		const u16 index = hw[reg] >> 3;

		if (hw[reg] & 4)
			fuzz_require(index < HOST_SLOT_TLS0);
		else
			fuzz_require(!index || hw[reg] >> 3 == HOST_FLAT_CS >> 3 ||
				     index == HOST_FLAT_DS >> 3 ||
				     index - HOST_TLS_ENTRY < HOST_TLS_COUNT);
	}
	fuzz_require((hw[SEG_CS] & ~3) && (hw[SEG_SS] & ~3));
	fuzz_require((hw[SEG_CS] & 3) == 3 && (hw[SEG_SS] & 3) == 3);
}

static void check(enum core_next next)
{
	check_state();
	if (next == CORE_RESUME) {
		if (!vm->levels)
			check_selectors();
		return;
	}
	fuzz_require(vm->exit.kind > EXIT_NONE && vm->exit.kind < EXIT_COUNT);
	stopped |= vm->exit.kind == EXIT_FAULT;
}

/* Whatever the guest has done to its tables: once told to forget, the host has nothing else. */
static void check_shadows(void)
{
	if (stopped)
		return;
	shadow_check_records(vm);
	shadow_flush(vm);
	shadow_check_records(vm);
	shadow_check_tables(vm);
}

/* As the engine's CPU tells of it. */
static enum core_next enter(const struct trap *t)
{
	const bool has_error = t->vector == EXC_DF || (t->vector >= EXC_TS && t->vector <= EXC_GP);

	if (!vm->levels || t->vector == EXC_GP || t->vector == EXC_DB)
		return core_trap(vm, t);
	if (t->vector == EXC_PF)
		return core_access(vm, t);
	return core_exception(vm, t, has_error);
}

static enum core_next trap_of(struct fuzz_input *in)
{
	const u8 vector = fuzz_take(in, 1);
	const struct trap t = {vector, fuzz_take(in, 1), fuzz_take(in, 4)};

	return enter(&t);
}

/* ------------------------------------------------------------- steps ---- */

static void step(struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 16) {
	case 0:
		scribble(in);
		break;
	case 1:
		run_guest(in);
		break;
	case 2:
		load_selectors(in);
		break;
	case 3:
		fail_host(in);
		break;
	case 4:
		vm->irq_lines = fuzz_take(in, 2) | (vm->irq_lines & ~0xffffu) + DEVICE_NEWS;
		check(core_kick(vm));
		break;
	case 5:
		mock_of(vm)->now += fuzz_take(in, 4);
		mock_of(vm)->tsc += 1000;
		check(core_kick(vm));
		break;
	case 6:
		check(resume(in));
		break;
	case 7:
		if (vm->levels)
			debug(in);
		else
			check(core_int80(vm));
		break;
	case 8:
		if (vm->gate)
			check(core_gate(vm));
		else
			debug(in);
		break;
	case 9:
		put_code(in);
		check(trap_gp(vm));
		break;
	case 10:
		put_known(in);
		check(trap_gp(vm));
		break;
	case 11:
		put_known(in);
		check(trap_of(in));
		break;
	case 12:
		check(change_control(in));
		break;
	case 13: /* in a stub */
		vm->cpu.rip = PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET + fuzz_take(in, 2) % 0x800;
		check(fuzz_take(in, 1) & 1 ? core_kick(vm) : trap_of(in));
		break;
	case 14:
		put_code(in);
		/* fall through */
	default:
		check(trap_of(in));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	u32 changes;

	if (!vm)
		vm = vm_create(RAM_SIZE);
	make(&in);
	for (changes = fuzz_take(&in, 1) % 32; changes; changes--)
		change_vcpu(&in);
	check(core_start(vm));
	for (unsigned i = 0; in.left && i < STEPS; i++)
		step(&in);
	check_shadows();
	return 0;
}
