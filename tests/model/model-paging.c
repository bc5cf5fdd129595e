/*
 * Paging: SDM vol. 3, 4.3 (32-bit), 4.4 (PAE), 4.6 (rights), 4.7 (error codes), 4.8 (A and D).
 *
 * The processor has PSE, PGE, PAE and NX, 32 physical-address bits, neither PAT nor PSE-36.
 */
#include "model.h"

/* Error code, figure 4-12. */
enum { E_P = 1, E_WR = 2, E_US = 4, E_RSVD = 8, E_ID = 16 };

enum {
	BIT_P = 1 << 0,
	BIT_RW = 1 << 1,
	BIT_US = 1 << 2,
	BIT_A = 1 << 5,
	BIT_D = 1 << 6,
	BIT_PS = 1 << 7
};
#define BIT_XD (1ull << 63)

/* An entry used in a translation. */
struct entry {
	u32 pa;
	u64 value;
};

/* Bits first..last set. */
static u64 bits(unsigned first, unsigned last)
{
	return (last == 63 ? ~0ull : (1ull << (last + 1)) - 1) & ~((1ull << first) - 1);
}

/* Where there is no memory, there are no tables: 0. */
static struct entry read_entry(const struct model *m, u32 pa, unsigned width)
{
	struct entry e = {.pa = pa};

	if (pa >= m->ram_size || width > m->ram_size - pa)
		return e;
	for (unsigned i = 0; i < width; i++)
		e.value |= (u64)m->ram[pa + i] << 8 * i;
	return e;
}

static void set_bits(struct model *m, const struct entry *e, u8 flags)
{
	if (e->pa < m->ram_size)
		m->ram[e->pa] |= flags;
}

static u32 error_code(const struct model *m, struct m_access a)
{
	const bool reports_fetch = (m->r.cr4 & CR4_PAE) && m->r.nxe;

	return (a.write ? E_WR : 0) | (a.user ? E_US : 0) | (a.fetch && reports_fetch ? E_ID : 0);
}

/* 4.6: are the rights of all `n` entries together enough? */
static bool allowed(const struct model *m, const struct entry *e, unsigned n, struct m_access a)
{
	bool writable = true, user = true, executable = true;

	for (unsigned i = 0; i < n; i++) {
		writable = writable && (e[i].value & BIT_RW);
		user = user && (e[i].value & BIT_US);
		executable = executable && !(m->r.nxe && (e[i].value & BIT_XD));
	}
	if (a.user && !user)
		return false;
	if (a.fetch && !executable)
		return false;
	if (a.write && !writable)
		return !a.user && !(m->r.cr0 & CR0_WP);
	return true;
}

/* The walk came to its end: e[n - 1] maps the page. */
static void use(struct model *m, u32 la, struct m_access a, const struct entry *e, unsigned n)
{
	if (!allowed(m, e, n, a))
		page_fault(m, la, error_code(m, a) | E_P);
	for (unsigned i = 0; i < n; i++)
		set_bits(m, &e[i], BIT_A | (a.write && i == n - 1 ? BIT_D : 0));
}

static void must_be_present(struct model *m, u32 la, struct m_access a, u64 value)
{
	if (!(value & BIT_P))
		page_fault(m, la, error_code(m, a));
}

static void must_be_clear(struct model *m, u32 la, struct m_access a, u64 value, u64 reserved)
{
	if (value & reserved)
		page_fault(m, la, error_code(m, a) | E_P | E_RSVD);
}

/* Tables 4-3 to 4-6. */
static u32 translate_32bit(struct model *m, u32 la, struct m_access a)
{
	struct entry e[2];

	e[0] = read_entry(m, (m->r.cr3 & bits(12, 31)) + (la >> 22) * 4, 4);
	must_be_present(m, la, a, e[0].value);
	if ((m->r.cr4 & CR4_PSE) && (e[0].value & BIT_PS)) {
		must_be_clear(m, la, a, e[0].value, bits(13, 21));
		use(m, la, a, e, 1);
		return (e[0].value & bits(22, 31)) | (la & bits(0, 21));
	}
	e[1] = read_entry(m, (e[0].value & bits(12, 31)) + (la >> 12 & 0x3ff) * 4, 4);
	must_be_present(m, la, a, e[1].value);
	use(m, la, a, e, 2);
	return (e[1].value & bits(12, 31)) | (la & bits(0, 11));
}

