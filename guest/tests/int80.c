/*
 * Test guest: int $0x80, the vector a Linux host takes for its own system calls.
 *
 * From user code, from the kernel, through gates of both kinds and DPLs, with every register used
 * as a host system call would use it: nothing may reach the host.
 */
#include "guest.h"

CODE(k_int80, "movl $20, %eax", "int $0x80");
UCODE(u_int80, "", "int $0x80");
UCODE(u_loop, "movl $500, %esi; 1: movl %esi, %eax; int $0x80; addl %eax, %edi; decl %esi; jnz 1b",
      "int $0x30");
UCODE(u_prefix, "", ".byte 0x66, 0xcd, 0x80");
UCODE(u_at_page_end, "", "movl $0x40001ffe, %eax; jmp *%eax");

static u32 calls;

/* A little system call interface: returns eax * 2 + 1, keeps the rest. */
static void system_call(struct regs *r)
{
	calls++;
	r->eax = r->eax * 2 + 1;
}

static void print_regs(const char *what)
{
	print("%s: eax %x ebx %x ecx %x edx %x esi %x edi %x ebp %x\n", what, trap.eax, trap.ebx,
	      trap.ecx, trap.edx, trap.esi, trap.edi, trap.ebp);
}

static struct user_state host_call(u32 number)
{
	struct user_state s = user_state(u_int80);

	/* exit(2), fork(), write(2, ...) for a 32-bit Linux, would they get there. */
	s.eax = number;
	s.ebx = 2;
	s.ecx = 0x1234;
	s.edx = 3;
	s.esi = 4;
	s.edi = 5;
	s.ebp = 6;
	return s;
}

void guest_main(void)
{
	static const u32 numbers[] = {0, 1, 2, 4, 20, 119, 173, 0xffffffff};
	struct user_state s;

	paging_init();
	s = host_call(4);
	run_user_state(&s);
	print_trap("DPL 0 gate", u_int80_at);
	print_regs("registers");

	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
		s = host_call(numbers[i]);
		run_user_state(&s);
		print_trap("interrupt gate", u_int80_at);
		print_regs("registers");
	}
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_TRAPGATE);
	trap_handlers[0x80] = system_call;
	s = host_call(20);
	run_user_state(&s);
	print_trap("trap gate, returned", u_int80_at);
	print_regs("registers");
	s = user_state(u_loop);
	run_user_state(&s);
	print("500 calls: %u, sum %u\n", calls, trap.edi);
	s = user_state(u_prefix);
	s.eax = 100;
	run_user_state(&s);
	print("with a prefix: eax %u\n", trap.eax);

	trap_handlers[0x80] = NULL;
	set_gate(0x80, ACC_P | ACC_INTGATE);
	try(k_int80);
	print_trap("kernel", k_int80_at);
	trap_handlers[0x80] = system_call;
	try(k_int80);
	print("kernel, returned\n");
	trap_handlers[0x80] = NULL;

	/* The last two bytes of a page, with the next page not there: the return address is
	 * 0x40002000. */
	u32 page = page_alloc();

	*(u16 *)(page + 0xffe) = 0x80cd;
	*pte_of(WINDOW + PAGE) = page | PTE_P | PTE_U;
	tlb_flush();
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	run_user(u_at_page_end);
	print("at the end of a page: vector %02x eip %08x\n", trap.vector, trap.eip);
	print("memory is unchanged: %04x\n", *(volatile u16 *)(page + 0xffe));
	trap_handlers[0x80] = system_call;
	run_user(u_at_page_end);
	print("and it returns: vector %u error %x eip %08x\n", trap.vector, trap.error, trap.eip);

	/* A gate that is not present, and one that is no gate. */
	trap_handlers[0x80] = NULL;
	set_gate(0x80, ACC_DPL(3) | ACC_INTGATE);
	run_user(u_int80);
	print_trap("not present", u_int80_at);
	idt[0x80] = gate(ACC_P | ACC_DPL(3) | ACC_LDT, SEL_KCODE, 0, 0);
	run_user(u_int80);
	print_trap("not a gate", u_int80_at);
	guest_exit(0);
}
