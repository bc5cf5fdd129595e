/*
 * Test guest: ins and outs, with rep, in both directions, of every size, across pages and through
 * segments (SDM vol. 2, INS and OUTS).
 *
 * The port is a mask register of the 8259 pair or the scratch register of COM1: the last byte
 * written can be read back. Wide accesses go to a word or dword of ports that ends with the scratch
 * register.
 */
#include "guest.h"

#define SCRATCH 0x3ff
#define BUFFER	(WINDOW + 0x20000)

static u32 first, second;

/* Run with these flags from popf to pushf, with nothing of the compiler's in between. */
#define RUN(insn, index, reg, count, port, flags)                                \
	asm volatile("pushl %[fl]; popfl; rep " insn "; pushfl; popl %[fl]; cld" \
		     : index(reg), "+c"(count), [fl] "+r"(flags)                 \
		     : "d"(port)                                                 \
		     : "memory", "cc")

static void outs(char size, u32 flags, u32 address, u32 count, u16 port, struct regs *after)
{
	if (size == 'b')
		RUN("outsb", "+S", address, count, port, flags);
	else if (size == 'w')
		RUN("outsw", "+S", address, count, port, flags);
	else
		RUN("outsl", "+S", address, count, port, flags);
	after->esi = address;
	after->ecx = count;
	after->eflags = flags;
}

static void ins(char size, u32 flags, u32 address, u32 count, u16 port, struct regs *after)
{
	if (size == 'b')
		RUN("insb", "+D", address, count, port, flags);
	else if (size == 'w')
		RUN("insw", "+D", address, count, port, flags);
	else
		RUN("insl", "+D", address, count, port, flags);
	after->edi = address;
	after->ecx = count;
	after->eflags = flags;
}

static u32 width(char size)
{
	return size == 'b' ? 1 : size == 'w' ? 2 : 4;
}

/* The port for an access of this size whose last byte is the scratch register. */
static u16 port_for(char size)
{
	return SCRATCH + 1 - width(size);
}

static void fill(void)
{
	/* Modem control (the first byte of a dword) keeps OUT2 and the outputs as they are. */
	for (u32 i = 0; i < 2 * PAGE; i += 4)
		*(u32 *)(BUFFER + i) = 0x0b | (i / 4 & 0xff) << 24 | (i / 4 & 0xff) << 8;
}

static void output(void)
{
	static const char size[] = {'b', 'w', 'l'};
	struct regs r;

	for (unsigned i = 0; i < 3; i++)
		for (unsigned down = 0; down < 2; down++) {
			u32 w = width(size[i]), start = BUFFER + PAGE - 8 * w;

			if (down)
				start += 15 * w;
			fill();
			outs(size[i], down ? FLAG_DF | FLAG_CF : FLAG_ZF, start, 16,
			     port_for(size[i]), &r);
			print("outs%c %s: esi%s%u ecx %u flags %03x last %02x\n", size[i],
			      down ? "down" : "up", down ? "-" : "+",
			      down ? start - r.esi : r.esi - start, r.ecx, r.eflags & 0xfff,
			      inb(SCRATCH));
		}
	outb(SCRATCH, 0x99);
	outs('b', 0, BUFFER, 0, SCRATCH, &r);
	print("outsb zero times: esi+%u last %02x\n", r.esi - BUFFER, inb(SCRATCH));
}

static void input(void)
{
	static const char size[] = {'b', 'w', 'l'};
	struct regs r;

	for (unsigned i = 0; i < 3; i++)
		for (unsigned down = 0; down < 2; down++) {
			u32 w = width(size[i]), start = BUFFER + PAGE - 8 * w, sum = 0;

			if (down)
				start += 15 * w;
			for (u32 k = 0; k < 2 * PAGE; k++)
				*(u8 *)(BUFFER + k) = 0x11;
			outb(SCRATCH, 0x40 + i);
			ins(size[i], down ? FLAG_DF | FLAG_SF : FLAG_CF, start, 16,
			    port_for(size[i]), &r);
			/* The scratch byte is the last of each element, and nothing else changed.
			 */
			for (u32 k = 0; k < 16; k++)
				sum += *(u8 *)(BUFFER + PAGE - 8 * w + k * w + w - 1);
			print("ins%c %s: edi%s%u ecx %u flags %03x sum %x outside %02x %02x\n",
			      size[i], down ? "down" : "up", down ? "-" : "+",
			      down ? start - r.edi : r.edi - start, r.ecx, r.eflags & 0xfff, sum,
			      *(u8 *)(BUFFER + PAGE - 8 * w - 1), *(u8 *)(BUFFER + PAGE + 8 * w));
		}
	*(u8 *)BUFFER = 0x22;
	ins('b', 0, BUFFER, 0, SCRATCH, &r);
	print("insb zero times: edi+%u memory %02x\n", r.edi - BUFFER, *(u8 *)BUFFER);
}

