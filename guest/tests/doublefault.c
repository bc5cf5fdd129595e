/*
 * Test guest: faults while a fault is delivered (SDM vol. 3, 6.15, interrupt 8, table 6-5).
 *
 * Contributory (#DE #TS #NP #SS #GP) upon contributory, and #PF or contributory upon #PF, make a
 * #DF with error code 0; everything else is delivered in turn. The saved CS:EIP of #DF is undefined
 * and not printed; the EXT bit of the nested faults is masked (QEMU 7.2 never sets it).
 */
#include "guest.h"

CODE(k_gp, "movl $0x18 | 4, %eax", "movl %eax, %es"); /* no LDT */
CODE(k_np, "movl $0x80, %eax", "movl %eax, %es");
CODE(k_de, "xorl %ecx, %ecx; xorl %edx, %edx", "divl %ecx");
CODE(k_ud, "", "ud2");
CODE(k_pf, "", "movl 0x40000000, %eax");
CODE(k_bp, "", "int3");
CODE(k_int, "", "int $0x50");
UCODE(u_gp, "", RAW "hlt");
UCODE(u_pf, "", "movl 0x40000000, %eax");
UCODE(u_ud, "", "ud2");

static const struct snippet all[] = {SNIPPET(k_gp), SNIPPET(k_np), SNIPPET(k_de), SNIPPET(k_ud),
				     SNIPPET(k_pf), SNIPPET(k_bp), SNIPPET(k_int)};
static const struct snippet user[] = {SNIPPET(u_gp), SNIPPET(u_pf), SNIPPET(u_ud)};

static void show(const struct snippet *s, u32 vector)
{
	print("  %s: ", s->name);
	if (vector == 8)
		print("#DF(%x)\n", trap.error);
	else
		print("vector %u(%x)\n", vector, trap.error & ~1u);
}

static void run_all(const char *title)
{
	print("%s\n", title);
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		show(&all[i], try(all[i].fn));
	for (unsigned i = 0; i < ARRAY_SIZE(user); i++)
		show(&user[i], run_user(user[i].fn));
}

static void present(u8 vector, bool yes)
{
	set_gate(vector, (yes ? ACC_P : 0) | (vector == VEC_DONE ? ACC_DPL(3) : 0) | ACC_INTGATE);
}

/* The IDT across two pages of the window, of which one is not there. */
static void split_idt(void)
{
	u32 pages[2] = {page_alloc(), page_alloc()};
	/* Vectors 0 to 14 on the first page, 15 and up on the second. */
	u32 base = WINDOW + 0x10000 + PAGE - 15 * 8;
	u32 i;

	for (i = 0; i < 2; i++)
		*pte_of(WINDOW + 0x10000 + i * PAGE) = pages[i] | PTE_P | PTE_W;
	tlb_flush();
	for (i = 0; i < 256; i++)
		((volatile u64 *)base)[i] = idt[i];
	*pte_of(WINDOW + 0x11000) = 0;
	tlb_flush();
	load_idt_at((void *)base, 256 * 8 - 1);
	print("IDT, vectors from 15 on not mapped\n");
	show(&all[6], try(k_int));
	print("  cr2 is gate 0x50: %u\n", trap_cr2 == base + 0x50 * 8);
	set_idt_limit(sizeof(idt) - 1);

	/* Vector 0 alone on the first page: a contributory fault, then #PF: delivered in turn. */
	base = WINDOW + 0x11000 - 8;
	*pte_of(WINDOW + 0x11000) = pages[1] | PTE_P | PTE_W;
	tlb_flush();
	for (i = 0; i < 256; i++)
		((volatile u64 *)base)[i] = idt[i];
	*pte_of(WINDOW + 0x10000) = 0;
	tlb_flush();
	load_idt_at((void *)base, 256 * 8 - 1);
	print("IDT, vector 0 not mapped\n");
	show(&all[2], try(k_de));
	print("  cr2 is gate 0: %u, eip is the div: %u\n", trap_cr2 == base,
	      trap.eip == (u32)k_de_at);
	set_idt_limit(sizeof(idt) - 1);
}

/* The kernel stack cannot be pushed to: user code's fault becomes #PF upon a benign one, and #DF
 * upon #PF; each on its own would need that stack again, so the handlers are of user code's level.
 */
UCODE(df_handler, "popl %ebx; movl $0xdf, %eax; movl trap_stack_top_word, %ecx; movl %ecx, tss + 4",
      "int $0x30");
UCODE(pf_handler, "popl %ebx; movl $0xef, %eax; movl trap_stack_top_word, %ecx; movl %ecx, tss + 4",
      "int $0x30");
USER_DATA u32 trap_stack_top_word;

static void bad_kernel_stack(void)
{
	trap_stack_top_word = (u32)trap_stack_top;
	*pte_of((u32)&tss) |= PTE_U;
	tlb_flush();
	idt[8] = gate(ACC_P | ACC_INTGATE, SEL_UCODE, (u32)df_handler, 0);
	print("kernel stack not mapped\n");
	tss.esp0 = WINDOW + 0x8000;
	run_user(u_pf);
	print("  #PF: %s(%x)\n", trap.eax == 0xdf ? "#DF" : "?", trap.ebx);
	idt[14] = gate(ACC_P | ACC_INTGATE, SEL_UCODE, (u32)pf_handler, 0);
	tss.esp0 = WINDOW + 0x8000;
	run_user(u_ud);
	print("  #UD: %s(%x) cr2 %08x\n", trap.eax == 0xef ? "#PF" : "?", trap.ebx, trap_cr2);
	tss.esp0 = WINDOW + 0x8000;
	run_user(u_gp);
	print("  #GP: %s(%x) cr2 %08x\n", trap.eax == 0xef ? "#PF" : "?", trap.ebx, trap_cr2);
	present(8, true);
	present(14, true);
	*pte_of((u32)&tss) &= ~PTE_U;
	tlb_flush();
}

void guest_main(void)
{
	paging_init();
	gdt[GDT_TEST] = descriptor(0, 0xfffff, ACC_DATA_W, DESC_32 | DESC_4K);
	run_all("all gates present");
	present(13, false);
	run_all("#GP gate not present");
	present(13, true);
	present(11, false);
	run_all("#NP gate not present");
	present(11, true);
	present(0, false);
	present(14, false);
	run_all("#DE and #PF gates not present");
	present(0, true);
	present(14, true);
	present(6, false);
	present(3, false);
	present(0x50, false);
	run_all("#UD, #BP and int 0x50 gates not present");
	present(6, true);
	present(3, true);
	present(0x50, true);
	set_idt_limit(13 * 8 - 1);
	run_all("IDT ends before #GP");
	set_idt_limit(sizeof(idt) - 1);
	/* The handler's code segment is not present: that fault counts as well. */
	gdt[GDT_TEST + 1] = descriptor(0, 0xfffff, ACC_CODE_R, DESC_32 | DESC_4K);
	idt[13] = gate(ACC_P | ACC_INTGATE, TEST_SEL(1), trap_stub(13), 0);
	run_all("#GP handler's segment not present");
	present(13, true);
	split_idt();
	bad_kernel_stack();
	guest_exit(0);
}
