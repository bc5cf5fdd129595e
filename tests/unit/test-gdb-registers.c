/*
 * Unit tests of phase1-user/gdb/registers.c and fpu.c: registers as bytes, what may be written,
 * and the target description.
 */
#include "mock-host.h"

#include <stdio.h>
#include <string.h>
#include "../../phase1-user/gdb/registers.h"

static struct gdb_cpu cpu;

static int setup(void **state)
{
	if (vm_setup(state))
		return -1;
	memset(&cpu, 0, sizeof(cpu));
	cpu.vm = *state;
	return 0;
}

#define REG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, vm_teardown)

/* The number of a register by its name in the description. */
static unsigned number_of(const char *name)
{
	static char buffer[GDB_DESCRIPTION_MAX];
	struct gdb_text xml = {.data = buffer, .size = sizeof(buffer)};
	char wanted[32];
	const char *at;
	unsigned n = GDB_REGISTERS;

	gdb_text_clear(&xml);
	gdb_registers_describe(&xml);
	assert_false(xml.full);
	snprintf(wanted, sizeof(wanted), "<reg name=\"%s\"", name);
	at = strstr(buffer, wanted);
	assert_non_null(at);
	at = strstr(at, "regnum=\"");
	assert_int_equal(sscanf(at, "regnum=\"%u\"", &n), 1);
	assert_true(n < GDB_REGISTERS);
	return n;
}

static const char *shown(const char *name)
{
	static char buffer[64];
	struct gdb_text t = {.data = buffer, .size = sizeof(buffer)};

	gdb_text_clear(&t);
	gdb_register_put(&cpu, number_of(name), &t);
	assert_int_equal(t.len, 2 * gdb_register_size(number_of(name)));
	return buffer;
}

static const char *set(const char *name, u64 value)
{
	u8 bytes[GDB_REGISTER_MAX] = {0};

	memcpy(bytes, &value, sizeof(value));
	return gdb_register_set(&cpu, number_of(name), bytes);
}

static void test_general(void **state)
{
	(void)state;
	cpu.vm->cpu.gpr[GPR_DX] = 0xffffffff12345678;
	assert_string_equal(shown("edx"), "78563412");
	assert_null(set("edx", 0xcafe));
	assert_int_equal(cpu.vm->cpu.gpr[GPR_DX], 0xcafe);
	assert_null(set("eip", 0xc0001000));
	assert_string_equal(shown("eip"), "001000c0");
	assert_true(cpu.changed);
	assert_int_equal(number_of("esp"), GPR_SP);
	assert_int_equal(number_of("eip"), GDB_REG_EIP);
	assert_int_equal(number_of("eflags"), GDB_REG_EFLAGS);
}

/* The guest's flags: the virtual IF and IOPL, whatever the hardware's are. */
static void test_flags(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags = FLAG_ONE | FLAG_IF | FLAG_CF;
	vm->cpu.iopl = 3;
	vm_set_if(vm, 0);
	assert_string_equal(shown("eflags"), "03300000");
	assert_null(set("eflags", 0x3242)); /* ZF, IF, IOPL as it is */
	assert_int_equal(vm_if(vm), FLAG_IF);
	assert_string_equal(shown("eflags"), "42320000");
	assert_string_equal(shown("if"), "01000000");
	assert_int_equal(vm->cpu.rflags & FLAG_IF, FLAG_IF);
	assert_non_null(set("eflags", 0x242)); /* IOPL */
	assert_non_null(set("eflags", 0x3242 | FLAG_VM));
	assert_string_equal(shown("eflags"), "42320000");
}

static void test_system(void **state)
{
	struct vm *vm = *state;

	vm->cpu.cr3 = 0x1234000;
	vm->cpu.efer = EFER_NXE;
	vm->cpu.gdtr.limit = 0xff;
	vm->cpu.seg[SEG_FS].base = 0xb7c0de00;
	pv_page(vm)->cpl = 0xffffffff;
	assert_string_equal(shown("cr3"), "00402301");
	assert_string_equal(shown("efer"), "0008000000000000");
	assert_string_equal(shown("gdtr_limit"), "ff000000");
	assert_string_equal(shown("fs_base"), "00dec0b7");
	assert_string_equal(shown("cpl"), "03000000");
	/* As they are, they may be written: gdb does so with all at once. */
	assert_null(set("cr3", 0x1234000));
	assert_null(set("efer", EFER_NXE));
	assert_non_null(strstr(set("cr3", 0x1235000), "read-only"));
	assert_non_null(strstr(set("efer", 0), "read-only"));
	assert_non_null(strstr(set("cs", 0x23), "read-only"));
	assert_null(set("cs", KCS));
	assert_int_equal(vm->cpu.cr3, 0x1234000);
	assert_false(cpu.changed);
}

