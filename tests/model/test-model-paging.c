/*
 * common/paging.c, shadow.c's fills and the loads of PDPTEs against the model: one access by random
 * tables a case, often behind a mov to a control register.
 */
#include "suite.h"

#include <stdio.h>
#include <string.h>

#define RAM_SIZE 0x20000u

/* Frames with tables; the others are what entries map. */
enum { FRAMES = RAM_SIZE / 0x1000, TABLE_FRAMES = 8 };

static void put(struct contest *c, u32 pa, u64 entry, unsigned width)
{
	if (pa < c->model.ram_size - 7)
		memcpy(c->model.ram + pa, &entry, width);
}

/* Bits that most entries of working tables have, each missing now and then. */
static u64 random_rights(struct dice *d)
{
	u64 bits = 0;

	bits |= chance(d, 92) ? PTE_P : 0;
	bits |= chance(d, 75) ? PTE_W : 0;
	bits |= chance(d, 75) ? PTE_U : 0;
	bits |= chance(d, 70) ? PTE_A : 0;
	bits |= chance(d, 60) ? PTE_D : 0;
	bits |= chance(d, 30) ? PTE_G : 0;
	bits |= roll(d) & 0xe18; /* ignored, and what cache policy goes by */
	return bits;
}

static u64 random_high(struct dice *d, bool pae)
{
	if (!pae)
		return 0;
	if (chance(d, 3))
		return 1ull << (32 + roll_below(d, 31));
	return chance(d, 15) ? PTE_NX : 0;
}

static u32 random_frame(struct dice *d, u32 first, u32 count)
{
	if (chance(d, 3))
		return roll(d) & 0xfffff000u;
	return (first + roll_below(d, count)) << 12;
}

static u64 random_pte(struct dice *d, bool pae)
{
	return random_rights(d) | random_high(d, pae) |
	       random_frame(d, TABLE_FRAMES, FRAMES - TABLE_FRAMES);
}

static u64 random_pde(struct dice *d, bool pae)
{
	u64 pde = random_rights(d) | random_high(d, pae);

	if (!chance(d, 20))
		return pde | random_frame(d, 1, TABLE_FRAMES - 1);
	/* A large page, which begins at 0 to be in RAM at all; with a bit that is reserved or not.
	 */
	if (chance(d, 20))
		pde |= 1ull << (12 + roll_below(d, 20));
	return pde | PTE_PS | (chance(d, 10) ? roll(d) & 0xffc00000u : 0);
}

static u64 random_pdpte(struct dice *d)
{
	u64 entry = random_frame(d, 1, TABLE_FRAMES - 1) | (roll(d) & 0xe18);

	entry |= chance(d, 92) ? PTE_P : 0;
	if (chance(d, 5))
		entry |= 1ull << roll_below(d, 12);
	if (chance(d, 3))
		entry |= 1ull << (32 + roll_below(d, 32));
	return entry;
}

/* Write entries of `width` around number `index` of the table at `table`. */
static void fill(struct contest *c, u32 table, u32 index, bool pae, u64 make(struct dice *, bool))
{
	const u32 entries = pae ? 512 : 1024, width = pae ? 8 : 4;

	for (u32 i = index > 3 ? index - 3 : 0; i < index + 4 && i < entries; i++)
		put(c, table + i * width, make(&c->dice, pae), width);
}

static u64 get(const struct contest *c, u32 pa, unsigned width)
{
	u64 value = 0;

	if (pa < c->model.ram_size - 7)
		memcpy(&value, c->model.ram + pa, width);
	return value;
}

/* Tables of a format on the way to `la`, from a directory on. */
static void make_tables(struct contest *c, u32 directory, u32 la, bool pae)
{
	const unsigned shift = pae ? 21 : 22, width = pae ? 8 : 4;
	const u32 mask = pae ? 0x1ff : 0x3ff, index = la >> shift & mask;

	fill(c, directory, index, pae, random_pde);
	fill(c, get(c, directory + index * width, width) & 0xfffff000u, la >> 12 & mask, pae,
	     random_pte);
}

