/*
 * /dev/plex86.
 *
 * Owns: the life of a machine, and the border to the VMM, all of whose arguments are hostile.
 */
#include "plex86.h"
#include "../common/vcpu-check.h"
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

static void machine_free(struct machine *m)
{
	hrtimer_cancel(&m->timer);
	memory_release(m);
	if (m->nexus)
		nexus_destroy(m);
	tables_destroy(m);
	if (m->fpu.fpstate)
		fpu_free_guest_fpstate(&m->fpu);
	vfree(m->run);
	vfree(m->user);
	vfree(m);
}

/* Each has 12.6 MiB of records, and what page tables it fills. */
static unsigned spaces = 4;
module_param(spaces, uint, 0444);
MODULE_PARM_DESC(spaces, "guest address spaces that keep their mappings, 1-16 (4)");

static struct machine *machine_alloc(unsigned long kind)
{
	const unsigned count = clamp(spaces, 1u, (unsigned)SHADOW_COUNT),
		       shadows = kind == PLEX86_WHOLE ? count : 0;
	struct machine *m = __vmalloc(offsetof(struct machine, vm.shadow[shadows]),
				      GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!m)
		return NULL;
	m->space_count = shadows ? count : PLEX86_USER_SPACES;
	mutex_init(&m->lock);
	spin_lock_init(&m->runner_lock);
	init_waitqueue_head(&m->wait);
	INIT_LIST_HEAD(&m->tables);
	hrtimer_init(&m->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	m->timer.function = host_timer_fired;
	return m;
}

/* The page that it shares with the VMM. */
static bool share_page(struct machine *m, unsigned long kind)
{
	if (kind == PLEX86_WHOLE)
		m->run = vmalloc_user(PAGE_ALIGN(sizeof(*m->run)));
	else
		m->user = vmalloc_user(PAGE_ALIGN(sizeof(*m->user)));
	return m->run || m->user;
}

static int machine_init(struct machine *m, unsigned long kind)
{
	if (!share_page(m, kind) || !fpu_alloc_guest_fpstate(&m->fpu))
		return -ENOMEM;
	m->spaces[0] = m->space = tables_create_space(m);
	return m->space ? nexus_create(m) : -ENOMEM;
}

/* PLEX86_CREATE. */
static int create(struct file *file, unsigned long kind)
{
	struct machine *m;
	int ret;

	if (kind != PLEX86_WHOLE && kind != PLEX86_USER_CODE)
		return -EINVAL;
	if (READ_ONCE(file->private_data))
		return -EINVAL;
	m = machine_alloc(kind);
	if (!m)
		return -ENOMEM;
	ret = machine_init(m, kind);
	/* Another thread may have been quicker. */
	if (!ret && cmpxchg(&file->private_data, NULL, m))
		ret = -EINVAL;
	if (ret)
		machine_free(m);
	return ret;
}

static int plex86_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL; /* misc_open()'s is the device's */
	return 0;
}

static int plex86_release(struct inode *inode, struct file *file)
{
	if (file->private_data)
		machine_free(file->private_data);
	return 0;
}

static int plex86_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct machine *m = READ_ONCE(file->private_data);

	if (!m)
		return -EINVAL;
	return remap_vmalloc_range(vma, m->user ? (void *)m->user : m->run, vma->vm_pgoff);
}

static int set_memory(struct machine *m, void __user *arg)
{
	struct plex86_memory mem;

	if (copy_from_user(&mem, arg, sizeof(mem)))
		return -EFAULT;
	return memory_set(m, &mem);
}

/* Before the first run only: later the core's own records depend on what is in there. */
static int set_cpu(struct machine *m, void __user *arg)
{
	struct vcpu cpu;

	if (!m->vm.ram || m->started)
		return -EINVAL;
	if (copy_from_user(&cpu, arg, sizeof(cpu)))
		return -EFAULT;
	if (!vcpu_valid(&cpu))
		return -EINVAL;
	m->vm.cpu = cpu;
	m->ready = true;
	return 0;
}

/* The same for all of a machine that was at rest. */
static int set_state(struct machine *m, void __user *arg)
{
	struct machine_state *s;
	int ret = -EINVAL;

	if (!m->vm.ram || m->started)
		return -EINVAL;
	s = memdup_user(arg, sizeof(*s));
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (state_check(&m->vm, s) == STATE_OK) {
		state_load(&m->vm, s);
		m->ready = true;
		ret = 0;
	}
	kfree(s);
	return ret;
}

static int set_regs(struct machine *m, void __user *arg)
{
	struct debug_regs regs;

	if (!m->ready)
		return -EINVAL;
	if (copy_from_user(&regs, arg, sizeof(regs)))
		return -EFAULT;
	debug_set_regs(&m->vm, &regs);
	return 0;
}

static int set_debug(struct machine *m, void __user *arg)
{
	struct debug_request request;

	if (!m->ready)
		return -EINVAL;
	if (copy_from_user(&request, arg, sizeof(request)))
		return -EFAULT;
	return debug_set(&m->vm, &request) ? 0 : -EINVAL;
}

static int stop_at(struct machine *m, void __user *arg)
{
	return copy_from_user(&m->vm.clock.stop_at, arg, sizeof(u64)) ? -EFAULT : 0;
}

static int get_state(struct machine *m, void __user *arg)
{
	const size_t size = offsetof(struct vm, shadow);
	struct vm *copy = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, &m->vm, size);
	copy->ram = NULL; /* no addresses of the kernel's */
	copy->trace = NULL;
	ret = copy_to_user(arg, copy, size) ? -EFAULT : 0;
	kvfree(copy);
	return ret;
}

