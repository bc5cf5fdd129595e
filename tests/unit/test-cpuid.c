/*
 * Unit tests of common/cpuid.c: what a guest may see of a host that has every feature.
 */
#include "mock-host.h"

#include <string.h>

/* The host has everything and makes CPUID fault, so that user code sees the filter as well. */
static void cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	vm->cpuid_faults = true;
	memset(mock_of(vm)->cpuid, 0xff, sizeof(mock_of(vm)->cpuid));
	vcpu_cpuid(vm, leaf, subleaf, out);
}

static void test_vendor_and_hypervisor(void **state)
{
	struct vm *vm = *state;
	u32 r[4];

	cpuid(vm, 0, 0, r);
	assert_int_equal(r[0], 0xd);
	assert_memory_equal(&r[1], "Plex", 4); /* EBX, EDX, ECX */
	assert_memory_equal(&r[3], "86Pl", 4);
	assert_memory_equal(&r[2], "ex86", 4);
	cpuid(vm, 0x40000000, 0, r);
	assert_int_equal(r[0], 0x40000000);
	assert_memory_equal(&r[1], PLEX86_CPUID_SIGNATURE, 12); /* EBX, ECX, EDX */
}

static void test_features(void **state)
{
	/* VME, MCE, APIC, SEP, MTRR, MCA, PAT, PSE-36, DS, ACPI, HT, TM. */
	const u32 hidden_edx = 1 << 1 | 1 << 7 | 1 << 9 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 16 |
			       1 << 17 | 1 << 21 | 1 << 22 | 1 << 28 | 1 << 29;
	/* MONITOR, VMX, SMX, PCID, x2APIC, TSC deadline, XSAVE, OSXSAVE, AVX, FMA, F16C. */
	const u32 hidden_ecx = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 17 | 1 << 21 | 1 << 24 | 1 << 26 |
			       1 << 27 | 1 << 28 | 1 << 12 | 1 << 29;
	/* FPU, DE, PSE, TSC, MSR, PAE, CX8, PGE, CMOV, MMX, FXSR, SSE, SSE2. */
	const u32 shown_edx = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 8 |
			      1 << 13 | 1 << 15 | 1 << 23 | 1 << 24 | 1 << 25 | 1 << 26;
	struct vm *vm = *state;
	u32 r[4];

	cpuid(vm, 1, 0, r);
	assert_int_equal(r[0], 0xffffffff);
	assert_int_equal(r[1], 0x0001ff00); /* one CPU, APIC 0 */
	assert_int_equal(r[2] & hidden_ecx, 0);
	assert_true(r[2] >> 31);
	assert_int_equal(r[3] & hidden_edx, 0);
	assert_int_equal(r[3] & shown_edx, shown_edx);
}

/* Nothing is invented: a poor host makes a poor guest. */
static void test_host_without_features(void **state)
{
	struct vm *vm = *state;
	u32 r[4];

	vcpu_cpuid(vm, 1, 0, r);
	assert_int_equal(r[2], 1u << 31);
	assert_int_equal(r[3], 0);
	vcpu_cpuid(vm, 7, 0, r);
	assert_int_equal(r[1] | r[2] | r[3], 0);
	vcpu_cpuid(vm, 0x80000001, 0, r);
	assert_int_equal(r[2] | r[3], 0);
}

static void test_extended_features(void **state)
{
	/* FSGSBASE, SGX, HLE, AVX2, SMEP, INVPCID, RTM, MPX, AVX512F, SMAP, PT. */
	const u32 hidden = 1 << 0 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 10 | 1 << 11 |
			   1 << 14 | 1 << 16 | 1 << 20 | 1 << 25;
	struct vm *vm = *state;
	u32 r[4];

	cpuid(vm, 7, 0, r);
	assert_int_equal(r[0], 0);
	assert_int_equal(r[1] & hidden, 0);
	assert_true(r[1] & 1 << 9);
	assert_int_equal(r[2], 0); /* UMIP, PKU, CET, LA57 */
	assert_int_equal(r[3], 1 << 4);
	cpuid(vm, 7, 1, r);
	assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	cpuid(vm, 0x80000001, 0, r);
	assert_int_equal(r[3], 1 << 20); /* NX; not SYSCALL, large pages, RDTSCP, long mode */
	assert_int_equal(r[2], 1 << 5 | 1 << 8);
	cpuid(vm, 0x80000007, 0, r);
	assert_int_equal(r[3], 1 << 8);
	cpuid(vm, 0x80000008, 0, r);
	assert_int_equal(r[0], 0x2020);
}

/* User code that sees the host's CPUID uses AVX: then the kernel must be able to save it. */
static void test_xsave_where_user_code_sees_the_host(void **state)
{
	const u32 xsave = 1 << 26, osxsave = 1 << 27, avx = 1 << 28, avx2 = 1 << 5;
	struct vm *vm = *state;
	struct mock *m = mock_of(vm);
	u32 r[4];

	memset(m->cpuid, 0xff, sizeof(m->cpuid));
	vcpu_cpuid(vm, 1, 0, r);
	assert_int_equal(r[2] & (xsave | osxsave | avx), xsave | avx);
	vm->cpu.cr4 |= CR4_OSXSAVE;
	vcpu_cpuid(vm, 1, 0, r);
	assert_true(r[2] & osxsave);
	vcpu_cpuid(vm, 7, 0, r);
	assert_true(r[1] & avx2);
	/* Leaf 0xd: what can be saved, and the size of it now and at most. A host with AVX only,
	 * whose component 2 is 0x100 bytes long at 0x240. */
	m->cpuid[0] = 7;
	vcpu_cpuid(vm, 0xd, 0, r);
	assert_int_equal(r[0], 7);
	assert_int_equal(r[1], 576); /* XCR0 is 1 */
	assert_int_equal(r[3], 0);
	m->cpuid[0] = 0x107; /* says 7 to subleaf 0, for what is known, and 0x107 bytes to 2 */
	m->cpuid[1] = 0x240;
	vm->cpu.xcr0 = 7;
	vcpu_cpuid(vm, 0xd, 0, r);
	assert_int_equal(r[1], 0x347);
	assert_int_equal(r[2], 0x347);
	vcpu_cpuid(vm, 0xd, 2, r);
	assert_int_equal(r[0], 0x107);
	vcpu_cpuid(vm, 0xd, 5, r);
	assert_int_equal(r[0], 0);
	/* A host without XSAVE announces nothing. */
	m->cpuid[0] = 0;
	vcpu_cpuid(vm, 1, 0, r);
	assert_int_equal(r[2] & (xsave | avx), 0);
}

static void test_no_other_leaves(void **state)
{
	static const u32 leaves[] = {2,		 3,	     4,		 5,	     6,
				     8,		 0xb,	     0xd,	 0xe,	     0x15,
				     0x40000001, 0x7fffffff, 0x80000005, 0x80000009, 0x8000001f,
				     0xc0000000, 0xffffffff};
	struct vm *vm = *state;
	u32 r[4];

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		cpuid(vm, leaves[i], 0, r);
		assert_int_equal(r[0] | r[1] | r[2] | r[3], 0);
	}
	cpuid(vm, 0x80000000, 0, r);
	assert_int_equal(r[0], 0x80000008);
	cpuid(vm, 0x80000003, 0, r); /* the brand is the host's */
	assert_int_equal(r[3], 0xffffffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_vendor_and_hypervisor),
		VM_TEST(test_features),
		VM_TEST(test_host_without_features),
		VM_TEST(test_extended_features),
		VM_TEST(test_xsave_where_user_code_sees_the_host),
		VM_TEST(test_no_other_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
