/*
 * The disassembler, for traces, the debugger and crash reports.
 *
 * Owns: text. Userspace only; nothing that decides anything may depend on it (that is decode.h).
 */
#ifndef PLEX86_DISASM_H
#define PLEX86_DISASM_H

#include "decode.h"

/*
 * Write the instruction at `bytes`, of which `n` may be read and which stands at `address`, into
 * `text` in AT&T syntax, cut to `size` bytes with the final NUL. Returns its length; what does not
 * disassemble is "(bad)" and one byte long, and nothing at all (n == 0) is "" and 0. Not reentrant.
 */
size_t disasm(const u8 *bytes, size_t n, u64 address, enum insn_mode mode, char *text, size_t size);

#endif
