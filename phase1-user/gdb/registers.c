/*
 * The guest's registers as gdb knows them: see registers.h.
 */
#include "registers.h"

#include <string.h>
#include "../../common/pv.h"

/* Flags that a debugger may write, besides IF: those that the hardware has. RF differs from stop to
 * stop by how the stop came about. */
#define FLAGS_WRITABLE                                                                             \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

enum kind { GENERAL, INSTRUCTION, FLAGS, SELECTOR, FPU, SYSTEM };

struct reg {
	const char *name, *type;
	u8 bits, kind;
	u8 index; /* GENERAL: enum gpr; SELECTOR: enum seg_reg; FPU: enum gdb_fpu_reg */
};

enum system_reg {
	SYS_CR0,
	SYS_CR2,
	SYS_CR3,
	SYS_CR4,
	SYS_EFER,
	SYS_GDTR_BASE,
	SYS_GDTR_LIMIT,
	SYS_IDTR_BASE,
	SYS_IDTR_LIMIT,
	SYS_LDTR,
	SYS_TR,
	SYS_FS_BASE,
	SYS_GS_BASE,
	SYS_IF,
	SYS_CPL
};

#define ST(n)                                                 \
	{                                                     \
		"st" #n, "i387_ext", 80, FPU, GDB_FPU_ST0 + n \
	}
#define XMM(n)                                                 \
	{                                                      \
		"xmm" #n, "vec128", 128, FPU, GDB_FPU_XMM0 + n \
	}
#define X87(name, reg)                    \
	{                                 \
		name, "int", 32, FPU, reg \
	}
#define SYS(name, type, bits, reg)            \
	{                                     \
		name, type, bits, SYSTEM, reg \
	}

/* clang-format off */
static const struct reg regs[] = {
	{"eax", "int32", 32, GENERAL, GPR_AX},
	{"ecx", "int32", 32, GENERAL, GPR_CX},
	{"edx", "int32", 32, GENERAL, GPR_DX},
	{"ebx", "int32", 32, GENERAL, GPR_BX},
	{"esp", "data_ptr", 32, GENERAL, GPR_SP},
	{"ebp", "data_ptr", 32, GENERAL, GPR_BP},
	{"esi", "int32", 32, GENERAL, GPR_SI},
	{"edi", "int32", 32, GENERAL, GPR_DI},
	{"eip", "code_ptr", 32, INSTRUCTION, 0},
	{"eflags", "eflags_bits", 32, FLAGS, 0},
	{"cs", "int32", 32, SELECTOR, SEG_CS},
	{"ss", "int32", 32, SELECTOR, SEG_SS},
	{"ds", "int32", 32, SELECTOR, SEG_DS},
	{"es", "int32", 32, SELECTOR, SEG_ES},
	{"fs", "int32", 32, SELECTOR, SEG_FS},
	{"gs", "int32", 32, SELECTOR, SEG_GS},
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	X87("fctrl", GDB_FPU_FCTRL), X87("fstat", GDB_FPU_FSTAT), X87("ftag", GDB_FPU_FTAG),
	X87("fiseg", GDB_FPU_FISEG), X87("fioff", GDB_FPU_FIOFF), X87("foseg", GDB_FPU_FOSEG),
	X87("fooff", GDB_FPU_FOOFF), X87("fop", GDB_FPU_FOP),
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
	{"mxcsr", "mxcsr_bits", 32, FPU, GDB_FPU_MXCSR},
	SYS("cr0", "cr0_bits", 32, SYS_CR0),
	SYS("cr2", "data_ptr", 32, SYS_CR2),
	SYS("cr3", "int32", 32, SYS_CR3),
	SYS("cr4", "cr4_bits", 32, SYS_CR4),
	SYS("efer", "efer_bits", 64, SYS_EFER),
	SYS("gdtr_base", "data_ptr", 32, SYS_GDTR_BASE),
	SYS("gdtr_limit", "int32", 32, SYS_GDTR_LIMIT),
	SYS("idtr_base", "data_ptr", 32, SYS_IDTR_BASE),
	SYS("idtr_limit", "int32", 32, SYS_IDTR_LIMIT),
	SYS("ldtr", "int32", 32, SYS_LDTR),
	SYS("tr", "int32", 32, SYS_TR),
	SYS("fs_base", "data_ptr", 32, SYS_FS_BASE),
	SYS("gs_base", "data_ptr", 32, SYS_GS_BASE),
	SYS("if", "int32", 32, SYS_IF),
	SYS("cpl", "int32", 32, SYS_CPL),
};
/* clang-format on */
_Static_assert(ARRAY_SIZE(regs) == GDB_REGISTERS, "every register has a number");

unsigned gdb_register_size(unsigned n)
{
	return regs[n].bits / 8;
}

/* ---- values ---- */

