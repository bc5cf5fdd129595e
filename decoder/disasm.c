/*
 * The disassembler: see disasm.h.
 */
#include "disasm.h"

#include <capstone/capstone.h>
#include <stdio.h>

/* Capstone handles are made at first use and live as long as the program. */
static csh handle_for(enum insn_mode mode)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
	static csh handles[ARRAY_SIZE(modes)];

	if (!handles[mode]) {
		if (cs_open(CS_ARCH_X86, modes[mode], &handles[mode]) != CS_ERR_OK)
			return 0;
		cs_option(handles[mode], CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	}
	return handles[mode];
}

size_t disasm(const u8 *bytes, size_t n, u64 address, enum insn_mode mode, char *text, size_t size)
{
	csh handle = handle_for(mode);
	cs_insn *insn;
	size_t length;

	if (n == 0) {
		snprintf(text, size, "%s", "");
		return 0;
	}
	if (!handle || !cs_disasm(handle, bytes, n < INSN_MAX ? n : INSN_MAX, address, 1, &insn)) {
		snprintf(text, size, "(bad)");
		return 1;
	}
	length = insn->size;
	snprintf(text, size, "%s%s%s", insn->mnemonic, insn->op_str[0] ? " " : "", insn->op_str);
	cs_free(insn, 1);
	return length;
}
