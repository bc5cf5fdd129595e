/*
 * Test guest: ways out that code has tried on other monitors, each a fault of its own or nothing at
 * all, after which the machine works as before: privileged instructions of user code, every `int
 * n`, stack pointers that lead nowhere, flags, segments that a host must not have.
 *
 * (By far transfers to every selector, by sysenter and the like: escapes-host.c.)
 */
#include "guest.h"

/* ---- Does the machine still work? ---- */
static volatile u32 ticks;
static u32 broken;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

UCODE(u_alive, "addl %ebx, %eax; xorl %ecx, %edx; leal (%esi,%edi,2), %ebp; pushl %ebp; popl %ecx",
      "int $0x30");

/* User code computes, and an interrupt comes. */
static void alive(void)
{
	struct user_state s = user_state(u_alive);
	const u32 before = ticks;

	s.eax = 0x11111111;
	s.ebx = 0x22222222;
	s.ecx = 0x0f0f0f0f;
	s.edx = 0xffffffff;
	s.esi = 0x1000;
	s.edi = 0x2000;
	broken += run_user_state(&s) != VEC_DONE || trap.eax != 0x33333333 ||
		  trap.ebx != 0x22222222 || trap.edx != 0xf0f0f0f0 || trap.ebp != 0x5000 ||
		  trap.ecx != 0x5000 || trap.esp != s.esp;
	pit_mode(0, 0, 100);
	pic_mask(0xfffe);
	while (ticks == before)
		irq_wait();
	pic_mask(0xffff);
}

/* ---- Instructions of user code ---- */
#define U(name, before, insn) UCODE(u_##name, before, insn)
U(cli, "", RAW_CLI);
U(sti, "", RAW_STI);
U(hlt, "", RAW "hlt");
U(in, "", RAW "inb $0x21, %al");
U(out, "", RAW "outb %al, $0xf4");
U(insb, "movl $user_stack, %edi", RAW "insb");
U(outsb, "movl $user_stack, %esi", RAW "outsb");
U(clts, "", "clts");
U(invd, "", "invd");
U(wbinvd, "", "wbinvd");
U(invlpg, "", RAW "invlpg user_stack");
U(mov_cr0, "", "movl %cr0, %eax");
U(to_cr0, "xorl %eax, %eax", "movl %eax, %cr0");
U(mov_cr3, "", "movl %cr3, %eax");
U(to_cr3, "xorl %eax, %eax", "movl %eax, %cr3");
U(to_cr4, "xorl %eax, %eax", "movl %eax, %cr4");
U(mov_dr7, "", "movl %dr7, %eax");
U(to_dr7, "movl $0x455, %eax", "movl %eax, %dr7");
U(to_dr0, "movl $0xfffff000, %eax", "movl %eax, %dr0");
U(lmsw, "xorl %eax, %eax", "lmsw %ax");
U(lgdt, "", "lgdtl user_stack");
U(lidt, "", "lidtl user_stack");
U(lldt, "", "lldt %ax");
U(ltr, "", "ltr %ax");
U(rdmsr, "movl $0xc0000080, %ecx", "rdmsr");
U(wrmsr, "movl $0x176, %ecx", "wrmsr");
U(xsetbv, "xorl %ecx, %ecx; xorl %edx, %edx; movl $1, %eax", ".byte 0x0f, 0x01, 0xd1");
U(monitor, "", ".byte 0x0f, 0x01, 0xc8");
U(mwait, "", ".byte 0x0f, 0x01, 0xc9");
U(swapgs, "", ".byte 0x0f, 0x01, 0xf8");
U(ud2, "", "ud2");
U(lock_nop, "", ".byte 0xf0, 0x90");
U(long_insn, "", ".fill 15, 1, 0x66; nop");
U(int3, "", "int3");
U(into, "movb $0x7f, %al; incb %al", "into");
U(bound, "movl $bounds, %ebx; movl $7, %eax", "boundl %eax, (%ebx)");
U(div, "xorl %ecx, %ecx", "divl %ecx");
USER_DATA u32 bounds[2] = {1, 2};

/* How these fault, or whether at all, is the machine's: a hypervisor's call, say, or no such
 * feature. */