static u64 read_system(const struct vm *vm, enum system_reg which)
{
	const struct vcpu *cpu = &vm->cpu;

	switch (which) {
	case SYS_CR0:
		return cpu->cr0;
	case SYS_CR2:
		return cpu->cr2;
	case SYS_CR3:
		return cpu->cr3;
	case SYS_CR4:
		return cpu->cr4;
	case SYS_EFER:
		return cpu->efer;
	case SYS_GDTR_BASE:
		return cpu->gdtr.base;
	case SYS_GDTR_LIMIT:
		return cpu->gdtr.limit;
	case SYS_IDTR_BASE:
		return cpu->idtr.base;
	case SYS_IDTR_LIMIT:
		return cpu->idtr.limit;
	case SYS_LDTR:
		return cpu->ldtr.selector;
	case SYS_TR:
		return cpu->tr.selector;
	case SYS_FS_BASE:
		return cpu->seg[SEG_FS].base;
	case SYS_GS_BASE:
		return cpu->seg[SEG_GS].base;
	case SYS_IF:
		return vm_if(vm) != 0;
	case SYS_CPL:
		return vm_cpl(vm);
	}
	return 0;
}

static u64 read_number(const struct vm *vm, const struct reg *reg)
{
	switch (reg->kind) {
	case GENERAL:
		return vm->cpu.gpr[reg->index];
	case INSTRUCTION:
		return vm->cpu.rip;
	case FLAGS:
		return vm_flags(vm);
	case SELECTOR:
		return vm->cpu.seg[reg->index].selector;
	default:
		return read_system(vm, reg->index);
	}
}

static bool has_fpu(const struct gdb_cpu *cpu)
{
	return cpu->fpu_size >= GDB_XSAVE_MIN;
}

void gdb_register_put(const struct gdb_cpu *cpu, unsigned n, struct gdb_text *reply)
{
	const struct reg *reg = &regs[n];
	const unsigned size = gdb_register_size(n);
	u8 bytes[GDB_REGISTER_MAX];
	u64 value;

	if (reg->kind == FPU && !has_fpu(cpu)) {
		for (unsigned i = 0; i < size; i++)
			gdb_put(reply, "xx", 2);
		return;
	}
	if (reg->kind == FPU) {
		gdb_fpu_read(cpu->fpu, reg->index, bytes, size);
	} else {
		value = read_number(cpu->vm, reg);
		mem_copy(bytes, &value, size);
	}
	gdb_put_hex(reply, bytes, size);
}

static const char *set_flags(struct gdb_cpu *cpu, u32 flags)
{
	const u32 changed = flags ^ vm_flags(cpu->vm);

	if (changed & ~(FLAGS_WRITABLE | FLAG_IF))
		return "of eflags, IOPL and VM are read-only";
	cpu->vm->cpu.rflags =
		(cpu->vm->cpu.rflags & ~(u64)FLAGS_WRITABLE) | (flags & FLAGS_WRITABLE);
	if (changed & FLAG_IF)
		vm_set_if(cpu->vm, flags);
	cpu->changed = true;
	return NULL;
}

static const char *set_fpu(struct gdb_cpu *cpu, unsigned n, const u8 *bytes)
{
	if (!has_fpu(cpu))
		return "this engine does not give the FPU's registers";
	gdb_fpu_write(cpu->fpu, regs[n].index, bytes, gdb_register_size(n));
	cpu->fpu_changed = true;
	return NULL;
}

const char *gdb_register_set(struct gdb_cpu *cpu, unsigned n, const u8 *bytes)
{
	const struct reg *reg = &regs[n];
	const unsigned size = gdb_register_size(n);
	u64 value = 0, old = 0;

	if (reg->kind == FPU)
		return set_fpu(cpu, n, bytes);
	mem_copy(&value, bytes, size);
	switch (reg->kind) {
	case GENERAL:
		cpu->vm->cpu.gpr[reg->index] = value;
		break;
	case INSTRUCTION:
		cpu->vm->cpu.rip = value;
		break;
	case FLAGS:
		return set_flags(cpu, value);
	default:
		/* gdb writes them as they are when it writes all registers. */
		old = read_number(cpu->vm, reg);
		if (!memcmp(&old, &value, size))
			return NULL;
		return reg->kind == SELECTOR ? "segment registers are read-only"
					     : "system registers are read-only";
	}
	cpu->changed = true;
	return NULL;
}

/* ---- the target description ---- */

/* Bits with their names; an empty name ends them. */
struct bits {
	const char *type;
	unsigned size;
	struct {
		const char *name;
		u8 bit;
	} bit[18];
};

