/*
 * The protocol of common/device-page.h with threads on both sides, under ThreadSanitizer: no
 * interrupt and no doorbell may be lost.
 *
 * The core's thread runs device-page.c and plays the guest's driver. One thread of the VMM raises
 * interrupts through virtio.c, the other waits for doorbells and exits as the engine does. Nobody
 * goes on before the other side has seen what it was told of, and looks for that only when told: so
 * a message that is lost is the end, and the alarm says whose it was.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../common/vm.h"
#include "../../phase1-user/hal/virtio.h"

#define ROUNDS	  100000u
#define PATIENCE  240 /* seconds, where a run takes one or two */
#define IRQ	  5
#define REGISTERS (VIRTIO_MMIO_BASE + VIRTIO_MMIO_SIZE)

enum { TURN_CORE, TURN_VMM };

static struct trace_ring events;
static struct vm vm = {.trace = &events};
static struct virtio_device device;
static u32 raised, handled; /* interrupts */
static u32 rang, heard;	    /* notifications */
static u32 turn;	    /* of an exit */

static u32 load(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(u32 *p, u32 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void give_up(int sig)
{
	(void)sig;
	fprintf(stderr, "interrupts: %u of %u; notifications: %u of %u\n", load(&handled),
		load(&raised), load(&heard), load(&rang));
	_exit(1);
}

/* The host, as far as tracing needs it. */
/* Not asked for: nothing here looks at a clock. */
u64 host_now(struct vm *v)
{
	(void)v;
	return 0;
}

s64 host_utc(struct vm *v)
{
	(void)v;
	return 0;
}

bool host_due(struct vm *v, u64 deadline)
{
	(void)v, (void)deadline;
	return false;
}

u64 host_tsc(struct vm *v)
{
	(void)v;
	return 0;
}

static void changed(void *opaque, unsigned irq, bool level)
{
	(void)opaque, (void)irq, (void)level;
	__atomic_add_fetch(&vm.irq_lines, DEVICE_NEWS, __ATOMIC_SEQ_CST);
}

/* --------------------------------------------------------- the core ---- */

static void look(void)
{
	const u32 lines = load(&vm.irq_lines);

	if (lines == vm.irq_seen)
		return;
	device_page_look(&vm);
	vm.irq_seen = lines;
}

/* The driver's handler, called while the line is high. */
static void handle(void)
{
	const u32 status = load((u32 *)(device.registers + DEVICE_INTERRUPT_STATUS));

	if (!device_page_write(&vm, REGISTERS + DEVICE_INTERRUPT_ACK, 4, status))
		abort();
	store(&handled, load(&raised));
}

static void notify(void)
{
	store(&rang, rang + 1);
	if (device_page_write(&vm, REGISTERS + DEVICE_QUEUE_NOTIFY, 4, 1))
		return;
	store(&turn, TURN_VMM);
	while (load(&turn) != TURN_CORE)
		sched_yield();
}

static void *core(void *unused)
{
	while (load(&handled) < ROUNDS || load(&heard) < ROUNDS) {
		look();
		if (vm.pic.chip[0].line >> IRQ & 1)
			handle();
		if (rang < ROUNDS && load(&heard) == rang)
			notify();
	}
	return unused;
}

/* ---------------------------------------------------------- the VMM ---- */

/* Up to four interrupts in a row, so that some come while one is being acknowledged. */
static void *interrupt(void *unused)
{
	for (u32 i = 1; i <= ROUNDS; i++) {
		store(&raised, i);
		virtio_config_changed(&device);
		while ((i & 3) == 0 && load(&handled) < i)
			sched_yield();
	}
	return unused;
}

static bool take_bell(void)
{
	if (!__atomic_exchange_n(&vm.devices.rung, 0, __ATOMIC_SEQ_CST))
		return false;
	store(&heard, load(&rang));
	return true;
}

static bool take_exit(void)
{
	if (load(&turn) != TURN_VMM)
		return false;
	store(&heard, load(&rang));
	store(&turn, TURN_CORE);
	return true;
}

/* Watch for a moment, then sleep until there is an exit, blind for doorbells. */
static void *wait_for_bells(void *unused)
{
	while (load(&heard) < ROUNDS) {
		__atomic_store_n(&vm.devices.watched, 1, __ATOMIC_SEQ_CST);
		for (unsigned i = 0; i < 20; i++)
			if (take_bell() || take_exit())
				break;
		__atomic_store_n(&vm.devices.watched, 0, __ATOMIC_SEQ_CST);
		if (take_bell())
			continue;
		while (load(&heard) < ROUNDS && !take_exit())
			sched_yield();
	}
	return unused;
}

int main(void)
{
	static const struct virtio_ops ops = {.name = "virtio-race"};
	static const u8 config[8];
	static struct virtio_board board = {.irq = changed};
	static struct bus bus;
	static void *(*const side[])(void *) = {core, interrupt, wait_for_bells};
	pthread_t thread[ARRAY_SIZE(side)];

	signal(SIGALRM, give_up);
	alarm(PATIENCE);
	vm.ram_size = 1 << 20;
	vm.ram = calloc(1, vm.ram_size + HOST_EXTRA_BYTES);
	if (!vm.ram)
		return 1;
	pic_reset(&vm.pic);
	board.registers = vm.ram + HOST_DEVICE_GPA(&vm, 0);
	device.ops = &ops;
	device.queue_count = 2;
	device.config = (u8 *)config;
	device.config_size = sizeof(config);
	device.status = 4;
	bus_init(&bus);
	if (!virtio_register(&device, &bus, &board, 1, IRQ))
		return 1;
	vm.devices.page[1] = (struct device_page){
		.gpa = REGISTERS,
		.irq = IRQ,
		.bells = 2,
	};
	for (unsigned i = 0; i < ARRAY_SIZE(side); i++)
		if (pthread_create(&thread[i], NULL, side[i], NULL))
			return 1;
	for (unsigned i = 0; i < ARRAY_SIZE(side); i++)
		pthread_join(thread[i], NULL);
	free(vm.ram);
	return 0;
}