U(vmcall, "", ".byte 0x0f, 0x01, 0xc1");
U(vmlaunch, "", ".byte 0x0f, 0x01, 0xc2");
U(vmrun, "", ".byte 0x0f, 0x01, 0xd8");
U(stgi, "", ".byte 0x0f, 0x01, 0xdc");
U(rdfsbase, "", ".byte 0xf3, 0x0f, 0xae, 0xc0");
U(wrgsbase, "", ".byte 0xf3, 0x0f, 0xae, 0xd8");
U(xgetbv, "xorl %ecx, %ecx", ".byte 0x0f, 0x01, 0xd0");
U(rdpkru, "xorl %ecx, %ecx", ".byte 0x0f, 0x01, 0xee");
U(rdtscp, "", ".byte 0x0f, 0x01, 0xf9");
U(rdpid, "", ".byte 0xf3, 0x0f, 0xc7, 0xf8");
U(rdpmc, "xorl %ecx, %ecx", "rdpmc");
U(icebp, "", ".byte 0xf1");
U(getsec, "xorl %eax, %eax", ".byte 0x0f, 0x37");
U(stac, "", ".byte 0x0f, 0x01, 0xcb");
U(rsm, "", "rsm");
U(sgdt, "", "sgdtl user_stack");
U(sidt, "", "sidtl user_stack");
U(sldt, "", "sldt %eax");
U(str, "", "str %eax");
U(smsw, "", "smsw %eax");
U(lsl_monitor, "movl $0xf93, %eax", "lsl %eax, %ecx");
U(lar_kernel, "movl $0x10, %eax", "lar %eax, %ecx");
U(verw_kernel, "movl $0x18, %eax", "verw %ax");
U(aam, "", ".byte 0xd4, 0x00");
U(cs_invd, "", ".byte 0x2e, 0x0f, 0x08");
U(sysexit, "movl $u_sysexit_at, %edx; movl %esp, %ecx", "sysexit");

static const struct snippet exact[] = {
	SNIPPET(u_cli),	    SNIPPET(u_sti),	  SNIPPET(u_hlt),    SNIPPET(u_in),
	SNIPPET(u_out),	    SNIPPET(u_insb),	  SNIPPET(u_outsb),  SNIPPET(u_clts),
	SNIPPET(u_invd),    SNIPPET(u_wbinvd),	  SNIPPET(u_invlpg), SNIPPET(u_mov_cr0),
	SNIPPET(u_to_cr0),  SNIPPET(u_mov_cr3),	  SNIPPET(u_to_cr3), SNIPPET(u_to_cr4),
	SNIPPET(u_mov_dr7), SNIPPET(u_to_dr7),	  SNIPPET(u_to_dr0), SNIPPET(u_lmsw),
	SNIPPET(u_lgdt),    SNIPPET(u_lidt),	  SNIPPET(u_lldt),   SNIPPET(u_ltr),
	SNIPPET(u_rdmsr),   SNIPPET(u_wrmsr),	  SNIPPET(u_xsetbv), SNIPPET(u_monitor),
	SNIPPET(u_mwait),   SNIPPET(u_swapgs),	  SNIPPET(u_ud2),    SNIPPET(u_lock_nop),
	SNIPPET(u_int3),    SNIPPET(u_into),	  SNIPPET(u_bound),  SNIPPET(u_div),
	SNIPPET(u_aam),	    SNIPPET(u_long_insn),
};
static const struct snippet survived[] = {
	SNIPPET(u_vmcall),	SNIPPET(u_vmlaunch),   SNIPPET(u_vmrun),       SNIPPET(u_stgi),
	SNIPPET(u_rdfsbase),	SNIPPET(u_wrgsbase),   SNIPPET(u_xgetbv),      SNIPPET(u_rdpkru),
	SNIPPET(u_rdtscp),	SNIPPET(u_rdpid),      SNIPPET(u_rdpmc),       SNIPPET(u_icebp),
	SNIPPET(u_getsec),	SNIPPET(u_stac),       SNIPPET(u_rsm),	       SNIPPET(u_sgdt),
	SNIPPET(u_sidt),	SNIPPET(u_sldt),       SNIPPET(u_str),	       SNIPPET(u_smsw),
	SNIPPET(u_lsl_monitor), SNIPPET(u_lar_kernel), SNIPPET(u_verw_kernel), SNIPPET(u_cs_invd),
	SNIPPET(u_sysexit),
};

/* It has faulted at the instruction or has come to the end. */
static bool contained(const struct snippet *s)
{
	const u32 offset = trap.eip - (u32)s->at;

	return (trap.cs & 3) == 3 && offset < 32 && (trap.vector == VEC_DONE || trap.vector < 20);
}

static void instructions(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(exact); i++) {
		print_result(&exact[i], run_user(exact[i].fn));
		alive();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(survived); i++) {
		run_user(survived[i].fn);
		print("%s: %s\n", survived[i].name, contained(&survived[i]) ? "contained" : "LOST");
		alive();
	}
}

/* ---- int n ---- */
UCODE(u_int, "", ".byte 0xcd, 0");
CODE(k_int, "", ".byte 0xcd, 0");

