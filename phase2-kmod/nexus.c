/*
 * A machine's nexus: its descriptor tables, and one trip into the guest.
 *
 * Owns: the pages of nexus.h, and what of the CPU must not be the host's while the guest runs: the
 * MSRs of SYSCALL and SYSENTER, debug registers, CR3.
 */
#include "plex86.h"
#include <linux/hw_breakpoint.h>
#include <linux/vmalloc.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

/* nexus.S */
extern char nexus_start[], nexus_end[], nexus_stubs[];
extern void *const nexus_ist_stubs[3];
asmlinkage void nexus_switch(void *nexus);
asmlinkage void nexus_raise(u32 vector);

#define NX16(m, offset) (*(u16 *)((m)->nexus + (offset)))
#define NX32(m, offset) (*(u32 *)((m)->nexus + (offset)))
#define NX64(m, offset) (*(u64 *)((m)->nexus + (offset)))

#define STUB_BYTES   16
#define FIRST_IRQ    32
#define INT80	     0x80
#define PCID_MONITOR 0x7f0 /* outside the host's */
/* The host's IST numbers: its TSS may be in force with our IDT for some instructions. */
enum { IST_DF = 1, IST_NMI = 2, IST_MC = 4 };

#define GUEST_FLAGS                                                                                \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

int nexus_supported(void)
{
	if (boot_cpu_has(X86_FEATURE_XENPV) || !boot_cpu_has(X86_FEATURE_FSGSBASE) ||
	    !boot_cpu_has(X86_FEATURE_NX))
		return -ENODEV;
	return 0;
}

/* ------------------------------------------------------------- tables ---- */

static void set_gate(struct machine *m, unsigned vector, const void *handler, unsigned dpl,
		     unsigned ist)
{
	const u64 at = (u64)handler;
	u32 *gate = (u32 *)(m->nexus + NX_IDT + 16 * vector);

	gate[0] = NX_SEL_CS << 16 | (at & 0xffff);
	gate[1] = (at & 0xffff0000) | 0x8e00 | dpl << 13 | ist;
	gate[2] = at >> 32;
	gate[3] = 0;
}

static void set_table(struct machine *m, unsigned offset, unsigned table, u16 limit)
{
	NX16(m, offset) = limit;
	*(u64 __aligned(1) *)(m->nexus + offset + 2) = (u64)m->nexus + table;
}

/* A 16-byte system descriptor. */
static void set_system(struct machine *m, unsigned offset, unsigned table, u16 limit, u64 type)
{
	const u64 base = (u64)m->nexus + table;

	NX64(m, offset) = limit | (base & 0xffffff) << 16 | (0x80 | type) << 40 |
			  (base >> 24 & 0xff) << 56;
	NX64(m, offset + 8) = base >> 32;
}

/* The descriptors of the monitor, in both GDTs. */
static void set_monitor_descriptors(struct machine *m, unsigned gdt)
{
	NX64(m, gdt + NX_SEL_CS) = 0x00af9b000000ffffull; /* 64-bit code, DPL 0 */
	set_system(m, gdt + NX_SEL_TSS, NX_TSS, 0x67, 9);
	set_system(m, gdt + NX_SEL_LDT, NX_LDT, NX_LDT_BYTES - 1, 2);
}

static void set_tss(struct machine *m)
{
	u8 *tss = m->nexus + NX_TSS;
	const u64 rsp0 = (u64)m->nexus + NX_FRAME, df = (u64)m->nexus + NX_DF_TOP,
		  nmi = (u64)m->nexus + NX_NMI_TOP, mc = (u64)m->nexus + NX_MC_TOP;

	memcpy(tss + 4, &rsp0, 8);
	memcpy(tss + 36 + 8 * (IST_DF - 1), &df, 8);
	memcpy(tss + 36 + 8 * (IST_NMI - 1), &nmi, 8);
	memcpy(tss + 36 + 8 * (IST_MC - 1), &mc, 8);
	tss[102] = 0x68; /* no I/O bitmap */
}

static void set_idt(struct machine *m)
{
	for (unsigned i = 0; i < 256; i++) {
		/* What the guest's own int3, into and int $0x80 come through; all others are #GP. */
		const unsigned dpl = i == EXC_BP || i == EXC_OF || i == INT80 ? 3 : 0;

		set_gate(m, i, nexus_stubs + STUB_BYTES * i, dpl, 0);
	}
	set_gate(m, EXC_DF, nexus_ist_stubs[0], 0, IST_DF);
	set_gate(m, EXC_NMI, nexus_ist_stubs[1], 0, IST_NMI);
	set_gate(m, EXC_MC, nexus_ist_stubs[2], 0, IST_MC);
}

