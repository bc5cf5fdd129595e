/*
 * ACPI's fixed registers. Touches nothing but its owner's callback.
 */
#include "acpi-pm.h"

#define ENABLE_OFFSET 2

#define CONTROL_SCI_EN 0x0001 /* ACPI mode: always */
#define CONTROL_KEPT   0x1c07 /* SLP_TYP, and what nothing comes of */
#define CONTROL_SLP_EN 0x2000 /* \_S5 is the only state to go to */

static u64 event_read(void *opaque, u64 offset, unsigned size)
{
	const struct acpi_pm *p = opaque;
	const u32 both = (u32)p->enable << 16;

	(void)size;
	return both >> (offset * 8);
}

/* Written whole; a status that is clear has nothing to clear. */
static void event_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct acpi_pm *p = opaque;

	if (offset == 0 && size == 4)
		p->enable = value >> 16;
	if (offset == ENABLE_OFFSET && size == 2)
		p->enable = value;
}

static u64 control_read(void *opaque, u64 offset, unsigned size)
{
	const struct acpi_pm *p = opaque;

	(void)size;
	return (u32)(p->control | CONTROL_SCI_EN) >> (offset * 8);
}

static void control_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct acpi_pm *p = opaque;

	if (offset || size != ACPI_PM_CONTROL_SIZE)
		return;
	p->control = value & CONTROL_KEPT;
	if (value & CONTROL_SLP_EN)
		p->power_off(p->opaque);
}

static const struct bus_ops event_ops = {event_read, event_write, 4};
static const struct bus_ops control_ops = {control_read, control_write, 2};

bool acpi_pm_register(struct acpi_pm *p, struct bus *b)
{
	p->enable = p->control = 0;
	return bus_register_io(b, ACPI_PM_EVENT, ACPI_PM_EVENT_SIZE, &event_ops, p) &&
	       bus_register_io(b, ACPI_PM_CONTROL, ACPI_PM_CONTROL_SIZE, &control_ops, p);
}
