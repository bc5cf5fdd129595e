/*
 * Test guest: what a segment allows: limits, expand-down, read-only, null, and limits of stack and
 * code (SDM vol. 3, 5.3 to 5.5).
 *
 * QEMU (TCG) checks none of this when memory is accessed. So the oracle is a transcript kept beside
 * the runner, written after the SDM.
 */
#include "guest.h"

#define BUFFER	 (WINDOW + 0x30000)
#define D_BYTES	 0 /* limit 0xfff in bytes */
#define D_PAGES	 1 /* limit 0 in pages: 0xfff bytes */
#define D_DOWN	 2 /* expand-down, limit 0xfff, 32-bit */
#define D_DOWN16 3 /* expand-down, limit 0xfff, 16-bit */
#define D_RO	 4
#define D_CODE	 5
#define D_ONE	 6 /* limit 0: one byte */
#define D_STACK	 7
#define D_CODE32 8 /* code with a limit */
#define SEL(n)	 (TEST_SEL(n) | 3)

/* EAX: selector, EBX: offset. */
#define ACCESS(name, insn) UCODE(u_##name, "movl %eax, %fs", insn)
ACCESS(rb, "movb %fs:(%ebx), %cl");
ACCESS(rw, "movw %fs:(%ebx), %cx");
ACCESS(rl, "movl %fs:(%ebx), %ecx");
ACCESS(wb, "movb $1, %fs:(%ebx)");
ACCESS(wl, "movl $1, %fs:(%ebx)");
ACCESS(rmw, "incl %fs:(%ebx)");
#define KACCESS(name, insn) \
	CODE(k_##name, "movl access_sel, %eax; movl access_at, %ebx; movl %eax, %fs", insn)
KACCESS(rl, "movl %fs:(%ebx), %ecx");
KACCESS(wl, "movl $1, %fs:(%ebx)");
u32 access_sel, access_at;

static void result(u32 vector, const void *at)
{
	if (vector == NO_TRAP || vector == VEC_DONE)
		print(" ok");
	else
		print(" %s(%x)%s",
		      vector == 12   ? "#SS"
		      : vector == 13 ? "#GP"
				     : "other",
		      trap.error, trap.eip == (u32)at ? "" : " elsewhere");
}

static void one(const char *what, u16 selector, u32 offset)
{
	static const struct snippet t[] = {SNIPPET(u_rb), SNIPPET(u_rw), SNIPPET(u_rl),
					   SNIPPET(u_wb), SNIPPET(u_wl), SNIPPET(u_rmw)};
	static const struct snippet k[] = {SNIPPET(k_rl), SNIPPET(k_wl)};

	print("%s %08x:", what, offset);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct user_state s = user_state(t[i].fn);

		s.eax = selector;
		s.ebx = offset;
		result(run_user_state(&s), t[i].at);
	}
	print(" kernel");
	access_sel = selector & ~3;
	access_at = offset;
	for (unsigned i = 0; i < ARRAY_SIZE(k); i++)
		result(try(k[i].fn), k[i].at);
	print("\n");
}

