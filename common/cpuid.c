/*
 * CPUID as the guest sees it: the host's, less what plex86 cannot or does not want to provide.
 *
 * Owns: the filter. Hidden: SEP (it would enter the host), APIC, MTRR, MCE and long mode (not
 * virtualized yet), XSAVE and AVX (so that FXSAVE is all a guest needs), VME, MWAIT, PAT.
 *
 * Where the host cannot make CPUID fault, user code sees the host's CPUID and will use AVX. Then
 * the guest kernel must save it: XSAVE and what it covers are announced after all.
 */
#include "emulate.h"
#include "pv.h"

#define BIT(n) (1u << (n))

/* Leaf 1 EDX: FPU, DE, PSE, TSC, MSR, PAE, CX8, PGE, CMOV, CLFSH, MMX, FXSR, SSE, SSE2. */
#define LEAF1_EDX                                                                           \
	(BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(13) | BIT(15) | \
	 BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
/* Leaf 1 ECX: SSE3, PCLMULQDQ, SSSE3, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND. */
#define LEAF1_ECX \
	(BIT(0) | BIT(1) | BIT(9) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(30))
#define LEAF1_ECX_RDRAND     BIT(30)
#define LEAF7_EBX_RDSEED     BIT(18)
#define LEAF1_ECX_OSXSAVE    BIT(27)
#define LEAF1_ECX_HYPERVISOR BIT(31)
/* With XSAVE: FMA, XSAVE, AVX, F16C; AVX2 and the AVX-512 family of leaf 7. */
#define LEAF1_ECX_XSAVE (BIT(12) | BIT(26) | BIT(28) | BIT(29))
#define LEAF7_EBX_XSAVE (BIT(5) | BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
/* Leaf 7 EBX: BMI1, BMI2, ERMS, RDSEED, ADX, CLFLUSHOPT, SHA. */
#define LEAF7_EBX (BIT(3) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(23) | BIT(29))
/* Leaf 7 EDX: FSRM. */
#define LEAF7_EDX BIT(4)
/* Leaf 0x80000001 ECX: LZCNT, PREFETCHW. */
#define EXT1_ECX (BIT(5) | BIT(8))
/* Leaf 0x80000001 EDX: NX. */
#define EXT1_EDX_NX BIT(20)
/* Leaf 0x80000007 EDX: invariant TSC. */
#define EXT7_EDX BIT(8)

/* Of these words, what the emulator has as well (phase1-user/emulator/unicorn-features.c). */
#define COMMON_LEAF1_EAX 0x000506e3u
#define COMMON_LEAF1_ECX (LEAF1_ECX & ~LEAF1_ECX_RDRAND)
#define COMMON_LEAF7_EBX (BIT(3) | BIT(8) | BIT(9) | BIT(19) | BIT(23))
#define COMMON_LEAF7_EDX 0u

#define XSAVE_LEAF     0xdu
#define XSAVE_HEADER   576u /* legacy area and header */
#define MAX_EXTENDED   0x80000008u
#define MAX_HYPERVISOR 0x40000000u

static void put_text(u32 out[4], u32 first, const char text[12])
{
	/* EBX, EDX, ECX for the vendor; EBX, ECX, EDX for a hypervisor: the caller says. */
	out[0] = first;
	mem_copy(&out[1], text, 4);
	mem_copy(&out[2], text + 4, 4);
	mem_copy(&out[3], text + 8, 4);
}

u64 vcpu_xcr0_mask(struct vm *vm)
{
	u32 host[4];

	if (vm->cpuid_faults || vm->common_cpu)
		return 0;
	host_cpuid(vm, XSAVE_LEAF, 0, host);
	return host[0] & XCR0_DEFINED;
}

bool vcpu_has_nx(struct vm *vm)
{
	u32 host[4];

	host_cpuid(vm, 0x80000001u, 0, host);
	return host[3] & EXT1_EDX_NX;
}

/* Bytes that XSAVE writes for the components in `mask`, in the standard format. */
static u32 xsave_size(struct vm *vm, u64 mask)
{
	u32 size = XSAVE_HEADER;

	for (u32 i = 2; i < 32; i++) {
		u32 part[4];

		if (!(mask >> i & 1))
			continue;
		host_cpuid(vm, XSAVE_LEAF, i, part); /* eax: size, ebx: offset */
		if (part[0] + part[1] > size)
			size = part[0] + part[1];
	}
	return size;
}

static void leaf_xsave(struct vm *vm, u32 subleaf, u32 out[4])
{
	u64 mask = vcpu_xcr0_mask(vm);
	u32 host[4];

	if (!mask || subleaf >= 32)
		return;
	host_cpuid(vm, XSAVE_LEAF, subleaf, host);
	if (subleaf == 0) {
		out[0] = mask;
		out[1] = xsave_size(vm, vm->cpu.xcr0);
		out[2] = xsave_size(vm, mask);
	} else if (subleaf == 1) {
		out[0] = host[0] & BIT(0); /* XSAVEOPT */
	} else if (mask >> subleaf & 1) {
		mem_copy(out, host, sizeof(host));
	}
}

static void leaf_basic(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	u32 host[4], swap;

	switch (leaf) {
	case 0:
		/* An invented vendor: libraries that know a vendor walk through its cache leaves,
		 * at one trap each. EBX, EDX, ECX is the order of the text. */
		put_text(out, XSAVE_LEAF, PLEX86_CPUID_SIGNATURE);
		swap = out[2];
		out[2] = out[3];
		out[3] = swap;
		return;
	case 1:
		host_cpuid(vm, 1, 0, host);
		out[0] = host[0];
		out[1] = (host[1] & 0xff00) | 1u << 16; /* CLFLUSH size; one logical CPU, APIC 0 */
		out[2] = (host[2] & LEAF1_ECX) | LEAF1_ECX_HYPERVISOR;
		if (vcpu_xcr0_mask(vm))
			out[2] |= host[2] & LEAF1_ECX_XSAVE;
		if (vm->clock.deterministic)
			out[2] &= ~LEAF1_ECX_RDRAND;
		if (vm->cpu.cr4 & CR4_OSXSAVE)
			out[2] |= LEAF1_ECX_OSXSAVE;
		out[3] = host[3] & LEAF1_EDX;
		if (vm->common_cpu) {
			out[0] = COMMON_LEAF1_EAX;
			out[2] &= COMMON_LEAF1_ECX | LEAF1_ECX_HYPERVISOR;
		}
		return;
	case 7:
		if (subleaf)
			return;
		host_cpuid(vm, 7, 0, host);
		out[1] = host[1] & LEAF7_EBX;
		if (vcpu_xcr0_mask(vm))
			out[1] |= host[1] & LEAF7_EBX_XSAVE;
		if (vm->clock.deterministic)
			out[1] &= ~LEAF7_EBX_RDSEED;
		out[3] = host[3] & LEAF7_EDX;
		if (vm->common_cpu) {
			out[1] &= COMMON_LEAF7_EBX;
			out[3] &= COMMON_LEAF7_EDX;
		}
		return;
	case XSAVE_LEAF:
		leaf_xsave(vm, subleaf, out);
		return;
	}
}

static void leaf_extended(struct vm *vm, u32 leaf, u32 out[4])
{
	u32 host[4];

	switch (leaf) {
	case 0x80000000u:
		out[0] = MAX_EXTENDED;
		return;
	case 0x80000001u:
		host_cpuid(vm, leaf, 0, host);
		out[2] = host[2] & EXT1_ECX;
		out[3] = host[3] & EXT1_EDX_NX;
		return;
	case 0x80000002u:
	case 0x80000003u:
	case 0x80000004u: /* brand string */
	case 0x80000006u: /* L2 cache */
		if (vm->common_cpu)
			return;
		host_cpuid(vm, leaf, 0, out);
		return;
	case 0x80000007u:
		host_cpuid(vm, leaf, 0, host);
		out[3] = host[3] & EXT7_EDX;
		return;
	case 0x80000008u:
		out[0] = 32 | 32 << 8; /* physical and linear address bits */
		return;
	}
}

void vcpu_describe(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	mem_set(out, 0, 4 * sizeof(out[0]));
	if (leaf <= XSAVE_LEAF)
		leaf_basic(vm, leaf, subleaf, out);
	else if (leaf == MAX_HYPERVISOR)
		put_text(out, MAX_HYPERVISOR, PLEX86_CPUID_SIGNATURE);
	else if (leaf >= 0x80000000u && leaf <= MAX_EXTENDED)
		leaf_extended(vm, leaf, out);
}

void vcpu_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	trace(vm, EV_CPUID, leaf, subleaf);
	vcpu_describe(vm, leaf, subleaf, out);
}
