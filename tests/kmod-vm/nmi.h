/*
 * Non-maskable interrupts for other CPUs of a test host, from user space.
 *
 * Owns: a mapping of the local APIC's registers (SDM vol. 3, 11.4.1), where the kernel lets root
 * have them (iomem=relaxed).
 */
#ifndef PLEX86_TEST_NMI_H
#define PLEX86_TEST_NMI_H

#include <stdbool.h>
#include "../../common/types.h"

/* The registers of the CPU that one runs on; NULL if the kernel does not let us have them. */
volatile u32 *nmi_map_apic(void);
/* An NMI to all CPUs but the sender's: by the APIC or, if `apic` is NULL, by sysrq l, for which
 * each says what it does. False: neither way is open. */
bool nmi_send(volatile u32 *apic);
/* How many the CPUs have taken in all; -1: the kernel does not tell. */
long nmi_count(void);

#endif