/* As KVM does it for KVM_GET_XSAVE. The guest has no protection keys. */
static int get_fpu(struct machine *m, void __user *arg)
{
	struct plex86_fpu *copy = kzalloc(sizeof(*copy), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!copy)
		return -ENOMEM;
	fpu_copy_guest_fpstate_to_uabi(&m->fpu, copy, sizeof(*copy),
				       m->fpu.fpstate->user_xfeatures & XCR0_DEFINED, 0);
	ret = copy_to_user(arg, copy, sizeof(*copy)) ? -EFAULT : 0;
	kfree(copy);
	return ret;
}

static int set_fpu(struct machine *m, void __user *arg)
{
	struct plex86_fpu *copy = memdup_user(arg, sizeof(*copy));
	u32 pkru = 0;
	int ret;

	if (IS_ERR(copy))
		return PTR_ERR(copy);
	ret = -EINVAL; /* components may end behind what we have copied */
	if (m->fpu.uabi_size <= sizeof(*copy))
		ret = fpu_copy_uabi_to_guest_fpstate(&m->fpu, copy, XCR0_DEFINED, &pkru);
	kfree(copy);
	return ret;
}

static int add_device(struct machine *m, void __user *arg)
{
	struct plex86_device d;

	if (copy_from_user(&d, arg, sizeof(d)))
		return -EFAULT;
	if (m->started || d.index >= DEVICE_PAGES || d.page.irq > 15 || d.reserved)
		return -EINVAL;
	m->vm.devices.page[d.index] = d.page;
	return 0;
}

static int set_irq(struct machine *m, void __user *arg)
{
	struct plex86_irq irq;

	if (copy_from_user(&irq, arg, sizeof(irq)))
		return -EFAULT;
	if (irq.irq > 15)
		return -EINVAL;
	if (irq.level)
		__atomic_fetch_or(&m->vm.irq_lines, 1u << irq.irq, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&m->vm.irq_lines, ~(1u << irq.irq), __ATOMIC_SEQ_CST);
	machine_notify(m);
	return 0;
}

static long locked_user(struct machine *m, unsigned cmd)
{
	switch (cmd) {
	case PLEX86_USER_MAP:
		return user_map(m);
	case PLEX86_USER_RUN:
		return user_run(m);
	}
	return -ENOTTY;
}

static long locked_whole(struct machine *m, unsigned cmd, void __user *arg)
{
	switch (cmd) {
	case PLEX86_SET_CPU:
		return set_cpu(m, arg);
	case PLEX86_SET_STATE:
		return set_state(m, arg);
	case PLEX86_SET_REGS:
		return set_regs(m, arg);
	case PLEX86_STOP_AT:
		return stop_at(m, arg);
	case PLEX86_SET_DEBUG:
		return set_debug(m, arg);
	case PLEX86_GET_STATE:
		return get_state(m, arg);
	case PLEX86_ADD_DEVICE:
		return add_device(m, arg);
	case PLEX86_RUN:
		return machine_run(m);
	}
	return -ENOTTY;
}

static long locked(struct machine *m, unsigned cmd, void __user *arg)
{
	switch (cmd) {
	case PLEX86_SET_MEMORY:
		return set_memory(m, arg);
	case PLEX86_GET_FPU:
		return get_fpu(m, arg);
	case PLEX86_SET_FPU:
		return set_fpu(m, arg);
	}
	return m->user ? locked_user(m, cmd) : locked_whole(m, cmd, arg);
}

/* What may come at any time. -ENOTTY: it is none of that. */
static long unlocked_whole(struct machine *m, unsigned cmd, void __user *arg)
{
	switch (cmd) {
	case PLEX86_GET_STATS:
		return copy_to_user(arg, &m->vm.stats, sizeof(m->vm.stats)) ? -EFAULT : 0;
	case PLEX86_SET_IRQ:
		return set_irq(m, arg);
	case PLEX86_NEWS:
		__atomic_fetch_add(&m->vm.irq_lines, DEVICE_NEWS, __ATOMIC_SEQ_CST);
		machine_notify(m);
		return 0;
	case PLEX86_KICK:
		WRITE_ONCE(m->kick, true);
		machine_notify(m);
		return 0;
	}
	return -ENOTTY;
}

static long plex86_ioctl(struct file *file, unsigned cmd, unsigned long arg)
{
	struct machine *m = READ_ONCE(file->private_data);
	long ret = -ENOTTY;

	if (cmd == PLEX86_GET_VERSION)
		return PLEX86_API_VERSION;
	if (cmd == PLEX86_CREATE)
		return create(file, arg);
	if (!m)
		return -EINVAL;
	if (cmd == PLEX86_GET_SPACES)
		return m->space_count;
	if (!m->user)
		ret = unlocked_whole(m, cmd, (void __user *)arg);
	if (ret != -ENOTTY)
		return ret;
	if (mutex_lock_interruptible(&m->lock))
		return -EINTR;
	ret = locked(m, cmd, (void __user *)arg);
	mutex_unlock(&m->lock);
	return ret;
}

static const struct file_operations plex86_fops = {
	.owner = THIS_MODULE,
	.open = plex86_open,
	.release = plex86_release,
	.mmap = plex86_mmap,
	.unlocked_ioctl = plex86_ioctl,
};

static struct miscdevice plex86_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "plex86",
	.fops = &plex86_fops,
};

static int __init plex86_init(void)
{
	int ret = nexus_supported();

	if (ret) {
		pr_err("plex86: needs a CPU with FSGSBASE and NX, without FRED, and not of a Xen PV guest: not loaded\n");
		return ret;
	}
	return misc_register(&plex86_device);
}

static void __exit plex86_exit(void)
{
	misc_deregister(&plex86_device);
}

module_init(plex86_init);
module_exit(plex86_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("plex86: a whole i386 machine as user-mode code");
