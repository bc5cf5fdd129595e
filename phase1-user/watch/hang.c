/*
 * --hang: see hang.h.
 */
#include "hang.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include "../../common/pv.h"

#define LOOP_BYTES  64 /* around EIP: a loop that waits is no longer */
#define SAMPLES_MIN (HANG_SAMPLES / 4)
#define PERIOD_MAX  1000000000u	   /* ns */
#define PLACES	    8		   /* shown */
#define NEARLY(all) ((all)*9 / 10) /* the rest may be in what runs behind interrupts */

u64 hang_period(u64 limit_ns)
{
	const u64 period = limit_ns / HANG_SAMPLES;

	return period > PERIOD_MAX ? PERIOD_MAX : period;
}

/* All that counts as progress and is counted. The chips are in the core: what a handler of timer
 * interrupts asks of them is no exit. */
static u64 progress_of(const struct vm *vm)
{
	const u64 *count = vm->stats.count, *exits = vm->stats.exits;

	return count[EV_CR] + count[EV_HLT] + count[EV_SYSCALL] + count[EV_PF_GUEST] +
	       count[EV_DEVICE] + exits[EXIT_IO] + exits[EXIT_MMIO] + exits[EXIT_BELL];
}

static void note_progress(struct hang *h, const struct vm *vm, u64 now)
{
	h->since = now;
	h->taken = 0;
	if (!vm)
		return;
	h->progress = progress_of(vm);
	h->delivered = vm->stats.count[EV_IRQ];
}

static void take(struct hang *h, const struct sight *sight)
{
	const struct vcpu *cpu = &sight->vm->cpu;
	const u64 *gpr = cpu->gpr;

	h->sample[h->taken++ % HANG_SAMPLES] = (struct hang_sample){
		.eip = cpu->rip,
		.esp = gpr[GPR_SP],
		.ebp = gpr[GPR_BP],
		.ebx = gpr[GPR_BX],
		.esi = gpr[GPR_SI],
		.edi = gpr[GPR_DI],
		.interrupts = sight->interrupts,
	};
}

static unsigned kept(const struct hang *h)
{
	return h->taken < HANG_SAMPLES ? h->taken : HANG_SAMPLES;
}

static bool same_loop(const struct hang_sample *a, const struct hang_sample *b)
{
	const u32 distance = a->eip > b->eip ? a->eip - b->eip : b->eip - a->eip;

	return distance <= LOOP_BYTES && a->esp == b->esp && a->ebp == b->ebp && a->ebx == b->ebx &&
	       a->esi == b->esi && a->edi == b->edi;
}

/* Handlers run with IF clear, and what they interrupt with IF set. */
static bool spins(const struct hang *h)
{
	const unsigned n = kept(h);
	unsigned most = 0, all = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned same = 0;

		all += h->sample[i].interrupts;
		for (unsigned k = 0; k < n && h->sample[i].interrupts; k++)
			same += h->sample[k].interrupts && same_loop(&h->sample[i], &h->sample[k]);
		if (same > most)
			most = same;
	}
	return all >= SAMPLES_MIN && most >= NEARLY(all);
}

bool hang_judge(struct hang *h, const struct sight *sight, u64 now)
{
	const struct vm *vm = sight ? sight->vm : NULL;
	const bool gap = now - h->last > h->limit_ns / 2;

	h->last = now;
	if (!vm || gap || sight->cpl == 3 || progress_of(vm) != h->progress) {
		note_progress(h, vm, now);
		return false;
	}
	take(h, sight);
	if (now - h->since < h->limit_ns || h->taken < SAMPLES_MIN)
		return false;
	h->deaf = vm->stats.count[EV_IRQ] == h->delivered;
	h->found = h->deaf || spins(h);
	return h->found;
}

static void look(struct sampler *s, const struct sight *sight)
{
	struct hang *h = (struct hang *)((char *)s - offsetof(struct hang, sampler));
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	if (hang_judge(h, sight, (u64)t.tv_sec * 1000000000u + t.tv_nsec))
		machine_hung(s->machine);
}

bool hang_start(struct hang *h, struct machine *machine, struct error *e)
{
	h->sampler.look = look;
	return sampler_start(&h->sampler, machine, hang_period(h->limit_ns), e);
}

void hang_stop(struct hang *h)
{
	sampler_stop(&h->sampler);
}

/* ---- what was seen ---- */

static int compare(const void *a, const void *b)
{
	const u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void print_places(const struct hang *h, const struct symbols *symbols, FILE *out)
{
	const unsigned n = kept(h);
	u32 eip[HANG_SAMPLES];
	unsigned shown = 0;
	char text[128];

	for (unsigned i = 0; i < n; i++)
		eip[i] = h->sample[i].eip;
	qsort(eip, n, sizeof(eip[0]), compare);
	fprintf(out, "seen at (of %u times):", n);
	for (unsigned i = 0, same; i < n && shown < PLACES; i += same, shown++) {
		for (same = 1; i + same < n && eip[i + same] == eip[i];)
			same++;
		fprintf(out, "%s %u at %08" PRIx32 "%s", shown ? "," : "", same, eip[i],
			symbols_text(symbols, eip[i], text, sizeof(text)));
	}
	fputs(shown == PLACES ? ", ...\n" : "\n", out);
}

static void print_lines(FILE *out, const char *what, u16 lines)
{
	fprintf(out, "  %s:", what);
	for (unsigned i = 0; i < 16; i++)
		if (lines >> i & 1)
			fprintf(out, " %u", i);
	fputs(lines ? "\n" : " none\n", out);
}

static void print_interrupts(const struct vm *vm, FILE *out)
{
	const struct pic *chip = vm->pic.chip;

	fprintf(out, "interrupts: virtual IF %u; lines of the PIC\n", vm_if(vm) != 0);
	print_lines(out, "requested", chip[0].irr | chip[1].irr << 8);
	print_lines(out, "masked", chip[0].imr | chip[1].imr << 8);
	print_lines(out, "in service", chip[0].isr | chip[1].isr << 8);
	print_lines(out, "raised by devices", vm->irq_lines);
}

void hang_print(const struct hang *h, const struct vm *vm, const struct symbols *symbols, FILE *out)
{
	unsigned enabled = 0;

	for (unsigned i = 0; i < kept(h); i++)
		enabled += h->sample[i].interrupts;
	fprintf(out, "%s; IF was set %u of %u times\n",
		h->deaf ? "no interrupt was delivered in that time"
			: "it stays in one loop, and its interrupts are handled",
		enabled, kept(h));
	print_places(h, symbols, out);
	print_interrupts(vm, out);
}
