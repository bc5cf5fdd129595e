/*
 * Test guest: control and debug registers, clts and lmsw, and the instructions that only a kernel
 * may execute (SDM vol. 3, 2.5, 2.8 and 17.2).
 *
 * Left out: smsw, sgdt, sidt, sldt, str (not virtualizable under UMIP); reserved combinations that
 * QEMU 7.2 lets pass (CR0.PG without PE, NW without CD); unknown MSRs (it reads 0, the SDM wants
 * #GP); debug registers in use.
 */
#include "guest.h"

#define DR_ACCESS(n)                                           \
	static u32 dr##n##_get(void)                           \
	{                                                      \
		u32 v;                                         \
		asm volatile("movl %%dr" #n ", %0" : "=r"(v)); \
		return v;                                      \
	}                                                      \
	static void dr##n##_set(u32 v)                         \
	{                                                      \
		asm volatile("movl %0, %%dr" #n : : "r"(v));   \
	}
DR_ACCESS(0)
DR_ACCESS(1)
DR_ACCESS(2)
DR_ACCESS(3)
DR_ACCESS(6)
DR_ACCESS(7)

static void cr0(void)
{
	u32 start = cr0_get();
	static const u32 bits[] = {CR0_MP, CR0_EM, CR0_TS, CR0_NE, CR0_WP, CR0_AM};

	print("cr0 PE %u PG %u ET %u\n", start & 1, start >> 31, start >> 4 & 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		cr0_set(start & ~bits[i]);
		print("bit %05x: %u", bits[i], !!(cr0_get() & bits[i]));
		cr0_set(start | bits[i]);
		print(" %u\n", !!(cr0_get() & bits[i]));
	}
	cr0_set(start & ~0x10u);
	print("ET stays: %u\n", cr0_get() >> 4 & 1);
	cr0_set(start | CR0_TS);
	asm volatile("clts");
	print("clts: TS %u\n", !!(cr0_get() & CR0_TS));
	/* lmsw: the low four bits; it can set PE but not clear it. */
	asm volatile("lmsw %w0" : : "r"(0xffff));
	print("lmsw ffff: %x\n", cr0_get() & 0xf);
	asm volatile("lmsw %w0" : : "r"(0));
	print("lmsw 0: %x, WP %u PG %u\n", cr0_get() & 0xf, !!(cr0_get() & CR0_WP),
	      cr0_get() >> 31);
	u16 word = 0xa;

	asm volatile("lmsw %0" : : "m"(word));
	print("lmsw from memory: %x\n", cr0_get() & 0xf);
	cr0_set(start);
	check(cr0_get() == start, "cr0 is as at the start");
}

static void cr2_cr3(void)
{
	cr2_set(0x12345678);
	print("cr2 %08x\n", cr2_get());
	cr2_set(0xffffffff);
	print("cr2 %08x\n", cr2_get());
	u32 start = cr3_get();

	check(start == (u32)page_dir, "cr3 is the directory");
	cr3_set(start | 0x18); /* PWT, PCD */
	print("cr3 low bits %03x\n", cr3_get() & 0xfff);
	cr3_set(start);
}

static void cr4(void)
{
	static const u32 bits[] = {CR4_PSE, CR4_PGE, CR4_OSFXSR, 0x400, 0x8};
	u32 start = cr4_get();

	print("cr4 %x\n", start);
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		cr4_set(start | bits[i]);
		print("bit %03x: %u", bits[i], !!(cr4_get() & bits[i]));
		cr4_set(start);
		print(" %u\n", !!(cr4_get() & bits[i]));
	}
}

CODE(k_cr1, "", ".byte 0x0f, 0x20, 0xc8"); /* mov %cr1, %eax */
CODE(k_cr5, "", ".byte 0x0f, 0x20, 0xe8");
CODE(k_cr7, "", ".byte 0x0f, 0x22, 0xf8");
CODE(k_cr0_mod, "", ".byte 0x0f, 0x20, 0x03"); /* mod bits are ignored: mov %cr0, %ebx */
CODE(k_wbinvd, "", "wbinvd");
CODE(k_lmsw, "movl %cr0, %eax", "lmsw %ax");
CODE(k_lgdt_reg, "", ".byte 0x0f, 0x01, 0xd2");

static const struct snippet kernel[] = {
	SNIPPET(k_cr1),	   SNIPPET(k_cr5),  SNIPPET(k_cr7),	 SNIPPET(k_cr0_mod),
	SNIPPET(k_wbinvd), SNIPPET(k_lmsw), SNIPPET(k_lgdt_reg),
};

static void debug_registers(void)
{
	dr0_set(0x11111111);
	dr1_set(0x22222222);
	dr2_set(0x33333333);
	dr3_set(0x44444444);
	print("dr0-3 %08x %08x %08x %08x\n", dr0_get(), dr1_get(), dr2_get(), dr3_get());
	dr6_set(0xffff0ff0);
	print("dr6 %08x", dr6_get());
	dr6_set(0xffffefff);
	print(" all set %08x\n", dr6_get() & 0xe00f);
	dr6_set(0xffff0ff0);
	dr7_set(0x400);
	print("dr7 %08x\n", dr7_get());
	dr0_set(0);
	dr1_set(0);
	dr2_set(0);
	dr3_set(0);
}

UCODE(u_cr0, "", "movl %cr0, %eax");
UCODE(u_cr2, "", "movl %cr2, %eax");
UCODE(u_cr3, "", "movl %eax, %cr3");
UCODE(u_cr4, "", "movl %cr4, %eax");
UCODE(u_dr0, "", "movl %dr0, %eax");
UCODE(u_dr7, "", "movl %eax, %dr7");
UCODE(u_clts, "", "clts");
UCODE(u_lmsw, "movl $1, %eax", "lmsw %ax");
UCODE(u_invlpg, "", RAW "invlpg 0x40000000");
UCODE(u_wbinvd, "", "wbinvd");
UCODE(u_invd, "", "invd");
UCODE(u_hlt, "", RAW "hlt");
UCODE(u_lgdt, "", "lgdt user_table");
UCODE(u_lidt, "", "lidt user_table");
UCODE(u_lldt, "", "lldt %ax");
UCODE(u_ltr, "", "ltr %ax");
UCODE(u_rdmsr, "movl $0x10, %ecx", "rdmsr");
UCODE(u_wrmsr, "movl $0x10, %ecx", "wrmsr");
USER_DATA u8 user_table[6];

static const struct snippet user[] = {
	SNIPPET(u_cr0),	 SNIPPET(u_cr2),   SNIPPET(u_cr3),   SNIPPET(u_cr4),	SNIPPET(u_dr0),
	SNIPPET(u_dr7),	 SNIPPET(u_clts),  SNIPPET(u_lmsw),  SNIPPET(u_invlpg), SNIPPET(u_wbinvd),
	SNIPPET(u_invd), SNIPPET(u_hlt),   SNIPPET(u_lgdt),  SNIPPET(u_lidt),	SNIPPET(u_lldt),
	SNIPPET(u_ltr),	 SNIPPET(u_rdmsr), SNIPPET(u_wrmsr),
};

/* The tables moved under way: a copy of the GDT and of the IDT, then back. */
static void tables(void)
{
	static u64 gdt_copy[GDT_SIZE], idt_copy[256];
	struct {
		u16 pad, limit;
		u32 base;
	} __attribute__((packed)) p = {0, sizeof(gdt_copy) - 1, (u32)gdt_copy};

	for (unsigned i = 0; i < GDT_SIZE; i++)
		gdt_copy[i] = gdt[i];
	for (unsigned i = 0; i < 256; i++)
		idt_copy[i] = idt[i];
	gdt_copy[GDT_TEST] = gdt[SEL_KDATA / 8];
	idt_copy[0x50] = idt_copy[3];
	asm volatile("lgdt %0" : : "m"(p.limit), "m"(p));
	asm volatile("movl $0x80, %%eax; movl %%eax, %%es; movl $0x2b, %%eax; movl %%eax, %%es"
		     :
		     :
		     : "eax");
	load_idt_at(idt_copy, sizeof(idt_copy) - 1);
	load_gdt(GDT_SIZE * 8 - 1);
	set_idt_limit(sizeof(idt) - 1);
	print("tables moved and back\n");
}

void guest_main(void)
{
	paging_init();
	cr0();
	cr2_cr3();
	cr4();
	debug_registers();
	try_snippets(kernel, ARRAY_SIZE(kernel));
	tables();
	run_user_snippets(user, ARRAY_SIZE(user));
	guest_exit(0);
}
