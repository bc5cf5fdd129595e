/*
 * Test guest: page permissions, error codes, accessed and dirty bits, 4 MiB pages
 * (SDM vol. 3, 4.3, 4.6-4.8).
 *
 * Accessed bits are printed for accesses that succeed only: whether a failing walk sets those of
 * the upper levels is left to the CPU. The I/D bit of error codes is 0: there is no NX.
 * Instructions that read and then write are left out: QEMU 7.2 reports their fault as a read, the
 * SDM as a write.
 */
#include "guest.h"

#define PAGE_VA (WINDOW + 0x5000)
#define NEXT_VA (WINDOW + 0x6000)
#define MAGIC	0x600dcafe
#define PSE_VA	0x48000000u
#define PSE_PA	0x00400000u

static u32 frame, next_frame;

CODE(k_read, "movl $0x40005010, %ebx", "movl (%ebx), %eax");
CODE(k_write, "movl $0x40005010, %ebx", "movl $0x600dcafe, (%ebx)");
CODE(k_fetch, "movl $0x40005020, %ebx; movl $1f, %ecx", "jmp *%ebx; 1:");
CODE(k_straddle, "movl $0x40005ffe, %ebx", "movl $0xffffffff, (%ebx)");
CODE(k_straddle_read, "movl $0x40005ffe, %ebx", "movl (%ebx), %eax");
UCODE(u_read, "movl $0x40005010, %ebx", "movl (%ebx), %eax");
UCODE(u_write, "movl $0x40005010, %ebx", "movl $0x600dcafe, (%ebx)");
UCODE(u_fetch, "movl $0x40005020, %ebx; movl $1f, %ecx", "jmp *%ebx; 1:");

struct access {
	const char *name;
	void (*kernel)(void), (*user)(void);
};
static const struct access accesses[] = {
	{"kr", k_read, NULL}, {"kw", k_write, NULL}, {"kx", k_fetch, NULL},
	{"ur", NULL, u_read}, {"uw", NULL, u_write}, {"ux", NULL, u_fetch},
};

static void print_bits(u32 entry)
{
	print("%s%s%s", entry & PTE_U ? "u" : "-", entry & PTE_W ? "w" : "-",
	      entry & PTE_P ? "p" : "-");
}

/* `jmp *%ecx`, where k_fetch and u_fetch jump to. */
static void plant_code(u32 page)
{
	u8 *code = (u8 *)page + 0x20;

	code[0] = 0xff;
	code[1] = 0xe1;
}

static void one_access(const struct access *a, u32 pde, u32 pte)
{
	u32 *dir = &page_dir[WINDOW >> 22], *entry = pte_of(PAGE_VA);
	u32 vector;

	*dir = (u32)window_table | pde;
	*entry = frame | pte;
	tlb_flush();
	vector = a->kernel ? try(a->kernel) : run_user(a->user);
	if (vector == 14) {
		print(" %s:#PF(%x)%s", a->name, trap.error,
		      (trap_cr2 & ~0xffu) == PAGE_VA ? "" : " elsewhere");
		return;
	}
	print(" %s:%s%s%s", a->name, *dir & PTE_A ? "a" : "-", *entry & PTE_A ? "a" : "-",
	      *entry & PTE_D ? "d" : "-");
}

static void permissions(void)
{
	static const u32 pde[] = {0, PTE_P, PTE_P | PTE_W, PTE_P | PTE_U, PTE_P | PTE_W | PTE_U};

	for (unsigned wp = 0; wp < 2; wp++) {
		cr0_set((cr0_get() & ~CR0_WP) | (wp ? CR0_WP : 0));
		for (unsigned i = 0; i < ARRAY_SIZE(pde); i++)
			for (unsigned j = 0; j < ARRAY_SIZE(pde); j++) {
				print("wp%u pde ", wp);
				print_bits(pde[i]);
				print(" pte ");
				print_bits(pde[j]);
				for (unsigned k = 0; k < ARRAY_SIZE(accesses); k++)
					one_access(&accesses[k], pde[i], pde[j]);
				print("\n");
			}
	}
	page_dir[WINDOW >> 22] = (u32)window_table | PTE_P | PTE_W | PTE_U;
}

