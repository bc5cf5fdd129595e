/*
 * The fixed hardware of ACPI, as far as a machine must have it that loader/acpi.c's tables tell of:
 * PM1 event and control registers (specification 6.4, 4.8.3). No event ever happens; power off is
 * a write.
 *
 * Owns: ports 0x600-0x605. What power off does is the owner's.
 */
#ifndef PLEX86_HAL_ACPI_PM_H
#define PLEX86_HAL_ACPI_PM_H

#include "bus.h"

#define ACPI_PM_EVENT	     0x600 /* status, enable: 16 bits each */
#define ACPI_PM_EVENT_SIZE   4
#define ACPI_PM_CONTROL	     0x604
#define ACPI_PM_CONTROL_SIZE 2
#define ACPI_PM_SCI	     9 /* the line that would tell of events */

struct acpi_pm {
	void (*power_off)(void *opaque);
	void *opaque;
	u16 enable, control; /* as last written */
};

/* The callback must be set. False if a port is taken. */
bool acpi_pm_register(struct acpi_pm *p, struct bus *b);

#endif
