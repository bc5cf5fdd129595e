/*
 * The state of a machine at rest: see state.h.
 */
#include "state.h"
#include "pv.h"
#include "vcpu-check.h"

/* Changes with what is in it, if not with every change of what that means: STATE_VERSION does. */
#define LAYOUT                                                                                  \
	((u32)(sizeof(struct vcpu) ^ sizeof(struct pic_pair) << 10 ^ sizeof(struct pit) << 16 ^ \
	       sizeof(struct cmos) << 24))

#define LINES 0xffffu

const char *state_error_text(enum state_error error)
{
	static const char *const texts[STATE_ERRORS] = {
		[STATE_OTHER_BUILD] = "made by another build of plex86 (resume it with that one)",
		[STATE_OTHER_MACHINE] =
			"its machine is another one than the file says (the file is "
			"damaged)",
		[STATE_OTHER_CPU] = "this host's CPU lacks what the guest found on that of the "
				    "snapshot (resume it where it was made, or on a newer CPU)",
		[STATE_OTHER_XSAVE] =
			"the vector registers that the guest was shown are not those of this host "
			"and engine (resume it with the engine and on the kind of CPU it ran on)",
		[STATE_INVALID] = "holds a state that no machine can be in (the file is damaged)",
	};

	return error < STATE_ERRORS && texts[error] ? texts[error] : "";
}

static void save_pv(const struct vm *vm, struct state_pv *s)
{
	const struct pv_page *pv = pv_page(vm);

	s->vif = pv->vif;
	s->cpl = pv->cpl;
	s->esp0 = pv->esp0;
	s->cr2 = pv->cr2;
	s->iret_site = pv->iret_site;
	s->ahead = pv->ahead;
	mem_copy(&s->ahead_task, (const u8 *)pv + PLEX86_PV_AHEAD_TASK, sizeof(s->ahead_task));
}

/* Without the flag that a debugger's steps are made with (debug.h). */
static u64 guest_flags(const struct vm *vm)
{
	if (!vm->debug.stepping)
		return vm->cpu.rflags;
	return (vm->cpu.rflags & ~(u64)FLAG_TF) | (vm->debug.guest_tf ? FLAG_TF : 0);
}

bool state_save(const struct vm *vm, u64 now, struct machine_state *s)
{
	if (vm->pending.kind != PENDING_NONE)
		return false;
	mem_set(s, 0, sizeof(*s));
	s->version = STATE_VERSION;
	s->size = sizeof(*s);
	s->layout = LAYOUT;
	s->abi = vm->abi;
	s->deterministic = vm->clock.deterministic;
	s->ram_size = vm->ram_size;
	s->events = vm->clock.events;
	s->settled = vm->clock.settled;
	s->skipped = vm->clock.skipped;
	s->now = s->deterministic ? s->events * CLOCK_EVENT_NS + s->skipped : now;
	s->timer = vm->timer;
	s->irq_lines = vm->irq_lines & LINES;
	s->irq_seen = vm->irq_seen & LINES;
	s->cpu = vm->cpu;
	s->cpu.rflags = guest_flags(vm);
	mem_copy(s->slot, vm->slot, sizeof(s->slot));
	s->pic = vm->pic;
	s->pit = vm->pit;
	s->cmos = vm->cmos;
	save_pv(vm, &s->pv);
	s->cpu_identity = vm->cpu_identity;
	return true;
}

/* Has `now` all that `then` had? */
static bool cpu_covers(const struct cpu_identity *now, const struct cpu_identity *then)
{
	for (unsigned i = 0; i < CPU_IDENTITY_WORDS; i++)
		if ((then->told[i] & ~now->told[i]) || (then->seen[i] & ~now->seen[i]))
			return false;
	return true;
}

static bool cpu_same_xsave(const struct cpu_identity *now, const struct cpu_identity *then)
{
	if (now->components != then->components)
		return false;
	for (unsigned i = 0; i < CPU_IDENTITY_COMPONENTS; i++)
		if (now->size[i] != then->size[i] || now->offset[i] != then->offset[i])
			return false;
	return true;
}

static bool is_of_this_build(const struct machine_state *s)
{
	return s->version == STATE_VERSION && s->size == sizeof(*s) && s->layout == LAYOUT &&
	       bool_valid(&s->abi) && bool_valid(&s->deterministic);
}

static bool pv_valid(const struct state_pv *pv)
{
	return !(pv->vif & ~FLAG_IF) && (pv->cpl == 0 || pv->cpl == 3);
}

static bool clock_valid(const struct machine_state *s)
{
	if (!s->deterministic)
		return true;
	return s->settled <= s->events && s->now == s->events * CLOCK_EVENT_NS + s->skipped;
}

static bool is_valid(const struct machine_state *s)
{
	return vcpu_valid(&s->cpu) && pic_valid(&s->pic) && pit_valid(&s->pit) &&
	       cmos_valid(&s->cmos) && pv_valid(&s->pv) && clock_valid(s) &&
	       !(s->irq_lines & ~LINES) && !(s->irq_seen & ~LINES);
}

enum state_error state_check(const struct vm *vm, const struct machine_state *s)
{
	if (!is_of_this_build(s))
		return STATE_OTHER_BUILD;
	if (s->ram_size != vm->ram_size || s->abi != vm->abi ||
	    s->deterministic != vm->clock.deterministic)
		return STATE_OTHER_MACHINE;
	if (!is_valid(s))
		return STATE_INVALID;
	if (!cpu_covers(&vm->cpu_identity, &s->cpu_identity))
		return STATE_OTHER_CPU;
	/* Of what it was not told, a guest cannot have made use. */
	if (s->cpu.xcr0 & ~(s->cpu_identity.components | XCR0_X87))
		return STATE_INVALID;
	return cpu_same_xsave(&vm->cpu_identity, &s->cpu_identity) ? STATE_OK : STATE_OTHER_XSAVE;
}