/* Once, without rep: ECX stays; and with 16-bit addresses: only SI, DI and CX count. */
static void forms(void)
{
	u32 esi = BUFFER, edi = BUFFER + 1, ecx = 77;

	*(u8 *)BUFFER = 0x3d;
	asm volatile("outsb; insb" : "+S"(esi), "+D"(edi), "+c"(ecx) : "d"(SCRATCH) : "memory");
	print("single: esi+%u edi+%u ecx %u copied %02x\n", esi - BUFFER, edi - BUFFER - 1, ecx,
	      *(u8 *)(BUFFER + 1));
	/* Linear 0x500 is ordinary memory on every PC. */
	*(volatile u8 *)0x500 = 0x4e;
	*(volatile u8 *)0x501 = 0x4f;
	esi = 0xabcd0500;
	ecx = 0x12340002;
	asm volatile("addr16 rep outsb" : "+S"(esi), "+c"(ecx) : "d"(SCRATCH) : "memory");
	print("addr16 rep: esi %08x ecx %08x last %02x\n", esi, ecx, inb(SCRATCH));
	edi = 0xabcdffff;
	ecx = 0x12340001;
	asm volatile("addr16 rep insb" : "+D"(edi), "+c"(ecx) : "d"(SCRATCH) : "memory");
	print("addr16 wraps: edi %08x ecx %08x stored %02x\n", edi, ecx, *(volatile u8 *)0xffff);
}

/* Segments: outs may be overridden, ins always uses ES. */
static void segments(void)
{
	u32 esi = 4, edi = 8;

	gdt[GDT_TEST] = descriptor(BUFFER, PAGE - 1, ACC_P | ACC_DATA_W, DESC_32);
	*(u8 *)(BUFFER + 4) = 0x6e;
	asm volatile("movl $0x80, %%eax; movl %%eax, %%fs; .byte 0x64; outsb"
		     : "+S"(esi)
		     : "d"(SCRATCH)
		     : "eax", "memory");
	print("fs outsb: esi %u last %02x\n", esi, inb(SCRATCH));
	outb(SCRATCH, 0x6f);
	asm volatile("movl $0x80, %%eax; movl %%eax, %%es; .byte 0x64; insb; movl $0x2b, %%eax; "
		     "movl %%eax, %%es"
		     : "+D"(edi)
		     : "d"(SCRATCH)
		     : "eax", "memory");
	print("es insb: edi %u stored %02x\n", edi, *(u8 *)(BUFFER + 8));
	asm volatile("xorl %%eax, %%eax; movl %%eax, %%fs" : : : "eax");
}

/* A page fault in the middle: what is done is done, and the registers say what is left. */
CODE(k_outs, "movl $0x40020ffc, %esi; movl $8, %ecx; movl $0x3ff, %edx", "rep outsb");
CODE(k_ins, "movl $0x40020ffc, %edi; movl $8, %ecx; movl $0x3ff, %edx", "rep insb");
CODE(k_ins_ro, "movl $0x40020ffc, %edi; movl $8, %ecx; movl $0x3ff, %edx", "rep insb");

static void fill_second(struct regs *r)
{
	print("fault %x at %08x, ecx %u\n", r->error, cr2_get(), r->ecx);
	*pte_of(BUFFER + PAGE) = second | PTE_P | PTE_W;
	invlpg(BUFFER + PAGE);
}

static void faults(void)
{
	for (u32 i = 0; i < 4; i++)
		*(u8 *)(BUFFER + 0xffc + i) = 0x30 + i;
	*pte_of(BUFFER + PAGE) = 0;
	invlpg(BUFFER + PAGE);
	try(k_outs);
	print_trap("outs", k_outs_at);
	print("left %u, esi %08x, last %02x\n", trap.ecx, trap.esi, inb(SCRATCH));
	outb(SCRATCH, 0x88);
	try(k_ins);
	print_trap("ins", k_ins_at);
	print("left %u, edi %08x\n", trap.ecx, trap.edi);
	*pte_of(BUFFER + PAGE) = second | PTE_P;
	invlpg(BUFFER + PAGE);
	try(k_ins_ro);
	print_trap("ins, read-only", k_ins_ro_at);
	print("left %u, edi %08x\n", trap.ecx, trap.edi);
	/* The handler makes the page writable: the instruction goes on where it was. */
	trap_handlers[14] = fill_second;
	u32 vector = try(k_ins);

	print("restarted: vector %x, stored %02x %02x\n", vector, *(volatile u8 *)(second + 3),
	      *(volatile u8 *)(second + 4));
	trap_handlers[14] = NULL;
}

void guest_main(void)
{
	paging_init();
	first = page_alloc();
	page_alloc();
	second = page_alloc();
	*pte_of(BUFFER) = first | PTE_P | PTE_W;
	*pte_of(BUFFER + PAGE) = second | PTE_P | PTE_W;
	output();
	input();
	forms();
	segments();
	faults();
	guest_exit(0);
}
