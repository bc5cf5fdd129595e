/*
 * Is a vcpu's state one that the core can have?
 *
 * Owns: the answer for states that come from outside and are hostile: PLEX86_SET_CPU.
 */
#ifndef PLEX86_VCPU_CHECK_H
#define PLEX86_VCPU_CHECK_H

#include "vcpu.h"

/* True if every field holds what a loader, or the guest's own instructions, could have put there.
 * Addresses need not be good, nor tables be where they are said to be: those are the guest's to get
 * wrong. hw_selector is not looked at: core_load_segments() makes it anew. */
bool vcpu_valid(const struct vcpu *cpu);

#endif
