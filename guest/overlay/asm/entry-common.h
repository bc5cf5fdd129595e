/*
 * Overlay of <asm/entry-common.h>: fresh memory is made present some pages ahead.
 *
 * A page fault costs a trap and a mapping on the host, whether it makes one page present or many.
 * So where a program writes to new anonymous memory page after page, the monitor suggests, with the
 * fault, how many more it could map (PLEX86_PV_AHEAD), and on its way back to the program the
 * kernel has them made by its own fault handler, as the program's own accesses would. They belong
 * to the mapping that has faulted, so nothing is allocated that the program has no right to.
 *
 * Owns: taking the suggestion. It is noted on entry from user code, before another task can run, as
 * a thread flag, and followed where the kernel does such work, with interrupts on.
 */
#include_next <asm/entry-common.h>

#ifndef PLEX86_ASM_ENTRY_COMMON_H
#define PLEX86_ASM_ENTRY_COMMON_H

#include <linux/mm.h>
#include <linux/sched.h>
#include <plex86-abi.h>

#define TIF_PLEX86_AHEAD	    26 /* free in the kernels that were tried */
#define ARCH_EXIT_TO_USER_MODE_WORK (1UL << TIF_PLEX86_AHEAD)

#define PLEX86_PV_DWORD(offset) (*(volatile unsigned long *)(PLEX86_PV_PAGE + (offset)))

static __always_inline void plex86_note_ahead(void)
{
	if (likely(!PLEX86_PV_DWORD(PLEX86_PV_AHEAD)))
		return;
	PLEX86_PV_DWORD(PLEX86_PV_AHEAD_TASK) = (unsigned long)current;
	set_thread_flag(TIF_PLEX86_AHEAD);
}

/* The hook is named otherwise since 5.17. */
#ifdef arch_enter_from_user_mode
static __always_inline void plex86_enter_from_user_mode(struct pt_regs *regs)
{
	arch_enter_from_user_mode(regs);
	plex86_note_ahead();
}
#undef arch_enter_from_user_mode
#define arch_enter_from_user_mode plex86_enter_from_user_mode
#else
static __always_inline void plex86_check_user_regs(struct pt_regs *regs)
{
	arch_check_user_regs(regs);
	plex86_note_ahead();
}
#undef arch_check_user_regs
#define arch_check_user_regs plex86_check_user_regs
#endif

static noinline void __maybe_unused plex86_follow_ahead(void)
{
	unsigned long ahead = PLEX86_PV_DWORD(PLEX86_PV_AHEAD);
	unsigned long at = ahead & PAGE_MASK, end = at + (ahead & ~PAGE_MASK) * PAGE_SIZE;
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;

	clear_thread_flag(TIF_PLEX86_AHEAD);
	/* While this task's own fault slept, another's suggestion may have come. */
	if (PLEX86_PV_DWORD(PLEX86_PV_AHEAD_TASK) != (unsigned long)current)
		return;
	PLEX86_PV_DWORD(PLEX86_PV_AHEAD) = 0;
	if (!mm || end <= at)
		return;
	mmap_read_lock(mm);
	vma = find_vma(mm, at);
	if (vma && vma->vm_start < at && vma_is_anonymous(vma) && (vma->vm_flags & VM_WRITE))
		for (end = min(end, vma->vm_end); at < end; at += PAGE_SIZE)
			if (fixup_user_fault(mm, at, FAULT_FLAG_WRITE, NULL))
				break;
	mmap_read_unlock(mm);
}

static inline void arch_exit_to_user_mode_work(struct pt_regs *regs, unsigned long ti_work)
{
	if (ti_work & (1UL << TIF_PLEX86_AHEAD))
		plex86_follow_ahead();
}
#define arch_exit_to_user_mode_work arch_exit_to_user_mode_work

#endif
