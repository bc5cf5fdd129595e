/*
 * A machine's nexus: its descriptor tables, and being away in them.
 *
 * Owns: the pages of nexus.h, and what of the CPU must not be the host's while the guest may run:
 * the MSRs of SYSCALL and SYSENTER, debug registers, CR4.TSD and PKE, PKRU, CR3.
 *
 * Away, interrupts are off, and the module's own code runs as well, so that most traps cost no
 * change of CR3 or of tables. What wants the host as it is (interrupts, sleeping, allocation) goes
 * home first.
 */
#include "plex86.h"
#include "../common/stubs.h"
#include <linux/hw_breakpoint.h>
#include <asm/apic.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

/* nexus.S */
extern char nexus_stubs[];
extern void *const nexus_ist_stubs[3], *const nexus_int80_stub;
asmlinkage void nexus_depart(void *nexus);
asmlinkage void nexus_arrive(void *nexus);
asmlinkage void nexus_enter(void *nexus);
asmlinkage void nexus_raise(u32 vector);

#define NX16(m, offset) (*(u16 *)((m)->nexus + (offset)))
#define NX32(m, offset) (*(u32 *)((m)->nexus + (offset)))
#define NX64(m, offset) (*(u64 *)((m)->nexus + (offset)))

#define STUB_BYTES   16
#define FIRST_IRQ    32
#define PCID_MONITOR 0x700 /* and one more for each view; the host's are others */
#define NOFLUSH	     (1ull << 63)
/* The host's IST numbers: its TSS may be in force with our IDT for some instructions. */
enum { IST_DF = 1, IST_NMI = 2, IST_MC = 4 };

#define GUEST_FLAGS                                                                                \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

int nexus_supported(void)
{
#ifdef X86_FEATURE_FRED
	if (cpu_feature_enabled(X86_FEATURE_FRED)) /* has no IDT */
		return -ENODEV;
#endif
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

	gate[0] = NX_HOST_CS << 16 | (at & 0xffff);
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

	NX64(m, offset) =
		limit | (base & 0xffffff) << 16 | (0x80 | type) << 40 | (base >> 24 & 0xff) << 56;
	NX64(m, offset + 8) = base >> 32;
}

/* What of the GDT is not the guest's. */
static void set_gdt(struct machine *m)
{
	NX64(m, NX_GDT + NX_HOST_CS) = 0x00af9b000000ffffull;
	NX64(m, NX_GDT + NX_HOST_SS) = 0x00cf93000000ffffull;
	set_system(m, NX_GDT + NX_SEL_TSS, NX_TSS, 0x67, 9);
	set_system(m, NX_GDT + NX_SEL_LDT, NX_LDT, NX_LDT_BYTES - 1, 2);
	nexus_set_descriptor(m, false, HOST_FLAT_CS >> 3, 0x00cffb000000ffffull);
	nexus_set_descriptor(m, false, HOST_FLAT_DS >> 3, 0x00cff3000000ffffull);
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
		/* What the guest's own int3 and into come through; all others are #GP. */
		const unsigned dpl = i == EXC_BP || i == EXC_OF ? 3 : 0;

		set_gate(m, i, nexus_stubs + STUB_BYTES * i, dpl, 0);
	}
	set_gate(m, INT80, nexus_int80_stub, 3, 0);
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

int nexus_create(struct machine *m)
{
	static atomic64_t last_id;

	m->nexus = (u8 *)__get_free_pages(GFP_KERNEL_ACCOUNT | __GFP_ZERO, NX_ORDER);
	if (!m->nexus)
		return -ENOMEM;
	m->id = atomic64_inc_return(&last_id);
	set_tss(m);
	set_idt(m);
	set_gdt(m);
	set_table(m, NX_MON_GDTR, NX_GDT, PAGE_SIZE - 1);
	set_table(m, NX_MON_IDTR, NX_IDT, PAGE_SIZE - 1);
	NX32(m, NX_TO_USER) = stubs_view_change(true);
	NX32(m, NX_TO_KERNEL) = stubs_view_change(false);
	return 0;
}

void nexus_destroy(struct machine *m)
{
	free_pages((unsigned long)m->nexus, NX_ORDER);
}

/* ------------------------------------------------------ away and home ---- */