static void data(void)
{
	static const u32 up[] = {0, 0xffc, 0xffd, 0xffe, 0xfff, 0x1000, 0x80000000, 0xfffffff0};
	static const u32 down[] = {0, 0xffc, 0xfff, 0x1000, 0x1ffc, 0x2000};

	for (unsigned i = 0; i < ARRAY_SIZE(up); i++)
		one("bytes", SEL(D_BYTES), up[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(up); i++)
		one("pages", SEL(D_PAGES), up[i]);
	one("one byte", SEL(D_ONE), 0);
	one("one byte", SEL(D_ONE), 1);
	for (unsigned i = 0; i < ARRAY_SIZE(down); i++)
		one("down", SEL(D_DOWN), down[i]);
	one("down 16", SEL(D_DOWN16), 0xfff);
	one("down 16", SEL(D_DOWN16), 0x1000);
	one("down 16", SEL(D_DOWN16), 0x10000);
	one("read-only", SEL(D_RO), 0x10);
	one("code", SEL(D_CODE), 0x10);
	one("null", 0, 0x10);
	one("null, RPL 3", 3, 0);
}

/* Segment registers other than FS, in the kernel and in user code, through their natural accesses.
 */
UCODE(u_ds, "movl $0x83, %eax; movl %eax, %ds; movl $0x1000, %ebx", "movl (%ebx), %eax");
UCODE(u_es, "movl $0x83, %eax; movl %eax, %es; movl $0xffd, %edi; xorl %eax, %eax", "stosl");
UCODE(u_null_ds, "xorl %eax, %eax; movl %eax, %ds", "movl (%ebx), %eax");
UCODE(u_stos, "movl $0x83, %eax; movl %eax, %es; movl $0xffc, %edi; movl $8, %ecx", "rep stosb");
UCODE(u_movs,
      "movl $0x83, %eax; movl %eax, %ds; movl $0xffa, %esi; movl $user_stack, %edi; movl $4, %ecx",
      "rep movsw");
UCODE(u_push, "movl $0xbb, %eax; movl %eax, %ss; movl $0x2, %esp", "pushl %eax");
UCODE(u_pop, "movl $0xbb, %eax; movl %eax, %ss; movl $0x1000, %esp", "popl %eax");
UCODE(u_ebp, "movl $0xbb, %eax; movl %eax, %ss; movl $0x1000, %ebp", "movl (%ebp), %eax");
UCODE(u_ebp_ok, "movl $0xbb, %eax; movl %eax, %ss; movl $0xffc, %ebp", "movl (%ebp), %eax");
UCODE(u_call, "movl $0xbb, %eax; movl %eax, %ss; movl $0x3, %esp", "call 1f; 1:");
UCODE(u_jmp, "", "jmp *%ebx");
UCODE(u_ljmp, "", "ljmp $0xc3, $0x1000");

static void registers(void)
{
	static const struct snippet t[] = {SNIPPET(u_ds),     SNIPPET(u_es),   SNIPPET(u_null_ds),
					   SNIPPET(u_push),   SNIPPET(u_pop),  SNIPPET(u_ebp),
					   SNIPPET(u_ebp_ok), SNIPPET(u_call), SNIPPET(u_ljmp)};
	static const struct snippet strings[] = {SNIPPET(u_stos), SNIPPET(u_movs)};

	run_user_snippets(t, ARRAY_SIZE(t));
	for (unsigned i = 0; i < ARRAY_SIZE(strings); i++) {
		print_result(&strings[i], run_user(strings[i].fn));
		print("  left %u, done %u\n", trap.ecx, i ? trap.esi - 0xffa : trap.edi - 0xffc);
	}
}

/* Code with a limit: the page BUFFER holds code; its segment ends at 0x7ff. */
static void code(void)
{
	volatile u8 *page = (volatile u8 *)BUFFER;
	struct user_state s = user_state((void (*)(void))0x100);

	page[0x100] = 0xe9; /* jmp to 0x900 */
	*(volatile u32 *)(page + 0x101) = 0x900 - 0x105;
	page[0x200] = 0xcd; /* int $0x30 */
	page[0x201] = 0x30;
	page[0x7fe] = 0x90; /* two nops up to the end, then nothing */
	page[0x7ff] = 0x90;
	s.cs = SEL(D_CODE32);
	run_user_state(&s);
	print("near jump beyond: vector %u error %x eip %x cs %x\n", trap.vector, trap.error,
	      trap.eip, trap.cs & 0xffff);
	s.eip = 0x200;
	run_user_state(&s);
	print("within: vector %02x eip %x cs %x\n", trap.vector, trap.eip, trap.cs & 0xffff);
	s.eip = 0x7fe;
	run_user_state(&s);
	print("running off the end: vector %u error %x eip %x cs %x\n", trap.vector, trap.error,
	      trap.eip, trap.cs & 0xffff);
	s.eip = 0x800;
	run_user_state(&s);
	print("iret beyond: vector %u error %x, in iret %u\n", trap.vector, trap.error,
	      (trap.cs & 3) == 0);
}

static void set(unsigned n, u32 base, u32 limit, u8 access, u8 flags)
{
	gdt[GDT_TEST + n] = descriptor(base, limit, ACC_P | ACC_DPL(3) | access, flags);
}

void guest_main(void)
{
	u32 frames = page_alloc();

	paging_init();
	/* Pages around the buffer are present, so that a missing limit check shows as "ok". */
	for (u32 i = 0; i < 8; i++)
		*pte_of(BUFFER + i * PAGE) = page_alloc() | PTE_P | PTE_W | PTE_U;
	*pte_of(BUFFER) = frames | PTE_P | PTE_W | PTE_U;
	set(D_BYTES, BUFFER, 0xfff, ACC_DATA_W, DESC_32);
	set(D_PAGES, BUFFER, 0, ACC_DATA_W, DESC_32 | DESC_4K);
	set(D_DOWN, BUFFER, 0xfff, ACC_DOWN_W, DESC_32);
	set(D_DOWN16, BUFFER, 0xfff, ACC_DOWN_W, 0);
	set(D_RO, BUFFER, 0xfff, ACC_DATA, DESC_32);
	set(D_CODE, BUFFER, 0xfff, ACC_CODE_R, DESC_32);
	set(D_ONE, BUFFER, 0, ACC_DATA_W, DESC_32);
	set(D_STACK, BUFFER, 0xfff, ACC_DATA_W, DESC_32);
	set(D_CODE32, BUFFER, 0x7ff, ACC_CODE_R, DESC_32);
	print("data: read 1 2 4, write 1 4, both 4\n");
	data();
	print("registers\n");
	registers();
	print("code\n");
	code();
	guest_exit(0);
}
