/*
 * The ACPI tables that tell a kernel without the plex86 note of its devices: what firmware would.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <asm/bootparam.h>
#include <string.h>
#include "loader-files.h"

#define RAM_SIZE (8u << 20)

static u8 ram[RAM_SIZE];

/* Load `f` for a machine with these devices; `abi`: it carries the note. Where its boot_params are.
 */
static u32 load(const struct file *f, const struct boot_device *device, unsigned devices, bool abi)
{
	const struct blob blob = {"k", f->data, f->size};
	struct boot boot = {.ram = ram,
			    .ram_size = RAM_SIZE,
			    .cmdline = "",
			    .device = device,
			    .devices = devices};
	struct vcpu cpu = {0};
	struct image im = {0};
	struct error e;

	memset(ram, 0, RAM_SIZE);
	assert_true(image_identify(&im, &blob, &e));
	assert_int_equal(im.abi, abi);
	assert_true(image_load(&im, &boot, &cpu, &e));
	return cpu.gpr[GPR_SI];
}

#define ACPI_START 0xe0000u
#define ACPI_END   0xe1000u

/* A table of this signature, with a right checksum, wholly where the tables are. */
static const u8 *table(u32 gpa, const char *signature, u32 *length)
{
	u8 sum = 0;

	assert_true(gpa >= ACPI_START && gpa < ACPI_END);
	assert_memory_equal(ram + gpa, signature, 4);
	memcpy(length, ram + gpa + 4, 4);
	assert_true(*length >= 36 && *length <= ACPI_END - gpa);
	for (u32 i = 0; i < *length; i++)
		sum += ram[gpa + i];
	assert_int_equal(sum, 0);
	return ram + gpa;
}

static u32 at32(const u8 *t, unsigned offset)
{
	u32 value;

	memcpy(&value, t + offset, sizeof(value));
	return value;
}

static void assert_device(const u8 *dsdt, u32 length, const struct boot_device *d)
{
	u8 resources[12 + 9] = {0x86, 9, 0, 1, [12] = 0x89, 6, 0, 9, 1};

	memcpy(resources + 4, &d->base, 4);
	memcpy(resources + 8, &d->size, 4);
	memcpy(resources + 17, &d->irq, 4);
	assert_non_null(memmem(dsdt, length, resources, sizeof(resources)));
}

/* As many devices as there may be, for a kernel without the note. */
static void test_acpi(void **state)
{
	struct boot_device device[10];
	const struct boot_params *bp;
	const u8 *fadt, *dsdt;
	struct file f;
	u32 rsdt, length;
	u8 sum = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		device[i] = (struct boot_device){0xd0000000 + i * 0x1000, 0x1000, i + 3};
	make_elf(&f);
	elf_segment(&f, 2)->p_type = PT_NULL;
	bp = (void *)(ram + load(&f, device, 10, false));
	assert_int_equal(bp->acpi_rsdp_addr, ACPI_START);
	assert_int_equal(bp->e820_entries, 3);
	assert_int_equal(bp->e820_table[2].addr, ACPI_START);
	assert_int_equal(bp->e820_table[2].size, ACPI_END - ACPI_START);
	assert_int_equal(bp->e820_table[2].type, 3);
	assert_memory_equal(ram + ACPI_START, "RSD PTR ", 8);
	for (u32 i = 0; i < 20; i++)
		sum += ram[ACPI_START + i];
	assert_int_equal(sum, 0);
	rsdt = at32(ram + ACPI_START, 16);
	fadt = table(at32(table(rsdt, "RSDT", &length), 36), "FACP", &length);
	assert_int_equal(length, 244);
	assert_int_equal(at32(fadt, 56), 0x600);
	assert_int_equal(at32(fadt, 64), 0x604);
	assert_int_equal(at32(fadt, 36) % 64, 0);
	assert_memory_equal(ram + at32(fadt, 36), "FACS", 4);
	dsdt = table(at32(fadt, 40), "DSDT", &length);
	for (unsigned i = 0; i < 10; i++)
		assert_device(dsdt, length, &device[i]);
}

/* One that was built for plex86 is told by its command line. */
static void test_no_acpi(void **state)
{
	static const u8 none[ACPI_END - ACPI_START];
	const struct boot_device device = {0xd0000000, 0x1000, 5};
	struct file f;

	(void)state;
	make_elf(&f);
	load(&f, &device, 1, true);
	assert_memory_equal(ram + ACPI_START, none, sizeof(none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acpi),
		cmocka_unit_test(test_no_acpi),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
