/*
 * A PC's firmware: at the end of the first megabyte, where a PC has it to be seen by real mode.
 *
 * The same bytes below 4 GiB are not there: what is at work in the first megabyte runs from RAM, as
 * firmware does once it has copied itself.
 */
#include "parts.h"

#define FIRMWARE_END   0x100000u
#define FIRMWARE_MAX   0x20000u
#define FIRMWARE_ALIGN 0x1000u

/* The CPU's state after reset (SDM vol. 3, 10.1.1), but that CS has its base a megabyte below. */
#define RESET_CS	0xf000
#define RESET_IP	0xfff0
#define RESET_DX	0x600 /* family 6 */
#define REAL_MODE_LIMIT 0xffff
#define ATTR_CODE	0x9b
#define ATTR_DATA	0x93

bool image_is_firmware(struct image *im, const struct blob *file, struct error *e)
{
	*im = (struct image){.file = *file, .kind = IMAGE_FIRMWARE, .name = "firmware"};
	if (file->size <= FIRMWARE_MAX && file->size % FIRMWARE_ALIGN == 0)
		return true;
	return error_set(
		e,
		"firmware '%s': %zu bytes, but it must be whole pages of 4 KiB, and %u KiB "
		"at most (of seabios: bios.bin)",
		file->path, file->size, FIRMWARE_MAX >> 10);
}

bool firmware_load(struct loading *l, struct vcpu *cpu)
{
	const struct blob *file = &l->im->file;
	const struct segment code = {.base = RESET_CS << 4,
				     .limit = REAL_MODE_LIMIT,
				     .attr = ATTR_CODE,
				     .selector = RESET_CS};
	const struct segment data = {.limit = REAL_MODE_LIMIT, .attr = ATTR_DATA};

	mem_copy(l->boot->ram + FIRMWARE_END - file->size, file->data, file->size);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = i == SEG_CS ? code : data;
	cpu->gdtr.base = cpu->idtr.base = 0;
	cpu->gdtr.limit = cpu->idtr.limit = REAL_MODE_LIMIT;
	cpu->cr0 = CR0_ET;
	cpu->cr3 = cpu->cr4 = 0;
	cpu->rflags = FLAG_ONE;
	cpu->rip = RESET_IP;
	mem_set(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->gpr[GPR_DX] = RESET_DX;
	return true;
}
