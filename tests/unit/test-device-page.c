/*
 * Unit tests of common/device-page.c: what the guest's accesses to a device's registers come to.
 * Two devices share interrupt line IRQ. What happens when the VMM acts at the same time is
 * test-device-race.c's.
 */
#include "mock-host.h"

#define FIRST  0xd0000000u /* paging is off: linear = physical */
#define SECOND 0xd0003000u
#define BELLS  0x5u /* queues 0 and 2 */

#define STORE(la) 0xa3, IMM32(la) /* mov %eax, la */

static void add_devices(struct vm *vm)
{
	vm->devices.page[0] = (struct device_page){.gpa = FIRST, .irq = IRQ, .bells = BELLS};
	vm->devices.page[3] = (struct device_page){.gpa = SECOND, .irq = IRQ, .bells = 0xff};
}

static u32 *status(struct vm *vm, unsigned index)
{
	return (u32 *)(vm->ram + HOST_DEVICE_GPA(vm, index) + DEVICE_INTERRUPT_STATUS);
}

static enum core_next store(struct vm *vm, u32 la, u32 value)
{
	vm_kernel(vm);
	vm->cpu.gpr[GPR_AX] = value;
	code(vm, STORE(la));
	return trap_pf(vm, la, PF_PRESENT | PF_WRITE);
}

static void assert_exit(struct vm *vm, enum core_next next, u32 gpa, u32 value)
{
	assert_int_equal(next, CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_MMIO);
	assert_int_equal(vm->exit.mmio.gpa, gpa);
	assert_true(vm->exit.mmio.write);
	assert_int_equal(vm->exit.mmio.value, value);
}

static void assert_served(struct vm *vm, enum core_next next)
{
	assert_next(vm, next, AT_CODE + 5);
}

static bool line(const struct vm *vm)
{
	return vm->pic.chip[0].line >> IRQ & 1;
}

/* As the VMM does. */
static void raise_status(struct vm *vm, unsigned index, u32 cause)
{
	*status(vm, index) |= cause;
	vm->irq_lines += DEVICE_NEWS;
	core_kick(vm);
}

/* ---------------------------------------------------------- mapping ---- */

static void test_reads_need_no_trap(void **state)
{
	struct vm *vm = *state;
	const u32 page = SECOND >> 12;

	add_devices(vm);
	code(vm, 0xa1, IMM32(SECOND + 4));
	assert_next(vm, trap_pf(vm, SECOND + 4, 0), AT_CODE);
	assert_int_equal(MOCK_GPA(mock_of(vm)->page[page]), HOST_DEVICE_GPA(vm, 3));
	assert_int_equal(MOCK_PROT(mock_of(vm)->page[page]), HOST_READ);
}

static void test_other_device_memory_is_not_mapped(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	code(vm, 0xa1, IMM32(FIRST + PAGE_SIZE_4K));
	assert_int_equal(trap_pf(vm, FIRST + PAGE_SIZE_4K, 0), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_MMIO);
	assert_int_equal(mock_of(vm)->mapped, 0);
	/* Nor is anything at 0 a device because unused entries have no address. */
	assert_false(device_page_write(vm, DEVICE_INTERRUPT_ACK, 4, 1));
}

static void test_host_without_room(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_LIMIT;
	code(vm, 0xa1, IMM32(FIRST));
	assert_int_equal(trap_pf(vm, FIRST, 0), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_MMIO);
	assert_int_equal(vm_shadow(vm)->total, 0);
	assert_next(vm, trap_pf(vm, FIRST, 0), AT_CODE);
	assert_int_equal(vm_shadow(vm)->total, 1);
}

/* Read faults on it may come as often as something else makes the shadow forget it. */
static void test_mapped_again_and_again(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	code(vm, 0xa1, IMM32(FIRST));
	for (unsigned i = 0; i < 100; i++) {
		assert_next(vm, trap_pf(vm, FIRST, 0), AT_CODE);
		assert_true(shadow_set_paging(vm));
	}
	assert_int_equal(mock_of(vm)->mapped, 0);
}

/* The same linear page leads to one device, then to another, then to none. */
static void test_mapping_follows_the_page_tables(void **state)
{
	struct vm *vm = *state;
	const u32 la = 0x300000, page = la >> 12;

	add_devices(vm);
	vm_paging(vm, PTE_P | PTE_W | PTE_A | PTE_D);
	*pte_of(vm, la) = FIRST | PTE_P | PTE_W;
	code(vm, 0xa1, IMM32(la));
	assert_next(vm, trap_pf(vm, la, 0), AT_CODE);
	assert_int_equal(MOCK_GPA(mock_of(vm)->page[page]), HOST_DEVICE_GPA(vm, 0));
	assert_true(*pte_of(vm, la) & PTE_A);
	*pte_of(vm, la) |= PTE_D;
	assert_true(shadow_load_cr3(vm));
	/* Writable and dirty in the guest's tables, and still not writable. */
	assert_int_equal(MOCK_PROT(mock_of(vm)->page[page]), HOST_READ);
	*pte_of(vm, la) = SECOND | PTE_P | PTE_W | PTE_A | PTE_D;
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_of(vm)->page[page], 0);
	assert_next(vm, trap_pf(vm, la, 0), AT_CODE);
	assert_int_equal(MOCK_GPA(mock_of(vm)->page[page]), HOST_DEVICE_GPA(vm, 3));
	*pte_of(vm, la) = 0;
	shadow_invlpg(vm, la);
	assert_int_equal(mock_of(vm)->page[page], 0);
}

