/*
 * Device registers served without an exit: see device-page.h.
 */
#include "device-page.h"
#include "vm.h"

static u32 *status_word(const struct vm *vm, unsigned index)
{
	return (u32 *)(vm->ram + HOST_DEVICE_GPA(vm, index) + DEVICE_INTERRUPT_STATUS);
}

bool device_page_find(const struct vm *vm, u64 gpa, unsigned *index)
{
	for (unsigned i = 0; i < DEVICE_PAGES; i++) {
		const struct device_page *page = &vm->devices.page[i];

		if (!page->gpa || page->gpa != (gpa & PAGE_MASK_4K))
			continue;
		*index = i;
		return true;
	}
	return false;
}

/* Devices may share a line. */
static void set_line(struct vm *vm, unsigned irq)
{
	bool level = false;

	for (unsigned i = 0; i < DEVICE_PAGES; i++) {
		const struct device_page *page = &vm->devices.page[i];

		if (page->gpa && page->irq == irq)
			level |= __atomic_load_n(status_word(vm, i), __ATOMIC_SEQ_CST) != 0;
	}
	pic_set_line(&vm->pic, irq & 15, level);
}

void device_page_look(struct vm *vm)
{
	for (unsigned i = 0; i < DEVICE_PAGES; i++)
		if (vm->devices.page[i].gpa)
			set_line(vm, vm->devices.page[i].irq);
}

static bool ring(struct vm *vm, unsigned index, u64 queue)
{
	struct device_pages *d = &vm->devices;

	if (queue >= DEVICE_BELLS || !(d->page[index].bells >> queue & 1))
		return false;
	if (!__atomic_load_n(&d->watched, __ATOMIC_RELAXED))
		return false;
	__atomic_or_fetch(&d->rung, 1ull << (DEVICE_BELLS * index + queue), __ATOMIC_SEQ_CST);
	/* Whoever watched may have gone to sleep between the two: then it is an exit after all. */
	return __atomic_load_n(&d->watched, __ATOMIC_SEQ_CST);
}

bool device_page_write(struct vm *vm, u64 gpa, unsigned size, u64 value)
{
	unsigned index;

	if (size != 4 || !device_page_find(vm, gpa, &index))
		return false;
	switch (gpa & ~PAGE_MASK_4K) {
	case DEVICE_QUEUE_NOTIFY:
		if (!ring(vm, index, value))
			return false;
		break;
	case DEVICE_INTERRUPT_ACK:
		__atomic_and_fetch(status_word(vm, index), ~(u32)value, __ATOMIC_SEQ_CST);
		set_line(vm, vm->devices.page[index].irq);
		break;
	default:
		return false;
	}
	trace(vm, EV_DEVICE, gpa, value);
	return true;
}