static bool has_error(u32 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Nothing but the guest's own gate counts, whatever the number is to a host. */
static void interrupts(void)
{
	u32 refused = 0, taken = 0, kernel = 0;

	for (u32 v = 0; v < 256; v++) {
		volatile u8 *user = (u8 *)u_int_at, *own = (u8 *)k_int_at;
		const u64 before = idt[v];

		user[1] = own[1] = v;
		if (v != VEC_DONE)
			set_gate(v, ACC_P | ACC_INTGATE);
		run_user(u_int);
		refused += trap.vector == 13 && trap.error == v * 8 + 2 && trap.eip == (u32)user;
		if (has_error(v))
			continue; /* their stubs want an error code */
		kernel += try(k_int) == v && trap.eip == (u32)own + 2;
		set_gate(v, ACC_P | ACC_DPL(3) | ACC_INTGATE);
		run_user(u_int);
		taken += trap.vector == v && (trap.cs & 3) == 3 && trap.eip == (u32)user + 2;
		idt[v] = before;
	}
	print("int n of user code: %u refused, %u taken; of the kernel: %u\n", refused, taken,
	      kernel);
	alive();
}

/* ---- Stack pointers ---- */
UCODE(u_soft, "", "int $0x30");
UCODE(u_page, "", "movl %eax, 0x40000000");
UCODE(u_spin, "1: jmp 1b", "nop");
UCODE(u_nop, "", "nop; nop");

static void stop_spinning(struct regs *r)
{
	tick(r);
	if (r->cs & 3)
		r->eip = (u32)u_soft;
}

static void stacks(void)
{
	static const u32 esps[] = {0,	       1,	   3,	       0xfff,	   0x1000,
				   0x40000000, 0x40001000, 0x40001004, 0x40002000, 0x7fffffff,
				   0x80000000, 0xbfffffff, 0xc0000000, 0xc0000001, 0xfffff000,
				   0xfffff004, 0xfffffffc, 0xfffffffe, 0xffffffff};
	static const struct snippet ways[] = {SNIPPET(u_soft), SNIPPET(u_ud2), SNIPPET(u_page),
					      SNIPPET(u_hlt), SNIPPET(u_div)};

	*pte_of(0x40001000) = page_alloc() | PTE_P | PTE_U; /* read-only */
	for (unsigned i = 0; i < ARRAY_SIZE(esps); i++) {
		struct user_state s = user_state(u_soft);
		u32 good = 0;

		s.esp = esps[i];
		for (unsigned way = 0; way < ARRAY_SIZE(ways); way++) {
			s.eip = (u32)ways[way].fn;
			run_user_state(&s);
			good += trap.esp == s.esp && (trap.cs & 3) == 3 &&
				trap.eip - (u32)ways[way].at <= 2;
		}
		s.eip = (u32)u_nop;
		s.eflags |= FLAG_TF;
		good += run_user_state(&s) == 1 && trap.esp == s.esp;
		s.eflags &= ~FLAG_TF;
		s.eip = (u32)u_spin;
		trap_handlers[VEC_IRQ] = stop_spinning;
		pit_mode(0, 0, 100);
		pic_mask(0xfffe);
		good += run_user_state(&s) == VEC_DONE && trap.esp == s.esp;
		pic_mask(0xffff);
		trap_handlers[VEC_IRQ] = tick;
		print("esp %08x: %u of %u ways into the kernel\n", s.esp, good,
		      ARRAY_SIZE(ways) + 2);
		alive();
	}
}

/* ---- Flags ---- */
UCODE(u_popf, "pushl %eax; .byte 0x9d", "int $0x30");
UCODE(u_popf_in, "pushl $0x3202; .byte 0x9d", RAW "inb $0x21, %al");
UCODE(u_iret_flags, "pushl %eax; pushl %cs; pushl $u_soft; .byte 0xcf", "nop");
UCODE(u_iret_nt, "pushl $0x4202; .byte 0x9d; pushl $0x202; pushl %cs; pushl $u_soft", RAW_IRET);
UCODE(u_nt_syscall, "pushl $0x4202; .byte 0x9d", "int $0x30");

static void flags(void)
{
	/* All but TF: what would be stepped over differs. */
	static const u32 images[] = {
		0,	 FLAG_IOPL,	     FLAG_NT,	FLAG_AC, FLAG_ID, FLAG_RF, 0x20000,
		0x80000, 0x100000 /* VIP */, 0xfffffeff};
	static const struct snippet t[] = {SNIPPET(u_popf_in), SNIPPET(u_iret_nt),
					   SNIPPET(u_nt_syscall)};

	for (unsigned i = 0; i < ARRAY_SIZE(images); i++) {
		struct user_state s = user_state(u_popf);

		s.eax = images[i];
		run_user_state(&s);
		print("flags %08x: popf %02x ", images[i], trap.vector);
		print_flags(trap.eflags);
		print(" high %x", trap.eflags >> 16 & ~5u);
		alive();
		/* VM is ignored at CPL 3; QEMU 7.2 enters vm86 mode. */
		s.eax &= ~0x20000u;
		s.eip = (u32)u_iret_flags;
		run_user_state(&s);
		print(", iret %02x ", trap.vector);
		print_flags(trap.eflags);
		print(" high %x\n", trap.eflags >> 16 & ~5u);
		alive();
	}
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		print_result(&t[i], run_user(t[i].fn));
		alive();
	}
}

