/*
 * Cases from a seed on, and what went wrong in one: see suite.h.
 */
#include "suite.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SEED 1

u32 roll(struct dice *d)
{
	u64 z = d->state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) >> 32;
}

u32 roll_below(struct dice *d, u32 n)
{
	return (u64)roll(d) * n >> 32;
}

bool chance(struct dice *d, unsigned percent)
{
	return roll_below(d, 100) < percent;
}

void differ(struct contest *c, const char *format, ...)
{
	va_list args;

	if (c->difference[0])
		return;
	va_start(args, format);
	vsnprintf(c->difference, sizeof(c->difference), format, args);
	va_end(args);
}

const char *vector_name(u8 vector)
{
	static const char *const names[] = {
		[EXC_DE] = "#DE", [EXC_DB] = "#DB", [EXC_NMI] = "NMI", [EXC_BP] = "#BP",
		[EXC_OF] = "#OF", [EXC_BR] = "#BR", [EXC_UD] = "#UD",  [EXC_NM] = "#NM",
		[EXC_DF] = "#DF", [EXC_TS] = "#TS", [EXC_NP] = "#NP",  [EXC_SS] = "#SS",
		[EXC_GP] = "#GP", [EXC_PF] = "#PF", [EXC_MF] = "#MF",  [EXC_AC] = "#AC",
	};

	return vector < ARRAY_SIZE(names) && names[vector] ? names[vector] : "interrupt";
}

/* --------------------------------------------------------- both sides ---- */

/* The segment a null selector leaves has no other parts. */
static struct segment to_core(const struct m_segment *seg)
{
	struct segment out = {.selector = seg->selector};

	if (seg->null)
		return out;
	out.base = seg->base;
	out.limit = seg->limit;
	out.attr = seg->type | seg->s << 4 | seg->dpl << 5 | seg->present << 7 |
		   (seg->big ? SEG_DB : 0) | (seg->granular ? SEG_G : 0);
	return out;
}

void contest_begin(struct contest *c)
{
	const struct m_registers *r = &c->model.r;
	struct vm *vm = c->vm;

	memcpy(c->ram_before, c->model.ram, c->model.ram_size);
	memcpy(vm->ram, c->model.ram, c->model.ram_size);
	c->before.r = *r;
	memset(&vm->cpu, 0, sizeof(vm->cpu));
	memset(&vm->exc, 0, sizeof(vm->exc));
	memset(&vm->exit, 0, sizeof(vm->exit));
	for (unsigned i = 0; i < 8; i++)
		vm->cpu.gpr[i] = r->gpr[i];
	vm->cpu.rip = r->eip;
	vm->cpu.rflags = r->eflags & ~(FLAG_IF | FLAG_IOPL);
	vm->cpu.iopl = (r->eflags & FLAG_IOPL) >> 12;
	vm_set_if(vm, r->eflags);
	pv_page(vm)->cpl = r->cpl;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		vm->cpu.seg[i] = to_core(&r->seg[i]);
	vm->cpu.ldtr = to_core(&r->ldtr);
	vm->cpu.tr = to_core(&r->tr);
	vm->cpu.gdtr = (struct table_register){.base = r->gdtr.base, .limit = r->gdtr.limit};
	vm->cpu.idtr = (struct table_register){.base = r->idtr.base, .limit = r->idtr.limit};
	vm->cpu.cr0 = r->cr0;
	vm->cpu.cr2 = r->cr2;
	vm->cpu.cr3 = r->cr3;
	vm->cpu.cr4 = r->cr4;
	vm->cpu.efer = r->nxe ? EFER_NXE : 0;
	memcpy(vm->cpu.pdpte, r->pdpte, sizeof(r->pdpte));
	memset(vm_shadow(vm)->tls, 0, sizeof(vm_shadow(vm)->tls));
	assert_true(core_load_segments(vm));
}

/* ---------------------------------------------------------- comparing ---- */

static void compare_segment(struct contest *c, const char *name, const struct m_segment *model,
			    const struct segment *core)
{
	const struct segment want = to_core(model);
	/* In the hidden part "accessed" shows nowhere. */
	const u16 shown = (u16) ~(SEG_TYPE_ACCESSED | SEG_AVL | SEG_L);

	if (want.selector == core->selector && want.base == core->base &&
	    want.limit == core->limit && !((want.attr ^ core->attr) & shown))
		return;
	differ(c,
	       "%s: model %04x base %08llx limit %08x attr %04x, core %04x base %08llx limit %08x "
	       "attr %04x",
	       name, want.selector, (unsigned long long)want.base, want.limit, want.attr,
	       core->selector, (unsigned long long)core->base, core->limit, core->attr);
}

