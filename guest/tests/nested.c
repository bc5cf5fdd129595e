/*
 * Test guest: interrupts inside handlers: of higher priority, of the same, out of user code and out
 * of exception handlers, and how deep the frames lie.
 *
 * IRQ 0 (PIT, mode 0) and IRQ 4 (COM1's transmitter) are raised by hand with IF = 0 and seen in the
 * 8259 before IF is set: the order is fixed.
 */
#include "guest.h"

#define COM1_IER 0x3f9
#define COM1_IIR 0x3fa
#define COM1_MCR 0x3fc

static unsigned depth, raise_inside, order;

static void raise_irq4(void)
{
	outb(COM1_MCR, 0x0b);
	outb(COM1_IER, 0);
	outb(COM1_IER, 2);
	while (!(pic_irr(0) & 0x10))
		;
}

static void line(const char *what, const struct regs *r)
{
	for (unsigned i = 0; i < depth; i++)
		print("  ");
	print("%u %s: from cs=%02x IF %u, isr %02x\n", order++, what, r->cs & 0xffff,
	      !!(r->eflags & FLAG_IF), pic_isr(0));
}

static void open_window(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

/* IRQ 4: lets a higher one in before its EOI. */
static void irq4(struct regs *r)
{
	outb(COM1_IER, 0);
	inb(COM1_IIR);
	line("irq 4", r);
	depth++;
	if (raise_inside & 1)
		pit_raise_irq0();
	open_window();
	depth--;
	line("irq 4 ends", r);
	outb(0x20, 0x20);
}

/* IRQ 0: a lower one raised in it must wait for the EOI. */
static void irq0(struct regs *r)
{
	line("irq 0", r);
	depth++;
	if (raise_inside & 2) {
		raise_inside &= ~2;
		raise_irq4();
		open_window();
		line("no irq 4 yet", r);
	}
	depth--;
	outb(0x20, 0x20);
	open_window();
	line("irq 0 ends", r);
}

/* An exception handler that opens interrupts. */
static void breakpoint(struct regs *r)
{
	line("#BP", r);
	depth++;
	pit_raise_irq0();
	open_window();
	depth--;
	line("#BP ends", r);
}

/* A page fault with IF on, and an interrupt on the way through its handler. */
static void page_fault(struct regs *r)
{
	line("#PF", r);
	depth++;
	pit_raise_irq0();
	open_window();
	depth--;
	*pte_of(WINDOW) = page_alloc() | PTE_P | PTE_W | PTE_U;
	invlpg(WINDOW);
	line("#PF ends", r);
}

UCODE(u_work, "movl $1, %eax; movl $2, %ebx; int3; movl $4, 0x40000000",
      "addl 0x40000000, %ebx; addl %ebx, %eax; int $0x30");
UCODE(u_plain, "nop", "int $0x30");

/* Nothing is sent while COM1 may interrupt: sending moves its line. */
static void scenario(const char *name, unsigned inside)
{
	console_release();
	console_hold();
	print("%s\n", name);
	order = depth = 0;
	raise_inside = inside;
}

void guest_main(void)
{
	struct user_state s;

	paging_init();
	trap_handlers[VEC_IRQ] = irq0;
	trap_handlers[VEC_IRQ + 4] = irq4;
	trap_handlers[3] = breakpoint;
	trap_handlers[14] = page_fault;
	set_gate(3, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	pic_mask(0xffee);

	scenario("irq 0 inside irq 4", 1);
	raise_irq4();
	open_window();

	scenario("irq 4 waits for irq 0", 2);
	pit_raise_irq0();
	open_window();

	scenario("irq 4 raised in irq 0 that came in irq 4", 1 | 2);
	raise_irq4();
	open_window();

	scenario("irq 0 inside an exception", 0);
	asm volatile("int3");
	irq_on();
	asm volatile("int3");
	irq_off();

	scenario("user code: pending before iret, then exceptions with interrupts inside", 0);
	pit_raise_irq0();
	run_user(u_work);
	print("user result %u %u\n", trap.eax, trap.ebx);

	/* Pending, but user code runs with IF = 0: it waits for the kernel. */
	scenario("user code with IF = 0", 0);
	s = user_state(u_plain);
	s.eflags &= ~FLAG_IF;
	pit_raise_irq0();
	run_user_state(&s);
	print("user code is through, IF %u\n", !!(trap.eflags & FLAG_IF));
	open_window();
	guest_exit(0);
}
