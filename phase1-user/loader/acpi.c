/*
 * What firmware would tell of the machine, for kernels that nobody built for it: ACPI tables
 * (specification 6.4). A stock Linux takes virtio-mmio devices from no command line, but from the
 * namespace, where their drivers know them by LNRO0005.
 *
 * Owns: the tables at GPA_ACPI, in the hole below 1 MiB where firmware has its own: nothing of it
 * is needed once they are read. The registers they name are hal/acpi-pm.h's.
 */
#include "parts.h"

#include <string.h>
#include "../hal/acpi-pm.h"

#define ALIGNMENT 64 /* the FACS wants it */

/* Offsets in tables. */
#define HEADER_SIZE	36
#define HEADER_CHECKSUM 9
#define RSDP_SIZE	20
#define RSDP_CHECKSUM	8
#define FACS_SIZE	64
#define FADT_SIZE	244 /* revision 3 */

/* FADT */
#define LATENCY_NONE  0xfff /* no such processor power state */
#define CMOS_CENTURY  0x32
#define BOOT_LEGACY   0x0001 /* there is an ISA bus with devices, */
#define BOOT_NO_VGA   0x0004 /* no VGA, and no 8042 */
#define FLAG_WBINVD   0x0001
#define FLAG_C1	      0x0004
#define FLAG_NO_POWER 0x0010 /* neither button is a fixed one */
#define FLAG_NO_SLEEP 0x0020

/* AML (chapter 20). */
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_STRING  0x0d
#define AML_SCOPE   0x10
#define AML_BUFFER  0x11
#define AML_PACKAGE 0x12
#define AML_EXT	    0x5b
#define AML_DEVICE  0x82 /* behind AML_EXT */

struct text {
	u8 data[ACPI_SIZE];
	size_t used; /* may exceed the room: then it did not fit */
};

static void put(struct text *t, const void *data, size_t n)
{
	if (t->used + n <= sizeof(t->data))
		memcpy(t->data + t->used, data, n);
	t->used += n;
}

static void put_u8(struct text *t, u8 value)
{
	put(t, &value, 1);
}

static void put_u16(struct text *t, u16 value)
{
	put(t, &value, 2);
}

static void put_u32(struct text *t, u32 value)
{
	put(t, &value, 4);
}

static void align(struct text *t)
{
	while (t->used % ALIGNMENT)
		put_u8(t, 0);
}

/* ---- tables ---- */

/* The byte at `at` makes the sum of `n` bytes zero. */
static void set_checksum(struct text *t, size_t from, size_t n, size_t at)
{
	u8 sum = 0;

	if (t->used > sizeof(t->data))
		return;
	t->data[from + at] = 0;
	for (size_t i = from; i < from + n; i++)
		sum += t->data[i];
	t->data[from + at] = -sum;
}

/* Begin a table; its length is not known yet. Returns where it is. */
static size_t begin_table(struct text *t, const char *signature, u8 revision)
{
	size_t at;

	align(t);
	at = t->used;
	put(t, signature, 4);
	put_u32(t, 0);
	put_u8(t, revision);
	put_u8(t, 0);
	put(t, "PLEX86PLEX86  ", 14);
	put_u32(t, 1);
	put(t, "PLX8", 4);
	put_u32(t, 1);
	return at;
}

static u32 end_table(struct text *t, size_t at)
{
	const u32 length = t->used - at;

	if (t->used <= sizeof(t->data))
		memcpy(t->data + at + 4, &length, sizeof(length));
	set_checksum(t, at, length, HEADER_CHECKSUM);
	return GPA_ACPI + at;
}

/* Power management without a System Management Interrupt: the machine is in ACPI mode always. */
static u32 put_fadt(struct text *t, u32 facs, u32 dsdt)
{
	const size_t at = begin_table(t, "FACP", 3);

	put_u32(t, facs);
	put_u32(t, dsdt);
	put_u16(t, 0);
	put_u16(t, ACPI_PM_SCI);
	for (unsigned i = 0; i < 2; i++) /* SMI_CMD, and the values written there */
		put_u32(t, 0);
	put_u32(t, ACPI_PM_EVENT);
	put_u32(t, 0);
	put_u32(t, ACPI_PM_CONTROL);
	for (unsigned i = 0; i < 5; i++) /* PM1b_CNT, PM2_CNT, PM_TMR, GPE0, GPE1 */
		put_u32(t, 0);
	put_u8(t, ACPI_PM_EVENT_SIZE);
	put_u8(t, ACPI_PM_CONTROL_SIZE);
	put(t, "\0\0\0\0\0\0", 6); /* of the others, GPE1's base, C states */
	put_u16(t, LATENCY_NONE);
	put_u16(t, LATENCY_NONE);
	put(t, "\0\0\0\0\0\0\0\0", 8); /* cache flush, duty cycle, alarms */
	put_u8(t, CMOS_CENTURY);
	put_u16(t, BOOT_LEGACY | BOOT_NO_VGA);
	put_u8(t, 0);
	put_u32(t, FLAG_WBINVD | FLAG_C1 | FLAG_NO_POWER | FLAG_NO_SLEEP);
	while (t->used < at + FADT_SIZE) /* no reset register; the fields above are what counts */
		put_u8(t, 0);
	return end_table(t, at);
}

