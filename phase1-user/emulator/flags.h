/*
 * The emulated CPU's flags where an instruction faults.
 *
 * Owns: what of the library's lazy flags an instruction has overwritten before its access to
 * memory. The library restores the form that they had in front of it, which is wrong then: the
 * instruction is run again with other flags.
 */
#ifndef PLEX86_EMULATOR_FLAGS_H
#define PLEX86_EMULATOR_FLAGS_H

#include "../../common/types.h"

/* The library's forms (its CC_OP_...). A run of four is for 8 to 64 bits. */
#define CC_DYNAMIC 0u
#define CC_EFLAGS  1u
#define CC_SUB	   14u
#define CC_ADOX	   47u /* from here on OF is by itself */

/* The form that they are in, where `form` was recorded for the instruction at `code` (`n` bytes can
 * be read), which faults. */
u32 flags_form(const u8 *code, unsigned n, u32 form);
/* Has it changed the carry when it comes to store? */
bool flags_rotate(const u8 *code, unsigned n);

#endif