static void test_no_fpu(void **state)
{
	(void)state;
	assert_string_equal(shown("st3"), "xxxxxxxxxxxxxxxxxxxx");
	assert_string_equal(shown("mxcsr"), "xxxxxxxx");
	assert_non_null(set("fctrl", 0x37f));
	assert_false(cpu.fpu_changed);
}

/* What is not in the area because it is in its initial state. */
static void test_initial_fpu(void **state)
{
	const u32 mxcsr = 0x1f80;

	(void)state;
	cpu.fpu_size = GDB_XSAVE_MIN;
	memset(cpu.fpu, 0x5a, 512);
	memcpy(cpu.fpu + 24, &mxcsr, sizeof(mxcsr));
	assert_string_equal(shown("fctrl"), "7f030000");
	assert_string_equal(shown("fstat"), "00000000");
	assert_string_equal(shown("ftag"), "ffff0000");
	assert_string_equal(shown("fooff"), "00000000");
	assert_string_equal(shown("st0"), "00000000000000000000");
	assert_string_equal(shown("xmm7"), "00000000000000000000000000000000");
	assert_string_equal(shown("mxcsr"), "801f0000");
	/* Written in part, the rest is as it was shown. */
	assert_null(set("fstat", 0x3800));
	assert_null(set("xmm1", 0x1122334455667788));
	assert_true(cpu.fpu_changed);
	assert_int_equal(cpu.fpu[512], XCR0_X87 | XCR0_SSE);
	assert_string_equal(shown("fctrl"), "7f030000");
	assert_string_equal(shown("fstat"), "00380000");
	assert_string_equal(shown("ftag"), "ffff0000");
	assert_string_equal(shown("st0"), "00000000000000000000");
	assert_string_equal(shown("xmm0"), "00000000000000000000000000000000");
	assert_string_equal(shown("xmm1"), "88776655443322110000000000000000");
	assert_string_equal(shown("mxcsr"), "801f0000");
}

static void put_st(unsigned i, u16 exponent, u64 fraction)
{
	memcpy(cpu.fpu + 32 + 16 * i, &fraction, sizeof(fraction));
	memcpy(cpu.fpu + 32 + 16 * i + 8, &exponent, sizeof(exponent));
}

static void test_tags(void **state)
{
	const u16 top6 = 6 << 11;

	(void)state;
	cpu.fpu_size = GDB_XSAVE_MIN;
	cpu.fpu[512] = XCR0_X87;
	memcpy(cpu.fpu + 2, &top6, sizeof(top6));
	cpu.fpu[4] = 0xc3;	       /* the physical registers 0, 1, 6, 7: ST2, ST3, ST0, ST1 */
	put_st(0, 0x3fff, 1ull << 63); /* 1.0 */
	put_st(1, 0x8000, 0);	       /* -0 */
	put_st(2, 0x7fff, 1ull << 63); /* infinity */
	put_st(3, 0x3fff, 1);	       /* not normal */
	assert_string_equal(shown("ftag"), "fa4f0000");
	assert_string_equal(shown("st0"), "0000000000000080ff3f");
	assert_null(set("ftag", 0xfffc));
	assert_int_equal(cpu.fpu[4], 0x01);
}

static void test_mxcsr_reserved(void **state)
{
	(void)state;
	cpu.fpu_size = GDB_XSAVE_MIN;
	assert_null(set("mxcsr", 0xffff1f80));
	assert_string_equal(shown("mxcsr"), "801f0000");
}

/* Every register once, in the order of their numbers; every tag is closed. */
static void test_description(void **state)
{
	static char buffer[GDB_DESCRIPTION_MAX];
	struct gdb_text xml = {.data = buffer, .size = sizeof(buffer)};
	const char *at = buffer;
	unsigned n = 0, number, bits;

	(void)state;
	gdb_text_clear(&xml);
	gdb_registers_describe(&xml);
	assert_false(xml.full);
	for (; (at = strstr(at, "<reg ")); n++) {
		at = strstr(at, "bitsize=");
		assert_int_equal(sscanf(at, "bitsize=\"%u\"", &bits), 1);
		assert_int_equal(bits, 8 * gdb_register_size(n));
		at = strstr(at, "regnum=");
		assert_int_equal(sscanf(at, "regnum=\"%u\"", &number), 1);
		assert_int_equal(number, n);
	}
	assert_int_equal(n, GDB_REGISTERS);
	assert_non_null(strstr(buffer, "<architecture>i386</architecture>"));
	assert_non_null(strstr(buffer, "org.gnu.gdb.i386.core"));
	assert_non_null(strstr(buffer, "org.gnu.gdb.i386.sse"));
	assert_non_null(strstr(buffer, "org.plex86.i386.sys"));
	assert_string_equal(buffer + xml.len - strlen("</target>\n"), "</target>\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REG_TEST(test_general),	       REG_TEST(test_flags),	   REG_TEST(test_system),
		REG_TEST(test_no_fpu),	       REG_TEST(test_initial_fpu), REG_TEST(test_tags),
		REG_TEST(test_mxcsr_reserved), REG_TEST(test_description),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