/* Bits set step by step: not accessed, read, written; and set again after they were cleared. */
static void accessed_dirty(void)
{
	u32 *entry = pte_of(PAGE_VA);
	volatile u32 *va = (volatile u32 *)PAGE_VA;

	*entry = frame | PTE_P | PTE_W;
	tlb_flush();
	for (unsigned round = 0; round < 3; round++) {
		print("untouched %02x", *(volatile u32 *)entry & 0xfff);
		(void)*va;
		print(" read %02x", *(volatile u32 *)entry & 0xfff);
		*va = MAGIC + round;
		print(" written %02x", *(volatile u32 *)entry & 0xfff);
		*entry &= ~(PTE_A | PTE_D);
		invlpg(PAGE_VA);
		(void)*va;
		print(" cleared and read %02x\n", *(volatile u32 *)entry & 0xfff);
		*entry &= ~PTE_A;
		invlpg(PAGE_VA);
	}
	check(*(u32 *)frame == MAGIC + 2, "the stores reached the frame");
	/* Bits for software, and write-through and cache-disable, do not matter. */
	*entry = frame | PTE_P | PTE_W | 0xe18;
	invlpg(PAGE_VA);
	*va = 1;
	print("with other bits %03x\n", *(volatile u32 *)entry & 0xfff);
}

static void straddling(void)
{
	static const struct snippet t[] = {SNIPPET(k_straddle), SNIPPET(k_straddle_read)};

	*pte_of(PAGE_VA) = frame | PTE_P | PTE_W;
	*pte_of(NEXT_VA) = 0;
	tlb_flush();
	*(u16 *)(frame + 0xffe) = 0x5555;
	try_snippets(t, ARRAY_SIZE(t));
	print("first part %04x\n", *(volatile u16 *)(frame + 0xffe));
	*pte_of(NEXT_VA) = next_frame | PTE_P;
	invlpg(NEXT_VA);
	try_snippets(t, ARRAY_SIZE(t));
	print("first part %04x\n", *(volatile u16 *)(frame + 0xffe));
	*pte_of(NEXT_VA) = next_frame | PTE_P | PTE_W;
	invlpg(NEXT_VA);
	try_snippets(t, ARRAY_SIZE(t));
	print("parts %04x %04x\n", *(volatile u16 *)(frame + 0xffe), *(volatile u16 *)next_frame);
	/* The frames are not neighbours in memory: the page order decides. */
	*pte_of(PAGE_VA) = next_frame | PTE_P | PTE_W;
	*pte_of(NEXT_VA) = frame | PTE_P | PTE_W;
	tlb_flush();
	*(volatile u32 *)(PAGE_VA + 0xffe) = 0x12345678;
	print("swapped %04x %04x\n", *(volatile u16 *)(next_frame + 0xffe), *(volatile u16 *)frame);
}

/* Pages that are present but unreachable for user code, and those that are not there. */
UCODE(u_kernel_text, "", "movl 0x100000, %eax");
UCODE(u_kernel_write, "", "movl %eax, 0x100000");
UCODE(u_kernel_jump, "movl $0x100000, %eax", "jmp *%eax");
UCODE(u_jump_absent, "movl $0x40009000, %eax", "jmp *%eax");
UCODE(u_no_pde, "movl $0x50000123, %eax", "movl (%eax), %eax");
UCODE(u_stack, "movl $0x40009000, %esp", "pushl $0");
UCODE(u_call, "movl $0x40009000, %esp", "call 1f; 1:");
UCODE(u_string, "movl $0x40005ff8, %edi; movl $4, %ecx; movl $0x77777777, %eax", "rep stosl");
CODE(k_no_pde, "movl $0x50000123, %eax", "movl (%eax), %eax");
CODE(k_no_pde_write, "movl $0x50000123, %eax", "movl %eax, (%eax)");

static void user_faults(void)
{
	static const struct snippet t[] = {SNIPPET(u_kernel_text), SNIPPET(u_kernel_write),
					   SNIPPET(u_kernel_jump), SNIPPET(u_jump_absent),
					   SNIPPET(u_no_pde),	   SNIPPET(u_stack),
					   SNIPPET(u_call)};
	static const struct snippet k[] = {SNIPPET(k_no_pde), SNIPPET(k_no_pde_write)};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		u32 vector = run_user(t[i].fn);

		/* A jump's fault may be reported at the target, which is where EIP is then. */
		if (trap.eip == trap_cr2)
			print("%s: vector %u error %x at its target %08x\n", t[i].name, vector,
			      trap.error, trap_cr2);
		else
			print_result(&t[i], vector);
	}
	try_snippets(k, ARRAY_SIZE(k));
	/* A fault in the middle of rep: two stores done, registers say so. */
	*pte_of(PAGE_VA) = frame | PTE_P | PTE_W | PTE_U;
	*pte_of(NEXT_VA) = 0;
	tlb_flush();
	run_user(u_string);
	print_trap("rep stosl", u_string_at);
	print("left %u, edi %08x\n", trap.ecx, trap.edi);
}