static void random_machine(struct contest *c, u32 la)
{
	struct m_registers *r = &c->model.r;
	struct dice *d = &c->dice;
	const bool pae = chance(d, 60);

	r->cpl = chance(d, 60) ? 0 : roll_below(d, 4);
	r->cr0 = CR0_PE | CR0_ET | (chance(d, 80) ? CR0_PG : 0) | (chance(d, 60) ? CR0_WP : 0);
	r->cr4 =
		(chance(d, 60) ? CR4_PSE : 0) | (chance(d, 50) ? CR4_PGE : 0) | (pae ? CR4_PAE : 0);
	r->nxe = chance(d, 60);
	r->cr3 = (roll_below(d, TABLE_FRAMES) << 12) | (roll(d) & 0xfff);
	r->eflags = FLAG_ONE;
	r->gdtr.limit = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = m_unpack(descriptor(0, 0xfffff, i == SEG_CS ? D_CODE : D_DATA, D_FLAT),
				     0x10 + (i == SEG_CS ? 0 : 8));
	if (pae || chance(d, 30)) {
		/* What is in the registers need not be in memory any more. */
		for (unsigned i = 0; i < 4; i++) {
			put(c, (r->cr3 & ~0x1fu) + i * 8, random_pdpte(d), 8);
			r->pdpte[i] = (random_pdpte(d) & 0xfffff000u) | (chance(d, 95) ? 1 : 0);
		}
		make_tables(c, r->pdpte[la >> 30] & 0xfffff000u, la, true);
		if (chance(d, 50))
			make_tables(c, get(c, (r->cr3 & ~0x1fu) + (la >> 30) * 8, 8) & 0xfffff000u,
				    la, true);
	}
	if (!pae || chance(d, 30))
		make_tables(c, r->cr3 & 0xfffff000u, la, false);
}

/* --------------------------------------------------- control registers ---- */

struct move {
	unsigned n;
	u32 value;
};

static void move(struct model *m, const void *arg)
{
	const struct move *move = arg;

	m_move_to_cr(m, move->n, move->value);
}

static struct move random_move(struct contest *c)
{
	static const u32 bits0[] = {CR0_PG, CR0_WP, CR0_CD, CR0_NW, CR0_TS, CR0_AM, CR0_PE},
			 bits4[] = {CR4_PAE, CR4_PSE, CR4_PGE, CR4_TSD, CR4_VME, CR4_OSXSAVE};
	const struct m_registers *r = &c->model.r;
	struct dice *d = &c->dice;
	struct move move = {.n = PICK(d, 0, 3, 3, 4)};

	if (move.n == 3)
		move.value = (roll_below(d, TABLE_FRAMES) << 12) | (roll(d) & 0xfff);
	else
		move.value = move.n == 0 ? r->cr0 : r->cr4;
	for (unsigned i = roll_below(d, 3); i-- > 0 && move.n != 3;)
		move.value ^= move.n == 0 ? bits0[roll_below(d, ARRAY_SIZE(bits0))]
					  : bits4[roll_below(d, ARRAY_SIZE(bits4))];
	return move;
}

/* Both do it; false if the case ends with that. */
static bool contest_move(struct contest *c)
{
	const struct move m = random_move(c);
	const struct insn insn = {.op = OP_MOV_TO_CR,
				  .opnd = {{.kind = OPND_REG, .reg = m.n},
					   {.kind = OPND_REG, .reg = GPR_AX, .size = 4}}};
	enum m_outcome outcome;
	enum emu emu;

	c->model.r.gpr[GPR_AX] = m.value;
	contest_begin(c);
	assert_true(shadow_set_paging(c->vm));
	snprintf(c->what, sizeof(c->what), "mov %#x, %%cr%u", m.value, m.n);
	outcome = model_run(&c->model, move, &m);
	if (outcome == M_OUT_OF_SCOPE)
		return false;
	emu = emulate_mov_to_cr(c->vm, &insn);
	DIFFER_UNLESS_EQUAL(c, "mov to cr: fault", outcome == M_FAULT, emu == EMU_FAULT);
	compare_registers(c);
	compare_memory(c, false);
	return !c->difference[0];
}

/* -------------------------------------------------------------- access ---- */

struct access_at {
	u32 la;
	struct m_access how;
};

static u32 translated;

static void translate(struct model *m, const void *arg)
{
	const struct access_at *a = arg;

	translated = m_translate(m, a->la, a->how);
}

static void compare_walk(struct contest *c, const struct access_at *a, enum m_outcome outcome)
{
	const struct access access = {a->how.write, a->how.fetch, a->how.user};
	struct vm *vm = c->vm;
	struct walk w;
	enum walk_result result = paging_walk(vm, a->la, &w);
	u32 error;

	if (!paging_check(vm, result, &w, access, &error)) {
		DIFFER_UNLESS_EQUAL(c, "walk faults", outcome == M_FAULT, true);
		DIFFER_UNLESS_EQUAL(c, "error code", c->model.fault.error, error);
	} else {
		paging_mark(vm, &w, access.write);
		DIFFER_UNLESS_EQUAL(c, "walk faults", outcome == M_FAULT, false);
		DIFFER_UNLESS_EQUAL(c, "physical address", translated, w.gpa);
	}
	compare_memory(c, false);
}

/* Could the processor have a translation of this page with these rights, without a look at the
 * tables? Then it allows the access and leaves A and D as they are. */
