/*
 * Comparing many instructions on all processors: see decoder-jobs.h.
 */
#include "decoder-jobs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS_MAX = 16 };

struct shared {
	atomic_uint next_job;
	struct {
		struct compare_stats stats;
		u64 different;
		bool finished;
	} worker[WORKERS_MAX];
};

void worker_compare(struct worker *w, const u8 *bytes, enum insn_mode mode)
{
	char why[COMPARE_TEXT];

	if (decoder_agrees(&w->prober, bytes, mode, w->stats, why))
		return;
	if (w->different++ < COMPLAINTS_MAX)
		fprintf(stderr, "%s\n", why);
}

static void work(struct shared *s, unsigned self, unsigned njobs,
		 void (*job)(struct worker *w, unsigned n))
{
	struct worker w = {.stats = &s->worker[self].stats};

	if (!prober_open(&w.prober))
		return;
	for (unsigned n = atomic_fetch_add(&s->next_job, 1); n < njobs;
	     n = atomic_fetch_add(&s->next_job, 1))
		job(&w, n);
	prober_close(&w.prober);
	s->worker[self].different = w.different;
	s->worker[self].finished = true;
}

static unsigned worker_count(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

/* Sum up; a worker that died counts as a difference. */
static u64 collect(const struct shared *s, unsigned workers)
{
	struct compare_stats sum = {0};
	u64 different = 0;

	for (unsigned i = 0; i < workers; i++) {
		compare_add(&sum, &s->worker[i].stats);
		different += s->worker[i].different + !s->worker[i].finished;
	}
	compare_print(&sum);
	return different;
}

u64 run_jobs(unsigned njobs, void (*job)(struct worker *w, unsigned n))
{
	unsigned workers = worker_count();
	struct shared *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return 1;
	fflush(NULL);
	for (unsigned i = 0; i < workers; i++) {
		if (fork() == 0) {
			work(s, i, njobs, job);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	u64 different = collect(s, workers);

	munmap(s, sizeof(*s));
	return different;
}