/* What the hardware's register holds, as the host's tables have it; false: nothing. */
static bool hardware_segment(const struct vm *vm, u16 selector, struct segment *seg)
{
	const u64 *slot = mock_of(vm)->segment;
	u64 desc = 0;

	if (selector == HOST_FLAT_CS)
		desc = descriptor(0, 0xfffff, D_CODE | D_DPL3, D_FLAT);
	else if (selector == HOST_FLAT_DS)
		desc = descriptor(0, 0xfffff, D_DATA | D_DPL3, D_FLAT);
	else if (selector & 4)
		desc = slot[selector >> 3];
	else if ((selector >> 3) - (unsigned)HOST_TLS_ENTRY < HOST_TLS_COUNT)
		desc = slot[HOST_SLOT_TLS0 + (selector >> 3) - HOST_TLS_ENTRY];
	seg_unpack(desc, selector, seg);
	return seg->attr & SEG_P;
}

/* Guest code must find what the model says: base, limit, and what may be done. */
static void compare_hardware(struct contest *c, const char *name, enum seg_reg reg)
{
	const struct m_segment *model = &c->model.r.seg[reg];
	const u16 selector = c->vm->cpu.hw_selector[reg];
	const u8 rights = model->type & SEG_TYPE_CODE
				  ? SEG_TYPE_CODE
				  : SEG_TYPE_CODE | SEG_TYPE_DOWN | SEG_TYPE_WRITE;
	struct segment hw;

	if (model->null) {
		if (selector & ~3)
			differ(c, "%s: null, but hardware has %04x", name, selector);
		return;
	}
	if (hardware_segment(c->vm, selector, &hw) && hw.base == model->base &&
	    hw.limit == model->limit && !!(hw.attr & SEG_DB) == model->big &&
	    !((hw.attr ^ model->type) & rights))
		return;
	differ(c, "%s %04x: hardware has %04x: base %08llx limit %08x attr %04x", name,
	       model->selector, selector, (unsigned long long)hw.base, hw.limit, hw.attr);
}