static void compare_right(struct contest *c, u32 page, u32 mapping, struct m_access how)
{
	const struct access_at a = {page << 12, how};
	struct model m = c->model;
	enum m_outcome outcome = model_run(&m, translate, &a);

	if (outcome == M_OUT_OF_SCOPE)
		return;
	if (outcome == M_DONE && translated == MOCK_GPA(mapping))
		return;
	differ(c, "shadow maps page %#x as %#x, where the model has %s %#x (w%u u%u f%u)", page,
	       mapping, outcome == M_FAULT ? "a fault" : "frame",
	       outcome == M_FAULT ? m.fault.error : translated, how.write, how.user, how.fetch);
}

static void compare_mapping(struct contest *c, u32 page, const struct access_at *a)
{
	const u32 mapping = mock_of(c->vm)->page[page];
	const bool user = mapping & HOST_USER;
	/* The kernel's right to write by CR0.WP is only taken by the access that uses it. */
	const bool by_access = page == a->la >> 12 && a->how.write && !a->how.user;

	if (!mapping)
		return;
	compare_right(c, page, mapping, (struct m_access){.user = user});
	if (mapping & HOST_EXEC)
		compare_right(c, page, mapping, (struct m_access){.user = user, .fetch = true});
	if (mapping & HOST_WRITE)
		compare_right(c, page, mapping,
			      (struct m_access){.user = user && !by_access, .write = true});
}

static void compare_fill(struct contest *c, const struct access_at *a, enum m_outcome outcome)
{
	struct mock *mock = mock_of(c->vm);
	u32 error, changed_from, changed_to;
	enum shadow_result result;

	mock->changed_from = mock->changed_to = 0;
	result = shadow_fault(c->vm, a->la, a->how.write, a->how.fetch, a->how.user, &error);
	compare_memory(c, false);
	if (outcome == M_FAULT || result == SHADOW_GUEST) {
		DIFFER_UNLESS_EQUAL(c, "shadow faults", outcome == M_FAULT, result == SHADOW_GUEST);
		DIFFER_UNLESS_EQUAL(c, "shadow's error code", c->model.fault.error, error);
		return;
	}
	DIFFER_UNLESS_EQUAL(c, "shadow emulates", translated >= RAM_SIZE, result == SHADOW_EMULATE);
	if (result != SHADOW_FILLED)
		return;
	DIFFER_UNLESS_EQUAL(c, "shadow's frame", translated & ~0xfffu,
			    MOCK_GPA(mock->page[a->la >> 12]));
	if (a->how.write)
		DIFFER_UNLESS_EQUAL(c, "shadow allows the write", true,
				    !!(mock->page[a->la >> 12] & HOST_WRITE));
	if (a->how.fetch)
		DIFFER_UNLESS_EQUAL(c, "shadow allows the fetch", true,
				    !!(mock->page[a->la >> 12] & HOST_EXEC));
	changed_from = mock->changed_from;
	changed_to = mock->changed_to;
	for (u32 page = changed_from; page < changed_to; page++)
		compare_mapping(c, page, a);
	/* None of that was the processor's first use of an entry. */
	compare_memory(c, false);
}

enum { READ, WRITE, FETCH, FAULT, SKIPPED };

static unsigned run(struct contest *c)
{
	struct dice *d = &c->dice;
	struct access_at a = {.la = roll(d)};
	enum m_outcome outcome;

	if (chance(d, 50))
		a.la &= PICK(d, 0x1ffff, 0x3fffff, 0x7fffff);
	a.how.write = chance(d, 40);
	a.how.fetch = !a.how.write && chance(d, 40);
	c->tables = 0;
	c->tables_end = 0;
	random_machine(c, a.la);
	a.how.user = c->model.r.cpl == 3;
	if (chance(d, 40)) {
		if (!contest_move(c))
			return SKIPPED;
	} else {
		contest_begin(c);
		assert_true(shadow_set_paging(c->vm));
	}
	snprintf(c->what + strlen(c->what), 120, " access %#x%s%s%s", a.la,
		 a.how.write ? " write" : "", a.how.fetch ? " fetch" : "",
		 a.how.user ? " user" : "");
	outcome = model_run(&c->model, translate, &a);
	if (outcome == M_OUT_OF_SCOPE)
		return SKIPPED;
	compare_walk(c, &a, outcome);
	memcpy(c->vm->ram, c->ram_before, RAM_SIZE);
	compare_fill(c, &a, outcome);
	return outcome == M_FAULT ? FAULT : a.how.write ? WRITE : a.how.fetch ? FETCH : READ;
}

int main(int argc, char **argv)
{
	static const char *const outcomes[] = {
		[READ] = "read",     [WRITE] = "written",   [FETCH] = "fetched",
		[FAULT] = "faulted", [SKIPPED] = "skipped",
	};
	static const struct suite suite = {"model-paging", run,	     RAM_SIZE,
					   60000,	   outcomes, ARRAY_SIZE(outcomes)};

	return suite_main(&suite, argc, argv);
}