static const struct bits bit_types[] = {
	{"eflags_bits",
	 4,
	 {{"CF", 0},
	  {"", 1},
	  {"PF", 2},
	  {"AF", 4},
	  {"ZF", 6},
	  {"SF", 7},
	  {"TF", 8},
	  {"IF", 9},
	  {"DF", 10},
	  {"OF", 11},
	  {"NT", 14},
	  {"RF", 16},
	  {"VM", 17},
	  {"AC", 18},
	  {"VIF", 19},
	  {"VIP", 20},
	  {"ID", 21}}},
	{"cr0_bits",
	 4,
	 {{"PE", 0},
	  {"MP", 1},
	  {"EM", 2},
	  {"TS", 3},
	  {"ET", 4},
	  {"NE", 5},
	  {"WP", 16},
	  {"AM", 18},
	  {"NW", 29},
	  {"CD", 30},
	  {"PG", 31}}},
	{"cr4_bits",
	 4,
	 {{"VME", 0},
	  {"PVI", 1},
	  {"TSD", 2},
	  {"DE", 3},
	  {"PSE", 4},
	  {"PAE", 5},
	  {"MCE", 6},
	  {"PGE", 7},
	  {"PCE", 8},
	  {"OSFXSR", 9},
	  {"OSXMMEXCPT", 10},
	  {"OSXSAVE", 18}}},
	{"efer_bits", 8, {{"SCE", 0}, {"LME", 8}, {"LMA", 10}, {"NXE", 11}}},
	{"mxcsr_bits",
	 4,
	 {{"IE", 0},
	  {"DE", 1},
	  {"ZE", 2},
	  {"OE", 3},
	  {"UE", 4},
	  {"PE", 5},
	  {"DAZ", 6},
	  {"IM", 7},
	  {"DM", 8},
	  {"ZM", 9},
	  {"OM", 10},
	  {"UM", 11},
	  {"PM", 12},
	  {"FZ", 15}}},
};

static void describe_bits(struct gdb_text *xml, const char *type)
{
	const struct bits *b = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(bit_types); i++)
		if (!strcmp(bit_types[i].type, type))
			b = &bit_types[i];
	if (!b)
		return;
	gdb_print(xml, "<flags id=\"%s\" size=\"%u\">\n", b->type, b->size);
	for (unsigned i = 0; i < ARRAY_SIZE(b->bit) && b->bit[i].name; i++)
		gdb_print(xml, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", b->bit[i].name,
			  b->bit[i].bit, b->bit[i].bit);
	gdb_print(xml, "</flags>\n");
}

/* A register of 16 bytes in the ways one may look at it. */
static void describe_vector(struct gdb_text *xml)
{
	static const struct {
		const char *id, *of;
		unsigned count;
	} ways[] = {
		{"v4f", "ieee_single", 4}, {"v2d", "ieee_double", 2}, {"v16i8", "int8", 16},
		{"v8i16", "int16", 8},	   {"v4i32", "int32", 4},     {"v2i64", "int64", 2},
	};
	static const char *const names[] = {"v4_float", "v2_double", "v16_int8",
					    "v8_int16", "v4_int32",  "v2_int64"};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
		gdb_print(xml, "<vector id=\"%s\" type=\"%s\" count=\"%u\"/>\n", ways[i].id,
			  ways[i].of, ways[i].count);
	gdb_print(xml, "<union id=\"vec128\">\n");
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
		gdb_print(xml, "<field name=\"%s\" type=\"%s\"/>\n", names[i], ways[i].id);
	gdb_print(xml, "<field name=\"uint128\" type=\"uint128\"/>\n</union>\n");
}

static void describe_register(struct gdb_text *xml, unsigned n)
{
	const struct reg *reg = &regs[n];

	gdb_print(xml, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"", reg->name,
		  reg->bits, reg->type, n);
	if (reg->kind == SYSTEM)
		gdb_print(xml, " save-restore=\"no\"");
	else if (reg->kind == FPU && reg->index >= GDB_FPU_FCTRL && reg->index < GDB_FPU_XMM0)
		gdb_print(xml, " group=\"float\"");
	gdb_print(xml, "/>\n");
}

void gdb_registers_describe(struct gdb_text *xml)
{
	static const struct {
		const char *name;
		unsigned from;
	} features[] = {
		{"org.gnu.gdb.i386.core", 0},
		{"org.gnu.gdb.i386.sse", GDB_REG_FPU + GDB_FPU_XMM0},
		{"org.plex86.i386.sys", GDB_REG_SYSTEM},
		{NULL, GDB_REGISTERS},
	};

	gdb_print(xml, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		       "<target version=\"1.0\">\n<architecture>i386</architecture>\n");
	for (unsigned f = 0; features[f].name; f++) {
		gdb_print(xml, "<feature name=\"%s\">\n", features[f].name);
		if (features[f].from == GDB_REG_FPU + GDB_FPU_XMM0)
			describe_vector(xml);
		for (unsigned n = features[f].from; n < features[f + 1].from; n++)
			describe_bits(xml, regs[n].type);
		for (unsigned n = features[f].from; n < features[f + 1].from; n++)
			describe_register(xml, n);
		gdb_print(xml, "</feature>\n");
	}
	gdb_print(xml, "</target>\n");
}