void nexus_set_descriptor(struct machine *m, bool ldt, unsigned index, u64 d)
{
	const u64 s = 1ull << 44, dpl3 = 3ull << 45, code = 1ull << 43, conforming = 1ull << 42,
		  l = 1ull << 53;

	if (!(d & s))
		d = 0;
	else
		d |= dpl3;
	if (d & code)
		d &= ~(l | conforming);
	NX64(m, (ldt ? NX_LDT : NX_GDT) + 8 * index) = d;
}

/* Map what the switch needs at the host's own addresses, for supervisors. */
static int map_nexus(struct machine *m)
{
	u64 *entry;

	for (u64 at = (u64)m->nexus; at < (u64)m->nexus + NX_PAGES * PAGE_SIZE; at += PAGE_SIZE) {
		entry = tables_entry(m, at, true);
		if (!entry)
			return -ENOMEM;
		*entry = virt_to_phys((void *)at) | _PAGE_PRESENT | _PAGE_RW | _PAGE_NX;
	}
	for (u64 at = (u64)nexus_start; at < (u64)nexus_end; at += PAGE_SIZE) {
		entry = tables_entry(m, at, true);
		if (!entry)
			return -ENOMEM;
		*entry = (u64)vmalloc_to_pfn((void *)at) << PAGE_SHIFT | _PAGE_PRESENT;
	}
	return 0;
}

int nexus_create(struct machine *m)
{
	m->nexus = (u8 *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, NX_ORDER);
	if (!m->nexus)
		return -ENOMEM;
	set_tss(m);
	set_idt(m);
	set_monitor_descriptors(m, NX_GDT);
	set_monitor_descriptors(m, NX_T);
	nexus_set_descriptor(m, false, HOST_FLAT_CS >> 3, 0x00cffb000000ffffull);
	nexus_set_descriptor(m, false, HOST_FLAT_DS >> 3, 0x00cff3000000ffffull);
	set_table(m, NX_MON_GDTR, NX_GDT, PAGE_SIZE - 1);
	set_table(m, NX_T_GDTR, NX_T, PAGE_SIZE - 1);
	set_table(m, NX_MON_IDTR, NX_IDT, PAGE_SIZE - 1);
	return map_nexus(m);
}

void nexus_destroy(struct machine *m)
{
	free_pages((unsigned long)m->nexus, NX_ORDER);
}

/* ---------------------------------------------------------- one trip ---- */

static void load_guest(struct machine *m)
{
	const struct vcpu *cpu = &m->vm.cpu;

	NX64(m, NX_RAX) = cpu->gpr[GPR_AX];
	NX64(m, NX_RCX) = cpu->gpr[GPR_CX];
	NX64(m, NX_RDX) = cpu->gpr[GPR_DX];
	NX64(m, NX_RBX) = cpu->gpr[GPR_BX];
	NX64(m, NX_RBP) = cpu->gpr[GPR_BP];
	NX64(m, NX_RSI) = cpu->gpr[GPR_SI];
	NX64(m, NX_RDI) = cpu->gpr[GPR_DI];
	NX64(m, NX_RSP) = (u32)cpu->gpr[GPR_SP];
	NX64(m, NX_RIP) = (u32)cpu->rip;
	NX64(m, NX_RFLAGS) = (cpu->rflags & GUEST_FLAGS) | FLAG_IF | FLAG_ONE;
	NX64(m, NX_CS) = cpu->hw_selector[SEG_CS] | 3;
	NX64(m, NX_SS) = cpu->hw_selector[SEG_SS] | 3;
	NX32(m, NX_DS) = cpu->hw_selector[SEG_DS];
	NX32(m, NX_ES) = cpu->hw_selector[SEG_ES];
	NX32(m, NX_FS) = cpu->hw_selector[SEG_FS];
	NX32(m, NX_GS) = cpu->hw_selector[SEG_GS];
}