/* The handler fills the page in and the instruction restarts. */
static void fill_page(struct regs *r)
{
	print("fault %x at %08x\n", r->error, cr2_get());
	*pte_of(PAGE_VA) = frame | PTE_P | PTE_W | PTE_U;
	invlpg(PAGE_VA);
}

static void demand(void)
{
	*(u32 *)(frame + 0x10) = 0x1234;
	*pte_of(PAGE_VA) = 0;
	invlpg(PAGE_VA);
	trap_handlers[14] = fill_page;
	run_user(u_read);
	print("user read %x\n", trap.eax);
	*pte_of(PAGE_VA) = frame | PTE_P | PTE_U;
	invlpg(PAGE_VA);
	run_user(u_write);
	print("user wrote %x\n", *(volatile u32 *)(frame + 0x10));
	trap_handlers[14] = NULL;
}

static u32 pse_error(u32 vector)
{
	return vector == 14 ? 0x100 | trap.error : 0;
}

CODE(k_pse_read, "movl $0x48123450, %ebx", "movl (%ebx), %eax");
CODE(k_pse_write, "movl $0x48123450, %ebx", "movl $0x600dcafe, (%ebx)");
UCODE(u_pse_read, "movl $0x48123450, %ebx", "movl (%ebx), %eax");
UCODE(u_pse_write, "movl $0x48123450, %ebx", "movl $0x600dcafe, (%ebx)");

static void large_pages(void)
{
	static const u32 flags[] = {PTE_P, PTE_P | PTE_W, PTE_P | PTE_U, PTE_P | PTE_W | PTE_U};
	u32 *dir = &page_dir[PSE_VA >> 22];

	cr4_set(cr4_get() | CR4_PSE);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		print("4 MiB ");
		print_bits(flags[i]);
		*dir = PSE_PA | PTE_PS | flags[i];
		tlb_flush();
		print(" kr %03x", pse_error(try(k_pse_read)));
		print(" (%02x)", *dir & 0xff);
		print(" kw %03x", pse_error(try(k_pse_write)));
		print(" (%02x)", *dir & PTE_W ? *dir & 0xff : 0);
		print(" ur %03x", pse_error(run_user(u_pse_read)));
		print(" uw %03x\n", pse_error(run_user(u_pse_write)));
	}
	for (u32 offset = 0; offset < 0x400000; offset += 0x11000)
		*(volatile u32 *)(PSE_VA + offset) = offset ^ MAGIC;
	bool same = true;

	for (u32 offset = 0; offset < 0x400000; offset += 0x11000)
		same &= *(volatile u32 *)(PSE_PA + offset) == (offset ^ MAGIC);
	check(same, "a 4 MiB page shows the same memory");
	/* From a large page to a table of small ones and back. */
	*dir = (u32)window_table | PTE_P | PTE_W;
	*pte_of(WINDOW) = frame | PTE_P | PTE_W;
	tlb_flush();
	*(volatile u32 *)PSE_VA = 0x51;
	check(*(volatile u32 *)frame == 0x51, "a table after a large page");
	*dir = PSE_PA | PTE_PS | PTE_P | PTE_W;
	invlpg(PSE_VA);
	check(*(volatile u32 *)PSE_VA == MAGIC, "a large page after a table, by invlpg");
	/* Without CR4.PSE the bit means nothing: the entry names a table. */
	*dir = (u32)window_table | PTE_PS | PTE_P | PTE_W;
	cr4_set(cr4_get() & ~CR4_PSE);
	tlb_flush();
	check(*(volatile u32 *)PSE_VA == 0x51, "PS is ignored without CR4.PSE");
	*dir = 0;
	tlb_flush();
}

/* Paging off and on again, and code that runs through both. */
static void switch_off(void)
{
	*pte_of(PAGE_VA) = frame | PTE_P | PTE_W;
	tlb_flush();
	*(volatile u32 *)PAGE_VA = 0x77;
	cr0_set(cr0_get() & ~CR0_PG);
	*(volatile u32 *)frame += 1;
	cr0_set(cr0_get() | CR0_PG);
	print("through paging off: %x\n", *(volatile u32 *)PAGE_VA);
}

void guest_main(void)
{
	paging_init();
	frame = page_alloc();
	page_alloc();
	next_frame = page_alloc();
	plant_code(frame);
	print("permissions\n");
	permissions();
	print("accessed and dirty\n");
	accessed_dirty();
	print("straddling\n");
	straddling();
	print("user faults\n");
	user_faults();
	print("demand\n");
	demand();
	print("large pages\n");
	large_pages();
	print("paging off\n");
	switch_off();
	guest_exit(0);
}