/* The machine whose translations the monitor's PCIDs have on each CPU. */
static DEFINE_PER_CPU(u64, tlb_owner);

/* The host's tables on this CPU, for this task. */
static void note_host(struct machine *m)
{
	struct desc_ptr d;

	native_store_gdt(&d);
	memcpy(m->nexus + NX_HOST_GDTR, &d, sizeof(d));
	memcpy(m->nexus + NX_GDT + NX_HOST_TSS, (void *)d.address + NX_HOST_TSS, 16);
	store_idt(&d);
	memcpy(m->nexus + NX_HOST_IDTR, &d, sizeof(d));
}

/* What this CPU's TLB may hold of us. Where the kernel's pages are not global, theirs as well. */
static void note_tlb(struct machine *m)
{
	m->pcids = __read_cr4() & X86_CR4_PCIDE;
	NX64(m, NX_NOFLUSH) = m->pcids ? NOFLUSH : 0;
	if (this_cpu_read(tlb_owner) != m->id || m->tlb_cpu != smp_processor_id() ||
	    boot_cpu_has(X86_FEATURE_PTI))
		m->stale = ~0ull;
	this_cpu_write(tlb_owner, m->id);
	m->tlb_cpu = smp_processor_id();
	m->loaded = VIEW_NONE;
}

/* A guest's SYSCALL or SYSENTER would come to the host's entry points with the monitor's tables. */
static void take_msrs(struct machine *m)
{
	rdmsrl(MSR_EFER, m->host_efer);
	rdmsrl(MSR_IA32_SYSENTER_CS, m->host_sysenter_cs);
	wrmsrl(MSR_EFER, m->host_efer & ~EFER_SCE);
	wrmsrl(MSR_IA32_SYSENTER_CS, 0);
}