/* ---- Segments that a host must not have ---- */
#define DESC_L 0x2 /* 64-bit code, if the CPU has that */
USER_DATA struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) far;
/* 0x40 is `inc %eax`, and a prefix in 64-bit code. */
UCODE(u_landing, "xorl %eax, %eax", ".byte 0x40, 0x90");
UCODE(u_ljmp, "", "ljmp *far");
UCODE(u_lcall, "", "lcall *far");
UCODE(u_iret_to, "pushl $0x202; movzwl far + 4, %eax; pushl %eax; pushl far", RAW_IRET);
UCODE(u_lret_to, "movzwl far + 4, %eax; pushl %eax; pushl far", "lret");

static void to_segment(const char *what, u16 selector)
{
	static const struct snippet t[] = {SNIPPET(u_ljmp), SNIPPET(u_lcall), SNIPPET(u_iret_to),
					   SNIPPET(u_lret_to)};

	far.offset = (u32)u_landing;
	far.selector = selector;
	print("%s:", what);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		run_user(t[i].fn);
		if (trap.vector == VEC_DONE)
			print(" cs=%04x %s", trap.cs & 0xffff, trap.eax == 1 ? "32-bit" : "WRONG");
		else
			print(" %u(%04x)%s", trap.vector, trap.error,
			      trap.eip == (u32)t[i].at ? "" : " elsewhere");
		alive();
	}
	print("\n");
}

static void segments(void)
{
	const u32 user_code = ACC_P | ACC_DPL(3) | ACC_CODE_R;
	const u16 selector = TEST_SEL(0) | 3;
	u64 *d = &gdt[GDT_TEST];

	*d = descriptor(0, 0xfffff, user_code, DESC_32 | DESC_4K | DESC_L);
	to_segment("64-bit and 32-bit code", selector);
	*d = descriptor(0, 0xfffff, user_code | ACC_ACCESSED, DESC_32 | DESC_4K | DESC_L);
	to_segment("the same, accessed", selector);
	*d = descriptor(0, 0xfffff, ACC_P | ACC_CODE_R, DESC_32 | DESC_4K);
	to_segment("kernel code", selector);
	to_segment("kernel code, RPL 0", TEST_SEL(0));
	*d = descriptor(0, 0xfffff, ACC_P | ACC_DPL(1) | ACC_CODE_R, DESC_32 | DESC_4K);
	to_segment("code of DPL 1", selector);
	*d = descriptor(0, 0xfffff, ACC_P | ACC_CONF_R, DESC_32 | DESC_4K | DESC_L);
	to_segment("conforming, DPL 0", selector);
	*d = gate(ACC_P | ACC_CALLGATE, SEL_KCODE, (u32)u_landing, 0);
	to_segment("call gate of DPL 0", selector);
	*d = gate(ACC_P | ACC_DPL(3) | 0x5, SEL_TSS, 0, 0);
	*d &= ~(1ull << 47);
	to_segment("task gate, absent", selector);
	*d = gate(ACC_P | 0x5, SEL_TSS, 0, 0);
	to_segment("task gate of DPL 0", selector);
	*d = descriptor((u32)&tss, 103, ACC_P | ACC_TSS, 0);
	to_segment("TSS", selector);
	*d = descriptor((u32)&tss, 103, ACC_P | ACC_DPL(3) | ACC_TSS_BUSY, 0);
	to_segment("busy TSS of DPL 3", selector);
	*d = descriptor(0, 0xffff, ACC_P | ACC_DPL(3) | ACC_LDT, 0);
	to_segment("LDT of DPL 3", selector);
	for (u8 type = 0; type < 16; type++) {
		if (type == 1 || type == 4 || type == 5 || type == 9 || type == 12 || type == 3 ||
		    type == 11)
			continue; /* task switches and gates, above */
		*d = descriptor(0, 0xffff, ACC_P | ACC_DPL(3) | type, 0);
		print("type %u, ", type);
		to_segment("system", selector);
	}
	to_segment("current TSS", SEL_TSS | 3);
	to_segment("null", 3);
	*d = 0;
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC_IRQ] = tick;
	alive();
	print("instructions\n");
	instructions();
	print("interrupts\n");
	interrupts();
	print("stacks\n");
	stacks();
	print("flags\n");
	flags();
	print("segments\n");
	segments();
	check(!broken, "the machine has worked all the time");
	guest_exit(0);
}