static u32 put_facs(struct text *t)
{
	size_t at;

	align(t);
	at = t->used;
	put(t, "FACS", 4);
	put_u32(t, FACS_SIZE);
	while (t->used < at + FACS_SIZE)
		put_u8(t, 0);
	return GPA_ACPI + at;
}

static u32 put_rsdt(struct text *t, u32 fadt)
{
	const size_t at = begin_table(t, "RSDT", 1);

	put_u32(t, fadt);
	return end_table(t, at);
}

/* ---- the namespace ---- */

/* A package's length counts its own bytes: always two here. Begin it with an opcode before. */
static size_t begin_package(struct text *t)
{
	put_u16(t, 0);
	return t->used - 2;
}

static void end_package(struct text *t, size_t at)
{
	const size_t length = t->used - at;

	if (t->used > sizeof(t->data))
		return;
	t->data[at] = 0x40 | (length & 0xf);
	t->data[at + 1] = length >> 4;
}

static void put_name(struct text *t, const char *name)
{
	put_u8(t, AML_NAME);
	put(t, name, 4);
}

/* Name(_S5_, Package { 0, 0, 0, 0 }): what is written to power the machine off. */
static void put_power_off(struct text *t)
{
	static const u8 values[4];
	size_t package;

	put_name(t, "_S5_");
	put_u8(t, AML_PACKAGE);
	package = begin_package(t);
	put_u8(t, sizeof(values));
	put(t, values, sizeof(values));
	end_package(t, package);
}

/* Memory32Fixed, an extended interrupt (level, high, shared), and the end. */
static void put_resources(struct text *t, const struct boot_device *d)
{
	size_t buffer;

	put_name(t, "_CRS");
	put_u8(t, AML_BUFFER);
	buffer = begin_package(t);
	put_u8(t, AML_BYTE);
	put_u8(t, 12 + 9 + 2);
	put(t, "\x86\x09\x00\x01", 4);
	put_u32(t, d->base);
	put_u32(t, d->size);
	put(t, "\x89\x06\x00\x09\x01", 5);
	put_u32(t, d->irq);
	put(t, "\x79\x00", 2);
	end_package(t, buffer);
}

static void put_device(struct text *t, unsigned number, const struct boot_device *d)
{
	const char name[4] = {'V', 'R', '0' + number / 10, '0' + number % 10};
	size_t device;

	put_u8(t, AML_EXT);
	put_u8(t, AML_DEVICE);
	device = begin_package(t);
	put(t, name, sizeof(name));
	put_name(t, "_HID");
	put_u8(t, AML_STRING);
	put(t, "LNRO0005", 9);
	put_name(t, "_UID");
	put_u8(t, AML_BYTE);
	put_u8(t, number);
	put_resources(t, d);
	end_package(t, device);
}

static u32 put_dsdt(struct text *t, const struct boot *boot)
{
	const size_t at = begin_table(t, "DSDT", 2);
	size_t scope;

	put_power_off(t);
	put_u8(t, AML_SCOPE);
	scope = begin_package(t);
	put(t, "\\_SB_", 5);
	for (unsigned i = 0; i < boot->devices; i++)
		put_device(t, i, &boot->device[i]);
	end_package(t, scope);
	return end_table(t, at);
}

/* ---- */

bool acpi_place(struct loading *l)
{
	static const struct text empty;
	struct text t = empty;
	u32 facs, dsdt, fadt, rsdt;

	/* The root pointer goes first, and is filled in last. */
	while (t.used < RSDP_SIZE)
		put_u8(&t, 0);
	facs = put_facs(&t);
	dsdt = put_dsdt(&t, l->boot);
	fadt = put_fadt(&t, facs, dsdt);
	rsdt = put_rsdt(&t, fadt);
	memcpy(t.data, "RSD PTR ", 8);
	memcpy(t.data + RSDP_CHECKSUM + 1, "PLEX86", 6);
	memcpy(t.data + 16, &rsdt, sizeof(rsdt));
	set_checksum(&t, 0, RSDP_SIZE, RSDP_CHECKSUM);
	if (t.used > sizeof(t.data) || l->boot->ram_size < HIGH_RAM_START)
		return false;
	mem_copy(l->boot->ram + GPA_ACPI, t.data, t.used);
	return true;
}