static void save_guest(struct machine *m, u16 hw[SEG_COUNT])
{
	struct vcpu *cpu = &m->vm.cpu;

	cpu->gpr[GPR_AX] = NX32(m, NX_RAX);
	cpu->gpr[GPR_CX] = NX32(m, NX_RCX);
	cpu->gpr[GPR_DX] = NX32(m, NX_RDX);
	cpu->gpr[GPR_BX] = NX32(m, NX_RBX);
	cpu->gpr[GPR_BP] = NX32(m, NX_RBP);
	cpu->gpr[GPR_SI] = NX32(m, NX_RSI);
	cpu->gpr[GPR_DI] = NX32(m, NX_RDI);
	cpu->gpr[GPR_SP] = NX32(m, NX_RSP);
	cpu->rip = NX32(m, NX_RIP);
	cpu->rflags = NX32(m, NX_RFLAGS);
	hw[SEG_CS] = NX64(m, NX_CS);
	hw[SEG_SS] = NX64(m, NX_SS);
	hw[SEG_DS] = NX32(m, NX_DS);
	hw[SEG_ES] = NX32(m, NX_ES);
	hw[SEG_FS] = NX32(m, NX_FS);
	hw[SEG_GS] = NX32(m, NX_GS);
}

/* The host's tables on this CPU, for this task. */
static void note_host(struct machine *m)
{
	struct desc_ptr d;

	native_store_gdt(&d);
	memcpy(m->nexus + NX_HOST_GDTR, &d, sizeof(d));
	memcpy(m->nexus + NX_T, (void *)d.address, GDT_SIZE);
	store_idt(&d);
	memcpy(m->nexus + NX_HOST_IDTR, &d, sizeof(d));
	NX64(m, NX_MON_CR3) = virt_to_phys(m->root);
	NX64(m, NX_NOFLUSH) = 0;
	if (__read_cr4() & X86_CR4_PCIDE) {
		NX64(m, NX_NOFLUSH) = 1ull << 63;
		NX64(m, NX_MON_CR3) |= PCID_MONITOR;
	}
}

/* A guest's SYSCALL or SYSENTER would come to the host's entry points on the monitor's CR3. */
static void switch_unsyscalled(struct machine *m)
{
	const bool breakpoints = hw_breakpoint_active();
	u64 efer, sysenter_cs;

	rdmsrl(MSR_EFER, efer);
	rdmsrl(MSR_IA32_SYSENTER_CS, sysenter_cs);
	wrmsrl(MSR_EFER, efer & ~EFER_SCE);
	wrmsrl(MSR_IA32_SYSENTER_CS, 0);
	if (breakpoints)
		set_debugreg(0, 7);
	nexus_switch(m->nexus);
	if (breakpoints)
		hw_breakpoint_restore();
	wrmsrl(MSR_IA32_SYSENTER_CS, sysenter_cs);
	wrmsrl(MSR_EFER, efer);
}

/* What came while switching. */
static void raise_pending(struct machine *m)
{
	if (NX32(m, NX_PENDING_NMI)) {
		NX32(m, NX_PENDING_NMI) = 0;
		nexus_raise(EXC_NMI);
	}
	if (NX32(m, NX_PENDING_MC)) {
		NX32(m, NX_PENDING_MC) = 0;
		nexus_raise(EXC_MC);
	}
}

int nexus_run(struct machine *m, struct trap *trap, u16 hw[SEG_COUNT])
{
	u64 vector;

	local_irq_disable();
	note_host(m);
	load_guest(m);
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	switch_unsyscalled(m);
	vector = NX64(m, NX_VECTOR);
	if ((s64)vector < 0)
		vector &= 0xff;
	raise_pending(m);
	if (vector == EXC_DB)
		set_debugreg(DR6_RESERVED, 6);
	if (vector != NX_ABORTED && vector != NX_FAULTED)
		save_guest(m, hw);
	if (vector == EXC_NMI || vector == EXC_MC ||
	    (vector >= FIRST_IRQ && vector < 256 && vector != INT80)) {
		nexus_raise(vector);
		local_irq_enable();
		return -1;
	}
	local_irq_enable();
	if (vector == NX_ABORTED)
		return NX_ABORTED; /* nothing to be saved */
	*trap = (struct trap){
		.vector = vector,
		.error = vector == NX_FAULTED ? NX64(m, NX_FAULT_RIP) : NX32(m, NX_ERROR),
		.address = NX64(m, NX_CR2),
	};
	return vector;
}