/* -------------------------------------------------------- registers ---- */

static void test_other_registers_exit(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	vm->devices.watched = 1;
	assert_exit(vm, store(vm, FIRST + 0x70, 4), FIRST + 0x70, 4);
	assert_exit(vm, store(vm, FIRST + DEVICE_INTERRUPT_STATUS, 9),
		    FIRST + DEVICE_INTERRUPT_STATUS, 9);
	/* Registers are 4 bytes wide; parts of them are the VMM's to refuse. */
	vm_kernel(vm);
	code(vm, 0xa2, IMM32(FIRST + DEVICE_INTERRUPT_ACK));
	assert_exit(vm, trap_pf(vm, FIRST + DEVICE_INTERRUPT_ACK, PF_PRESENT | PF_WRITE),
		    FIRST + DEVICE_INTERRUPT_ACK, 9);
	assert_int_equal(*status(vm, 0), 0);
}

static void test_acknowledge(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	raise_status(vm, 0, 3);
	assert_true(line(vm));
	assert_served(vm, store(vm, FIRST + DEVICE_INTERRUPT_ACK, 1));
	assert_int_equal(*status(vm, 0), 2);
	assert_true(line(vm));
	assert_served(vm, store(vm, FIRST + DEVICE_INTERRUPT_ACK, 0xfffffffe));
	assert_int_equal(*status(vm, 0), 0);
	assert_false(line(vm));
}

static void test_shared_line(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	raise_status(vm, 0, 1);
	raise_status(vm, 3, 1);
	assert_served(vm, store(vm, FIRST + DEVICE_INTERRUPT_ACK, 1));
	assert_true(line(vm));
	assert_served(vm, store(vm, SECOND + DEVICE_INTERRUPT_ACK, 1));
	assert_false(line(vm));
}

/* The VMM clears the word: a device was reset. */
static void test_line_falls_by_news(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	raise_status(vm, 0, 1);
	*status(vm, 0) = 0;
	core_kick(vm);
	assert_true(line(vm));
	vm->irq_lines += DEVICE_NEWS;
	core_kick(vm);
	assert_false(line(vm));
}

static void test_interrupt_until_acknowledged(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	pic_ready(vm);
	pic_write(&vm->pic, 0x4d0, 1 << IRQ); /* level-triggered */
	vm_set_if(vm, FLAG_IF);
	vm->irq_lines = 0xffffu * DEVICE_NEWS; /* the count wraps */
	core_kick(vm);
	*status(vm, 0) = 1;
	vm->irq_lines += DEVICE_NEWS;
	delivered(vm, core_kick(vm), IRQ_VECTOR);
	pic_write(&vm->pic, 0x20, 0x20); /* end of interrupt, and still high: again */
	vm_kernel(vm);
	vm_set_if(vm, FLAG_IF);
	delivered(vm, core_kick(vm), IRQ_VECTOR);
	assert_served(vm, store(vm, FIRST + DEVICE_INTERRUPT_ACK, 1));
	pic_write(&vm->pic, 0x20, 0x20);
	vm_kernel(vm);
	vm_set_if(vm, FLAG_IF);
	assert_next(vm, core_kick(vm), AT_CODE);
}

static void test_doorbells(void **state)
{
	struct vm *vm = *state;

	add_devices(vm);
	assert_exit(vm, store(vm, FIRST + DEVICE_QUEUE_NOTIFY, 0), FIRST + DEVICE_QUEUE_NOTIFY, 0);
	assert_int_equal(vm->devices.rung, 0);
	vm->devices.watched = 1;
	assert_served(vm, store(vm, FIRST + DEVICE_QUEUE_NOTIFY, 0));
	assert_served(vm, store(vm, FIRST + DEVICE_QUEUE_NOTIFY, 2));
	assert_served(vm, store(vm, SECOND + DEVICE_QUEUE_NOTIFY, 3));
	assert_int_equal(vm->devices.rung, 0x5 | 1ull << (3 * DEVICE_BELLS + 3));
	/* Queues that have none, and numbers no queue has. */
	assert_exit(vm, store(vm, FIRST + DEVICE_QUEUE_NOTIFY, 1), FIRST + DEVICE_QUEUE_NOTIFY, 1);
	assert_exit(vm, store(vm, SECOND + DEVICE_QUEUE_NOTIFY, DEVICE_BELLS),
		    SECOND + DEVICE_QUEUE_NOTIFY, DEVICE_BELLS);
	assert_exit(vm, store(vm, FIRST + DEVICE_QUEUE_NOTIFY, 0x80000000),
		    FIRST + DEVICE_QUEUE_NOTIFY, 0x80000000);
	assert_int_equal(vm->devices.rung, 0x5 | 1ull << (3 * DEVICE_BELLS + 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_reads_need_no_trap),
		VM_TEST(test_other_device_memory_is_not_mapped),
		VM_TEST(test_host_without_room),
		VM_TEST(test_mapped_again_and_again),
		VM_TEST(test_mapping_follows_the_page_tables),
		VM_TEST(test_other_registers_exit),
		VM_TEST(test_acknowledge),
		VM_TEST(test_shared_line),
		VM_TEST(test_line_falls_by_news),
		VM_TEST(test_interrupt_until_acknowledged),
		VM_TEST(test_doorbells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
