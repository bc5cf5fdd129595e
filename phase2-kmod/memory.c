/*
 * Guest RAM: memory of the VMM's, pinned and mapped for the core.
 *
 * Owns: the pinned pages, and their account against RLIMIT_MEMLOCK.
 */
#include "plex86.h"
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#define RAM_MAX (3ull << 30)

static int pin(struct machine *m, unsigned long address)
{
	unsigned long done = 0;

	while (done < m->page_count) {
		long n = pin_user_pages_fast(address + done * PAGE_SIZE,
					     min(m->page_count - done, 1024ul),
					     FOLL_WRITE | FOLL_LONGTERM, m->pages + done);

		if (n <= 0) {
			unpin_user_pages(m->pages, done);
			return n ? n : -EFAULT;
		}
		done += n;
	}
	return 0;
}

static int pin_and_map(struct machine *m, unsigned long address)
{
	int ret;

	m->pages = kvcalloc(m->page_count, sizeof(*m->pages), GFP_KERNEL_ACCOUNT);
	if (!m->pages)
		return -ENOMEM;
	ret = pin(m, address);
	if (ret)
		goto free;
	if (m->user)
		return 0; /* nobody here looks into it */
	m->vm.ram = vmap(m->pages, m->page_count, VM_MAP, PAGE_KERNEL);
	if (m->vm.ram)
		return 0;
	ret = -ENOMEM;
	unpin_user_pages(m->pages, m->page_count);
free:
	kvfree(m->pages);
	m->pages = NULL;
	return ret;
}

/* Of a machine for user code the core is elsewhere, and so is what concerns that alone. */
static bool is_plain(const struct plex86_memory *mem)
{
	return !(mem->flags & ~PLEX86_DETERMINISTIC) && !mem->stop_at && !mem->flip_at &&
	       !mem->level_irqs;
}

static bool is_acceptable(const struct machine *m, const struct plex86_memory *mem)
{
	if (m->user && !is_plain(mem))
		return false;
	return mem->layout == PLEX86_LAYOUT && mem->ram_size && mem->ram_size <= RAM_MAX &&
	       PAGE_ALIGNED(mem->ram_size) && PAGE_ALIGNED(mem->address) &&
	       !(mem->flags & ~PLEX86_FLAGS) && !mem->reserved[0] && !mem->reserved[1] &&
	       !mem->reserved[2];
}

static void reset(struct machine *m, const struct plex86_memory *mem)
{
	struct vm *vm = &m->vm;

	vm->clock.deterministic = mem->flags & PLEX86_DETERMINISTIC;
	if (m->user)
		return;
	vm->ram_size = mem->ram_size;
	vm->abi = mem->flags & PLEX86_ABI;
	vm->two_views = true;
	vm->fast_paths = !(mem->flags & (PLEX86_NO_FAST_PATHS | PLEX86_DETERMINISTIC));
	vm->trace = &m->run->trace;
	vm->clock.paced = mem->flags & PLEX86_PACED;
	vm->clock.stop_at = mem->stop_at;
	vm->clock.flip_at = mem->flip_at;
	core_reset(vm);
	vm->pool.count = m->space_count;
	vm->pic.chip[0].elcr = mem->level_irqs;
	vm->pic.chip[1].elcr = mem->level_irqs >> 8;
}

int memory_set(struct machine *m, const struct plex86_memory *mem)
{
	int ret;

	if (m->pages || !is_acceptable(m, mem))
		return -EINVAL;
	m->page_count = (mem->ram_size + HOST_EXTRA_BYTES) >> PAGE_SHIFT;
	ret = account_locked_vm(current->mm, m->page_count, true);
	if (ret)
		return ret;
	ret = pin_and_map(m, mem->address);
	if (ret) {
		account_locked_vm(current->mm, m->page_count, false);
		return ret;
	}
	m->mm = current->mm;
	mmgrab(m->mm);
	reset(m, mem);
	return 0;
}

void memory_release(struct machine *m)
{
	if (!m->pages)
		return;
	vunmap(m->vm.ram);
	unpin_user_pages_dirty_lock(m->pages, m->page_count, true);
	kvfree(m->pages);
	account_locked_vm(m->mm, m->page_count, false);
	mmdrop(m->mm);
}