static void set_cr4(unsigned long cr4)
{
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

/* Protection keys go by CR4.PKE: the guest has none, and with WRPKRU its user code could take all
 * user pages away from its kernel, too. */
static void swap_cr4(struct machine *m, bool away)
{
	const unsigned long now = __read_cr4();
	unsigned long cr4 = now;

	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		cr4 = away ? cr4 & ~X86_CR4_PKE : cr4 | X86_CR4_PKE;
	if (m->vm.clock.deterministic)
		cr4 = away ? cr4 | X86_CR4_TSD : cr4 & ~X86_CR4_TSD;
	if (cr4 != now)
		set_cr4(cr4);
}

void go_away(struct machine *m)
{
	if (m->away)
		return;
	local_irq_disable();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	note_host(m);
	note_tlb(m);
	take_msrs(m);
	if (hw_breakpoint_active())
		set_debugreg(0, 7);
	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		m->host_pkru = rdpkru(); /* the guest's XRSTOR may change it */
	swap_cr4(m, true);
	nexus_depart(m->nexus);
	m->away = true;
}

/* What came meanwhile. An NMI is sent once more: `int $2` does not hold back the next one, and the
 * host's handler, when it begins, has no other stack for that. One that came while the guest ran
 * does hold it back, since nothing has returned from it, and nexus_raise() does for it. */
static void raise_pending(struct machine *m)
{
	if (NX32(m, NX_PENDING_NMI)) {
		NX32(m, NX_PENDING_NMI) = 0;
		apic->send_IPI(smp_processor_id(), NMI_VECTOR);
	}
	if (NX32(m, NX_PENDING_MC)) {
		NX32(m, NX_PENDING_MC) = 0;
		nexus_raise(EXC_MC);
	}
}

/* And take the interrupt `vector`, which came while the guest ran; 0: none. */
static void go_home_with(struct machine *m, u32 vector)
{
	if (NX32(m, NX_AWAY)) /* a fault of ours may have come home without us */
		nexus_arrive(m->nexus);
	m->away = false;
	swap_cr4(m, false);
	if (cpu_feature_enabled(X86_FEATURE_OSPKE))
		wrpkru(m->host_pkru);
	wrmsrl(MSR_IA32_SYSENTER_CS, m->host_sysenter_cs);
	wrmsrl(MSR_EFER, m->host_efer);
	if (hw_breakpoint_active())
		hw_breakpoint_restore();
	raise_pending(m);
	if (vector)
		nexus_raise(vector);
	local_irq_enable();
}

void go_home(struct machine *m)
{
	if (m->away)
		go_home_with(m, 0);
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

static u64 view_cr3(struct machine *m, unsigned n)
{
	const u64 cr3 = virt_to_phys(m->space->root[n % VIEWS]);

	if (!m->pcids)
		return cr3;
	return cr3 | (PCID_MONITOR + n) | (m->stale >> n & 1 ? 0 : NOFLUSH);
}

/* The page tables for the guest's address space and privilege level. */
static void choose_tables(struct machine *m)
{
	const unsigned first = VIEWS * m->vm.pool.active, n = first + m->view;

	NX64(m, NX_LOAD_CR3) = 0;
	if (m->loaded != n || m->stale >> n & 1) {
		NX64(m, NX_LOAD_CR3) = view_cr3(m, n);
		m->stale &= ~(1ull << n);
		m->loaded = n;
	}
	/* The stubs may change to the other without us, unless it wants flushing. */
	NX32(m, NX_VIEW) = m->view;
	if (m->user)
		return; /* there are no stubs, and no other view: both are 0 */
	NX64(m, NX_CR3_KERNEL) = m->stale >> first & 1 ? 0 : view_cr3(m, first);
	NX64(m, NX_CR3_USER) = m->stale >> (first + 1) & 1 ? 0 : view_cr3(m, first + 1);
}

static void set_view(struct machine *m, unsigned view)
{
	m->view = view;
	m->vm.user_view = view == VIEW_USER;
}

/* Is the trap a stub's change of view that it could not make by itself? */
static bool changes_view(struct machine *m, u64 vector)
{
	const u32 rip = NX32(m, NX_RIP);

	if (m->user || vector != INT80 || NX64(m, NX_CS) != HOST_FLAT_CS)
		return false;
	if (rip == NX32(m, NX_TO_USER)) {
		set_view(m, VIEW_USER);
		return true;
	}
	if (rip != NX32(m, NX_TO_KERNEL) || NX32(m, NX_RSP) > NX_USER_TOP)
		return false;
	set_view(m, VIEW_KERNEL);
	return true;
}

/* A page that the tables have allowed more than they do now. */
void nexus_forget(struct machine *m, u64 la)
{
	const unsigned n = VIEWS * m->vm.pool.active;
	const u64 both = 3ull << n;

	if (!m->away || la == FORGET_ALL || (m->loaded & ~1u) != n) {
		m->stale |= both;
		return;
	}
	m->stale |= both & ~(1ull << m->loaded);
	asm volatile("invlpg (%0)" : : "r"(la) : "memory");
}

int nexus_run(struct machine *m, struct trap *trap, u16 hw[SEG_COUNT])
{
	u64 vector;

	if (!NX32(m, NX_AWAY)) {
		m->loaded = VIEW_NONE;
		nexus_depart(m->nexus);
	}
	/* They should not wait for the next tick. */
	if (NX32(m, NX_PENDING_NMI) || NX32(m, NX_PENDING_MC)) {
		go_home(m);
		return NX_ABORTED;
	}
	load_guest(m);
	choose_tables(m);
	nexus_enter(m->nexus);
	set_view(m, NX32(m, NX_VIEW));
	m->loaded = VIEWS * m->vm.pool.active + m->view;
	vector = NX64(m, NX_VECTOR);
	if ((s64)vector < 0)
		vector &= 0xff;
	if (vector == NX_ABORTED) {
		go_home(m);
		return NX_ABORTED;
	}
	if (vector == NX_FAULTED) {
		*trap = (struct trap){.vector = NX64(m, NX_FAULT_VEC),
				      .address = NX64(m, NX_FAULT_RIP) - (u64)nexus_enter};
		return NX_FAULTED;
	}
	if (vector == EXC_DB)
		set_debugreg(DR6_RESERVED, 6);
	save_guest(m, hw);
	if (vector == EXC_NMI || vector == EXC_MC || (vector >= FIRST_IRQ && vector != INT80)) {
		go_home_with(m, vector);
		return -1;
	}
	if (changes_view(m, vector))
		return NX_VIEW_CHANGED;
	*trap = (struct trap){
		.vector = vector,
		.error = NX32(m, NX_ERROR),
		.address = NX64(m, NX_CR2),
	};
	return vector;
}
