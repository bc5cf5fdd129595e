/*
 * What the library's translator takes for an instruction, and is none.
 *
 * Owns: the table of those: a lock where there must be none (SDM vol. 2, LOCK), opcodes of groups
 * that do not exist, SSE with a prefix that has no such form (vol. 2, appendix A).
 */
#ifndef PLEX86_EMULATOR_UNDEFINED_H
#define PLEX86_EMULATOR_UNDEFINED_H

#include "../../common/types.h"

enum verdict {
	INSN_AS_IT_IS,
	INSN_UNDEFINED, /* #UD */
	INSN_UNLOCKED,	/* to be carried out as if its lock were not there: lock neg */
};

struct judged {
	unsigned length; /* bytes that were looked at */
	unsigned lock;	 /* where among them the lock is, if there is one */
};

/* Judge the instruction whose byte n is `byte(start, n)`. None behind its ModRM is asked for, and
 * none that it does not have. */
enum verdict undefined_judge(u8 (*byte)(u64 start, unsigned n), u64 start, struct judged *j);

#endif