void compare_registers(struct contest *c)
{
	static const char *const gpr[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
	static const char *const seg[] = {
		[SEG_ES] = "es", [SEG_CS] = "cs", [SEG_SS] = "ss",
		[SEG_DS] = "ds", [SEG_FS] = "fs", [SEG_GS] = "gs",
	};
	const struct m_registers *r = &c->model.r;
	const struct vcpu *cpu = &c->vm->cpu;

	DIFFER_UNLESS_EQUAL(c, "shutdown", r->shutdown, cpu->shutdown);
	DIFFER_UNLESS_EQUAL(c, "cpl", r->cpl, vm_cpl(c->vm));
	DIFFER_UNLESS_EQUAL(c, "eip", r->eip, cpu->rip);
	DIFFER_UNLESS_EQUAL(c, "eflags", r->eflags | FLAG_ONE, vm_flags(c->vm));
	for (unsigned i = 0; i < 8; i++)
		DIFFER_UNLESS_EQUAL(c, gpr[i], r->gpr[i], cpu->gpr[i]);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		compare_segment(c, seg[i], &r->seg[i], &cpu->seg[i]);
	for (unsigned i = 0; i < SEG_COUNT && c->model.deprivileged; i++)
		compare_hardware(c, seg[i], i);
	compare_segment(c, "ldtr", &r->ldtr, &cpu->ldtr);
	compare_segment(c, "tr", &r->tr, &cpu->tr);
	DIFFER_UNLESS_EQUAL(c, "cr0", r->cr0, cpu->cr0);
	DIFFER_UNLESS_EQUAL(c, "cr2", r->cr2, cpu->cr2);
	DIFFER_UNLESS_EQUAL(c, "cr3", r->cr3, cpu->cr3);
	DIFFER_UNLESS_EQUAL(c, "cr4", r->cr4, cpu->cr4);
	for (unsigned i = 0; i < 4; i++)
		DIFFER_UNLESS_EQUAL(c, "pdpte", r->pdpte[i], cpu->pdpte[i]);
}

/* Bits in which a byte may differ. A may be set by reads that never became an access of the
 * program's (SDM vol. 3, 4.8), D only by writes, which a fault may have left. */
static u8 open_bits(const struct contest *c, u32 pa, bool faulted)
{
	if (pa >= c->tables && pa < c->tables_end)
		return faulted ? 0x60 : 0x20;
	if (faulted && pa >= c->descriptors && pa < c->descriptors_end)
		return 0x01;
	return 0;
}

void compare_memory(struct contest *c, bool faulted)
{
	const u8 *model = c->model.ram, *core = c->vm->ram;

	if (!memcmp(model, core, c->model.ram_size))
		return;
	for (u32 pa = 0; pa < c->model.ram_size; pa++)
		if ((model[pa] ^ core[pa]) & ~open_bits(c, pa, faulted))
			differ(c, "memory at %#x: was %02x, model %02x, core %02x", pa,
			       c->ram_before[pa], model[pa], core[pa]);
}

/* ----------------------------------------------------------- a report ---- */

static void print_segment(const char *name, const struct m_segment *s)
{
	if (s->null)
		printf("  %-4s %04x null\n", name, s->selector);
	else
		printf("  %-4s %04x base %08x limit %08x type %x s %u dpl %u p %u big %u\n", name,
		       s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->big);
}

static void print_table(const struct model *m, const char *name, u32 base, u32 limit)
{
	/* Where linear addresses are physical ones, as nearly always. */
	for (u32 at = 0; at + 7 <= limit && at < 0x90; at += 8) {
		const u32 pa = base + at;
		u64 raw;

		if (pa >= m->ram_size - 7)
			return;
		memcpy(&raw, m->ram + pa, sizeof(raw));
		if (raw)
			printf("  %s %02x: %016llx\n", name, at, (unsigned long long)raw);
	}
}

static void print_case(const struct contest *c)
{
	static const char *const seg[] = {
		[SEG_ES] = "es", [SEG_CS] = "cs", [SEG_SS] = "ss",
		[SEG_DS] = "ds", [SEG_FS] = "fs", [SEG_GS] = "gs",
	};
	const struct m_registers *r = &c->before.r;
	struct model old = c->model;

	old.ram = c->ram_before;
	printf("  %s\nbefore:\n  cpl %u eip %08x esp %08x eflags %08x eax %08x\n", c->what, r->cpl,
	       r->eip, r->gpr[GPR_SP], r->eflags, r->gpr[GPR_AX]);
	printf("  cr0 %08x cr3 %08x cr4 %08x nxe %u pdpte %llx %llx %llx %llx\n", r->cr0, r->cr3,
	       r->cr4, r->nxe, (unsigned long long)r->pdpte[0], (unsigned long long)r->pdpte[1],
	       (unsigned long long)r->pdpte[2], (unsigned long long)r->pdpte[3]);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		print_segment(seg[i], &r->seg[i]);
	print_segment("ldtr", &r->ldtr);
	print_segment("tr", &r->tr);
	printf("  gdtr %08x %04x idtr %08x %04x\n", r->gdtr.base, r->gdtr.limit, r->idtr.base,
	       r->idtr.limit);
	print_table(&old, "gdt", r->gdtr.base, r->gdtr.limit);
	print_table(&old, "ldt", r->ldtr.base, r->ldtr.null ? 0 : r->ldtr.limit);
	print_table(&old, "idt", r->idtr.base, r->idtr.limit);
}

/* --------------------------------------------------------------- runs ---- */

static int usage(const char *name, FILE *out)
{
	fprintf(out,
		"usage: %s [--seed N] [--count N] [--keep-going]\n"
		"Compares the core with the model in cases N, N + 1, ... (--seed, default %u).\n"
		"--keep-going: reports every case that differs in one line.\n",
		name, FIRST_SEED);
	return out == stdout ? 0 : 2;
}

static bool run_case(const struct suite *suite, struct contest *c, u64 seed, bool brief,
		     unsigned *outcome)
{
	c->dice.state = seed * 0xd1342543de82ef95ull;
	c->difference[0] = c->what[0] = 0;
	memset(c->model.ram, 0, c->model.ram_size);
	memset(&c->model.r, 0, sizeof(c->model.r));
	memset(&c->model.fault, 0, sizeof(c->model.fault));
	*outcome = suite->run(c);
	if (!c->difference[0])
		return true;
	printf("%s: case %llu: %s\n", suite->name, (unsigned long long)seed, c->difference);
	if (brief) {
		printf("  %s\n", c->what);
		return false;
	}
	print_case(c);
	printf("again: test-%s --seed %llu --count 1\n", suite->name, (unsigned long long)seed);
	return false;
}

int suite_main(const struct suite *suite, int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
						{"count", required_argument, NULL, 'c'},
						{"keep-going", no_argument, NULL, 'k'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	u64 seed = FIRST_SEED, count = suite->count, bad = 0, counts[16] = {0};
	static struct contest c;
	bool keep_going = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "s:c:kh", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			count = strtoull(optarg, NULL, 0);
			break;
		case 'k':
			keep_going = true;
			break;
		default:
			return usage(argv[0], opt == 'h' ? stdout : stderr);
		}
	}
	c.vm = vm_create(suite->ram_size);
	c.model.ram_size = suite->ram_size;
	c.model.ram = malloc(suite->ram_size);
	c.model.hole = PLEX86_PV_PAGE;
	c.model.deprivileged = true;
	c.ram_before = malloc(suite->ram_size);
	assert_true(c.model.ram && c.ram_before && suite->n_outcomes <= ARRAY_SIZE(counts));
	for (u64 i = 0; i < count && (keep_going || !bad); i++) {
		unsigned outcome;

		bad += !run_case(suite, &c, seed + i, keep_going, &outcome);
		counts[outcome]++;
	}
	printf("%s: %llu cases from %llu on, %llu differ:", suite->name, (unsigned long long)count,
	       (unsigned long long)seed, (unsigned long long)bad);
	for (unsigned i = 0; i < suite->n_outcomes; i++)
		printf(" %s %llu", suite->outcomes[i], (unsigned long long)counts[i]);
	printf("\n");
	vm_free(c.vm);
	free(c.model.ram);
	free(c.ram_before);
	return bad ? 1 : 0;
}
