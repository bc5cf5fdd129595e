/*
 * boot_params ("zero page") and the CPU state of Linux's 32-bit boot protocol
 * (Documentation/arch/x86/boot.rst).
 */
#include "parts.h"

#include <stddef.h>
#include <asm/bootparam.h>
#include <string.h>

#define E820_RAM	  1
#define E820_ACPI	  3
#define BOOT_FLAG	  0xaa55
#define HEADER_MAGIC	  0x53726448 /* "HdrS" */
#define PROTOCOL	  0x020f
#define LOADER_UNASSIGNED 0xff

static void set_memory(struct boot_params *bp, u64 ram_size)
{
	const struct boot_e820_entry low = {0, LOW_RAM_END, E820_RAM};
	const struct boot_e820_entry high = {HIGH_RAM_START, ram_size - HIGH_RAM_START, E820_RAM};

	bp->e820_table[0] = low;
	bp->e820_table[1] = high;
	bp->e820_entries = 2;
	bp->alt_mem_k = (ram_size - HIGH_RAM_START) >> 10;
}

/* A kernel that was not built for plex86 learns from firmware what there is. */
static void set_acpi(struct loading *l, struct boot_params *bp)
{
	const struct boot_e820_entry tables = {GPA_ACPI, ACPI_SIZE, E820_ACPI};

	if (l->im->abi || !acpi_place(l))
		return;
	bp->acpi_rsdp_addr = GPA_ACPI;
	bp->e820_table[bp->e820_entries++] = tables;
}

/* A vmlinux has no setup header; make the one its boot loader would have passed on. */
static void make_header(struct setup_header *h)
{
	h->boot_flag = BOOT_FLAG;
	h->header = HEADER_MAGIC;
	h->version = PROTOCOL;
	h->loadflags = LOADED_HIGH;
	h->cmdline_size = CMDLINE_MAX;
}

bool boot_params_place(struct loading *l, const struct setup_header *header, u32 entry,
		       struct vcpu *cpu)
{
	struct boot_params bp;
	u8 *at = claim(l, GPA_BOOT_INFO, sizeof(bp), "boot_params");

	if (!at || !set_flat_mode(l, cpu))
		return false;
	mem_set(&bp, 0, sizeof(bp));
	if (header)
		bp.hdr = *header;
	else
		make_header(&bp.hdr);
	bp.hdr.type_of_loader = LOADER_UNASSIGNED;
	bp.hdr.cmd_line_ptr = GPA_CMDLINE;
	if (l->boot->initrd.data) {
		bp.hdr.ramdisk_image = l->initrd_start;
		bp.hdr.ramdisk_size = l->boot->initrd.size;
	}
	set_memory(&bp, l->boot->ram_size);
	set_acpi(l, &bp);
	mem_copy(at, &bp, sizeof(bp));

	cpu->rip = entry;
	cpu->gpr[GPR_SI] = GPA_BOOT_INFO;
	return true;
}
