/*
 * Random cases, each made from a number of its own, on the model and on the core.
 *
 * Owns: the command line, the random numbers, what a case is compared in, the report of one that
 * differs.
 */
#ifndef PLEX86_SUITE_H
#define PLEX86_SUITE_H

#include "../unit/mock-host.h"
#include "model.h"

/* ------------------------------------------------------------- random ---- */

struct dice {
	u64 state;
};
u32 roll(struct dice *d);
/* 0 to n - 1. */
u32 roll_below(struct dice *d, u32 n);
/* True `percent` times in a hundred. */
bool chance(struct dice *d, unsigned percent);
/* One of the arguments. */
#define PICK(d, ...)                                                    \
	({                                                              \
		const u32 pick_[] = {__VA_ARGS__};                      \
		pick_[roll_below((d), sizeof(pick_) / sizeof(*pick_))]; \
	})

/* -------------------------------------------------------------- cases ---- */

/* The processor twice, and what is being done to it. */
struct contest {
	struct dice dice;
	struct model model, before; /* `before`: its registers when the case began */
	struct vm *vm;
	u8 *ram_before;
	char what[300];	      /* the operation, for the report */
	char difference[600]; /* empty: none */
	/* A and D in [tables, tables_end), and the accessed flag in [descriptors, descriptors_end),
	 * may be set by whom faults: the SDM leaves that open. */
	u32 tables, tables_end, descriptors, descriptors_end;
	u32 frame[16]; /* machine.c: of the first linear pages */
};

/* Note how the two differ; the first one stays. */
void differ(struct contest *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define DIFFER_UNLESS_EQUAL(c, name, of_model, of_core)                                \
	do {                                                                           \
		const u64 model_ = (of_model), core_ = (of_core);                      \
		if (model_ != core_)                                                   \
			differ(c, "%s: model %#llx, core %#llx", (name),               \
			       (unsigned long long)model_, (unsigned long long)core_); \
	} while (0)

/* Give the core the model's registers and memory, and note both as what the case begins with. */
void contest_begin(struct contest *c);
/* Compare all registers, or memory. `faulted`: the operation came to no end. */
void compare_registers(struct contest *c);
void compare_memory(struct contest *c, bool faulted);
const char *vector_name(u8 vector);

/* A case: what it does is up to c->dice. What it returns is counted, below `outcomes`. */
typedef unsigned case_fn(struct contest *c);
struct suite {
	const char *name;
	case_fn *run;
	u32 ram_size;
	u32 count; /* of cases, unless --count says otherwise */
	const char *const *outcomes;
	unsigned n_outcomes;
};
int suite_main(const struct suite *suite, int argc, char **argv);

#endif