/* Tables 4-8 to 4-11. MAXPHYADDR is 32. */
static u32 translate_pae(struct model *m, u32 la, struct m_access a)
{
	const u64 always = bits(32, 62) | (m->r.nxe ? 0 : BIT_XD);
	const u64 pdpte = m->r.pdpte[la >> 30];
	struct entry e[2];

	must_be_present(m, la, a, pdpte);
	e[0] = read_entry(m, (pdpte & bits(12, 31)) + (la >> 21 & 0x1ff) * 8, 8);
	must_be_present(m, la, a, e[0].value);
	if (e[0].value & BIT_PS) {
		must_be_clear(m, la, a, e[0].value, always | bits(13, 20));
		use(m, la, a, e, 1);
		return (e[0].value & bits(21, 31)) | (la & bits(0, 20));
	}
	must_be_clear(m, la, a, e[0].value, always);
	e[1] = read_entry(m, (e[0].value & bits(12, 31)) + (la >> 12 & 0x1ff) * 8, 8);
	must_be_present(m, la, a, e[1].value);
	must_be_clear(m, la, a, e[1].value, always);
	use(m, la, a, e, 2);
	return (e[1].value & bits(12, 31)) | (la & bits(0, 11));
}

u32 m_translate(struct model *m, u32 la, struct m_access access)
{
	if (m->deprivileged && (la & ~0xfffu) == m->hole)
		stop(m, M_OUT_OF_SCOPE);
	if (!(m->r.cr0 & CR0_PG))
		return la;
	return m->r.cr4 & CR4_PAE ? translate_pae(m, la, access) : translate_32bit(m, la, access);
}

/* 4.4.1: the four are loaded together, or none of them is. */
static bool load_pdptes(struct model *m)
{
	const u64 reserved = bits(1, 2) | bits(5, 8) | bits(32, 63);
	struct entry e[4];

	for (unsigned i = 0; i < 4; i++) {
		e[i] = read_entry(m, (m->r.cr3 & bits(5, 31)) + i * 8, 8);
		if ((e[i].value & BIT_P) && (e[i].value & reserved))
			return false;
	}
	for (unsigned i = 0; i < 4; i++)
		m->r.pdpte[i] = e[i].value;
	return true;
}

/* Vol. 2, MOV (control registers); vol. 3, 2.5 and 4.4.1. */
void m_move_to_cr(struct model *m, unsigned n, u32 value)
{
	const struct m_registers old = m->r;
	u32 in_cr0, in_cr4;

	if (m->r.cpl != 0)
		fault(m, EXC_GP, 0);
	switch (n) {
	case 0:
		if ((value & CR0_PG) && !(value & CR0_PE))
			fault(m, EXC_GP, 0);
		if ((value & CR0_NW) && !(value & CR0_CD))
			fault(m, EXC_GP, 0);
		if (!(value & CR0_PE))
			stop(m, M_OUT_OF_SCOPE);
		m->r.cr0 = (value & CR0_DEFINED) | CR0_ET; /* reserved bits are ignored */
		break;
	case 3:
		m->r.cr3 = value;
		break;
	case 4:
		if (value & ~CR4_DEFINED)
			fault(m, EXC_GP, 0);
		m->r.cr4 = value;
		break;
	default:
		stop(m, M_OUT_OF_SCOPE);
	}
	if (!(m->r.cr0 & CR0_PG) || !(m->r.cr4 & CR4_PAE))
		return;
	in_cr0 = (old.cr0 ^ m->r.cr0) & (CR0_CD | CR0_NW | CR0_PG);
	in_cr4 = (old.cr4 ^ m->r.cr4) & (CR4_PAE | CR4_PGE | CR4_PSE);
	if ((n == 3 || in_cr0 || in_cr4) && !load_pdptes(m))
		fault(m, EXC_GP, 0);
}
