/*
 * Descriptor tables of the test guests.
 *
 * Owns: GDT, IDT and TSS. The selectors are in guest.h: 0x23 and 0x2b are flat in a 64-bit Linux
 * process as well, so plex86 loads them without a trap; the entries from GDT_TEST on are the
 * tests' own.
 */
#include "guest.h"

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
	u64 d = limit & 0xffff;

	d |= (u64)(base & 0xffffff) << 16;
	d |= (u64)access << 40;
	d |= (u64)(limit >> 16 & 0xf) << 48;
	d |= (u64)(flags & 0xf) << 52;
	d |= (u64)(base >> 24) << 56;
	return d;
}

u64 gate(u8 type_and_dpl, u16 selector, u32 offset, u8 count)
{
	u64 d = offset & 0xffff;

	d |= (u64)selector << 16;
	d |= (u64)(count & 0x1f) << 32;
	d |= (u64)type_and_dpl << 40;
	d |= (u64)(offset >> 16) << 48;
	return d;
}

/* Flat, 4 GiB, accessed: a CPU that loads them need not write the GDT. */
#define FLAT(access) (0x00cf00000000ffffull | (u64)((access) | ACC_ACCESSED) << 40)

u64 gdt[GDT_SIZE] __attribute__((aligned(4096))) = {
	[SEL_KCODE / 8] = FLAT(ACC_P | ACC_CODE_R),
	[SEL_KDATA / 8] = FLAT(ACC_P | ACC_DATA_W),
	[SEL_UCODE / 8] = FLAT(ACC_P | ACC_DPL(3) | ACC_CODE_R),
	[SEL_UDATA / 8] = FLAT(ACC_P | ACC_DPL(3) | ACC_DATA_W),
};
u64 idt[256] __attribute__((aligned(4096)));
struct tss tss __attribute__((aligned(4096)));

struct table_pointer {
	u16 pad, limit;
	u32 base;
} __attribute__((packed, aligned(4)));

void load_idt_at(void *base, u16 limit)
{
	struct table_pointer p = {.limit = limit, .base = (u32)base};

	asm volatile("lidt %0" : : "m"(p.limit), "m"(p));
}

void set_idt_limit(u16 limit)
{
	load_idt_at(idt, limit);
}

void load_gdt(u16 limit)
{
	struct table_pointer p = {.limit = limit, .base = (u32)gdt};

	asm volatile("lgdt %0" : : "m"(p.limit), "m"(p));
}

void load_tss(u32 limit)
{
	gdt[SEL_TSS / 8] = descriptor((u32)&tss, limit, ACC_P | ACC_TSS, 0);
	asm volatile("ltr %w0" : : "r"(SEL_TSS) : "memory");
}

/* Called from boot.S before guest_main(). */
void tables_init(void)
{
	for (unsigned v = 0; v < ARRAY_SIZE(idt); v++)
		set_gate(v, ACC_P | ACC_INTGATE);
	set_gate(VEC_DONE, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	set_idt_limit(sizeof(idt) - 1);
	tss.esp0 = (u32)trap_stack_top;
	tss.ss0 = SEL_KDATA;
	tss.iomap_base = __builtin_offsetof(struct tss, iomap);
	for (unsigned i = 0; i < sizeof(tss.iomap); i++)
		tss.iomap[i] = 0xff;
	load_tss(TSS_LIMIT_NO_IOMAP);
	/* After reset LDTR is not null but empty-handed: base 0, limit 0xffff. */
	asm volatile("lldt %w0" : : "r"(0));
}
