/*
 * The machine: see machine.h.
 *
 * Lock order: there is one lock, the loop's. The run thread holds it while it handles an exit and
 * never while the guest runs.
 */
#include "machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include "control/process-tree.h"
#include "hal/agent.h"
#include "hal/virtio-console.h"
#include "pc.h"
#include "snapshot/request.h"

/* ---- ending ---- */

void machine_end_run(struct machine *m, enum machine_end end, u32 value)
{
	if (m->end)
		return;
	m->value = value;
	__atomic_store_n(&m->end, end, __ATOMIC_RELEASE);
	pthread_cond_signal(&m->moved);
	engine_stop(m->engine);
}

const char *machine_end_text(enum machine_end end)
{
	static const char *const texts[] = {
		[END_NONE] = "running",	      [END_HALTED] = "powered-off",
		[END_VALUE] = "exited",	      [END_RESET] = "reset",
		[END_CRASH] = "crashed",      [END_GONE] = "gone",
		[END_QUIT] = "quit",	      [END_LATE] = "timeout",
		[END_MET] = "expected",	      [END_EVENTS] = "stopped",
		[END_SIGNAL] = "signal",      [END_OUTPUT] = "output-lost",
		[END_TRACE] = "trace-lost",   [END_PARTED] = "parted",
		[END_RECORD] = "record-lost", [END_HUNG] = "hung",
	};

	return texts[end];
}

/* Where the run must not wait for its reader any more. */
static void end_by_signal(struct machine *m, int signal)
{
	machine_end_run(m, END_SIGNAL, signal);
	console_give_up(m->console);
}

void machine_stop(struct machine *m)
{
	end_by_signal(m, SIGTERM);
}

void machine_hung(struct machine *m)
{
	machine_end_run(m, END_HUNG, 0);
}

void machine_power_off(struct machine *m)
{
	if (m->agent)
		agent_power_off(m->agent);
}

bool machine_agent_listens(const struct machine *m)
{
	return m->agent && agent_listens(m->agent);
}

static void goal_late(void *owner)
{
	struct machine *m = owner;

	machine_end_run(m, END_LATE, 0);
	console_give_up(m->console);
}

static void goal_met(void *owner)
{
	struct machine *m = owner;

	if (!m->end)
		events_emit(&m->events, "goal", NULL);
	machine_end_run(m, END_MET, 0);
}

static void guest_exited(void *opaque, u32 value)
{
	struct machine *m = opaque;

	m->ending = END_VALUE;
	m->ending_value = value;
}

static void guest_reset(void *opaque)
{
	struct machine *m = opaque;

	m->ending = END_RESET;
}

static void guest_powered_off(void *opaque)
{
	struct machine *m = opaque;

	m->ending = END_HALTED;
}

void machine_update_size(struct machine *m)
{
	unsigned columns, rows;

	if (m->pc)
		pc_redraw(m->pc);
	if (m->hvc && console_size(m->console, &columns, &rows))
		virtio_console_resize(m->hvc, columns, rows);
}

static void signal_ready(struct loop_source *source, u32 events)
{
	struct machine *m = (struct machine *)((char *)source - offsetof(struct machine, signals));
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		machine_update_size(m);
		return;
	}
	if (info.ssi_signo == SIGUSR2 && m->snapshot_to) {
		snapshot_request(m);
		return;
	}
	end_by_signal(m, info.ssi_signo);
}

void machine_console_event(void *owner, enum console_event event, int error)
{
	struct machine *m = owner;

	switch (event) {
	case CONSOLE_QUIT:
		machine_end_run(m, END_QUIT, 0);
		console_give_up(m->console);
		break;
	case CONSOLE_RESIZED:
		machine_update_size(m);
		break;
	case CONSOLE_LOST:
		m->output_error = error;
		machine_end_run(m, END_OUTPUT, error);
		break;
	case CONSOLE_STATS:
		/* Only the run thread may ask the engine. */
		m->stats_wanted = true;
		engine_kick(m->engine);
		break;
	}
}

/* ---- devices ---- */

static void console_out(void *opaque, const u8 *data, size_t n)
{
	struct machine *m = opaque;

	if (m->muted)
		return;
	console_write(m->console, data, n);
	goal_look(&m->goal, data, n);
}

/* Is the console a screen and a keyboard? */
static bool has_screen(const struct machine *m)
{
	return m->pc && !m->pc->serial;
}

static void serial_out(void *opaque, const u8 *data, size_t n)
{
	struct machine *m = opaque;

	if (has_screen(m))
		return;
	/* A driver that wants to be told of input serves a program. */
	if (m->route.booting && serial_room(&m->serial))
		console_route_booted(&m->route);
	console_route_serial(&m->route, data, n);
}

static void hvc_out(void *opaque, const u8 *data, size_t n)
{
	struct machine *m = opaque;

	console_route_hvc(&m->route, data, n);
}

static void hvc_changed(void *opaque, bool up)
{
	struct machine *m = opaque;

	if (up)
		input_gate_probing(&m->input);
	else
		console_route_lost_hvc(&m->route);
	console_drained(m->console);
}

static void hvc_drained(void *opaque)
{
	struct machine *m = opaque;

	console_drained(m->console);
}

static void agent_opened(void *opaque)
{
	struct machine *m = opaque;

	if (!m->booted)
		events_emit(&m->events, "booted", NULL);
	m->booted = true;
}

static void serial_irq(void *opaque, bool level)
{
	struct machine *m = opaque;

	engine_set_irq(m->engine, SERIAL_COM1_IRQ, level);
}

static bool hvc_runs(const struct machine *m)
{
	return m->hvc && virtio_running(&m->hvc->virtio);
}

size_t machine_input_room(void *owner)
{
	struct machine *m = owner;

	if (has_screen(m))
		return pc_input_room(m->pc);
	if (m->deterministic)
		return m->recorder ? recorder_room(m->recorder, input_gate_room(&m->input)) : 0;
	if (!hvc_runs(m))
		return input_gate_room(&m->input);
	if (input_gate_holds(&m->input) || !virtio_console_room(m->hvc))
		return 0;
	return SIZE_MAX; /* how much it takes is seen when it does */
}

size_t machine_input(void *owner, const u8 *data, size_t len)
{
	struct machine *m = owner;
	size_t taken;

	if (has_screen(m))
		return pc_input(m->pc, data, len);
	if (hvc_runs(m))
		return virtio_console_input(m->hvc, data, len);
	taken = m->recorder ? recorder_input(m->recorder, data, len)
			    : serial_input(&m->serial, data, len);
	input_gate_passed(&m->input, taken);
	return taken;
}

static void input_opened(void *owner)
{
	struct machine *m = owner;

	console_drained(m->console);
}

static bool guest_idles(void *owner)
{
	struct machine *m = owner;

	return engine_is_idle(m->engine);
}

static u64 guest_waited(void *owner)
{
	struct usage usage;

	(void)owner;
	process_tree_usage(getpid(), &usage);
	return usage.waited_ns;
}

static void device_changed(void *opaque, unsigned irq, bool level)
{
	struct machine *m = opaque;

	(void)irq, (void)level;
	engine_device_changed(m->engine);
}

static void device_again(void *opaque, unsigned slot, unsigned index)
{
	struct machine *m = opaque;

	engine_ring(m->engine, 1ull << (DEVICE_BELLS * slot + index));
}

static void device_warning(void *opaque, const char *text)
{
	struct machine *m = opaque;
	char line[256];

	snprintf(line, sizeof(line), "plex86: %s\n", text);
	console_message(m->console, line);
}

static void device_release(void *opaque, u64 gpa, u64 len)
{
	struct machine *m = opaque;

	engine_release_ram(m->engine, gpa, len);
}

static void pc_irq(void *opaque, unsigned irq, bool level)
{
	struct machine *m = opaque;

	engine_set_irq(m->engine, irq, level);
}

/* What the screen says: to whom it is drawn need not be told. */
static void pc_says(void *opaque, const u8 *data, size_t n)
{
	struct machine *m = opaque;

	if (!m->pc->terminal)
		console_write(m->console, data, n);
	goal_look(&m->goal, data, n);
}

static void pc_draws(void *opaque, const u8 *data, size_t n)
{
	struct machine *m = opaque;

	console_write(m->console, data, n);
}

static u32 pc_offers(void *opaque, u16 port, const u8 *data, u32 n)
{
	struct machine *m = opaque;

	return engine_offer(m->engine, port, data, n);
}

static u32 pc_takes_back(void *opaque)
{
	struct machine *m = opaque;

	return engine_take_back(m->engine);
}

static bool build_pc(struct machine *m, u64 ram_size, struct pc *pc, struct error *e)
{
	const struct pc_owner owner = {pc_irq,	     guest_reset,    pc_says,
				       pc_draws,     pc_offers,	     pc_takes_back,
				       input_opened, device_warning, m};

	if (!pc->wanted)
		return true;
	m->pc = pc;
	return pc_attach(pc, &owner, &m->bus, engine_ram(m->engine), ram_size, m->loop, e);
}

/* Tell the core where the guest sees the devices' registers. */
static void add_device_pages(struct machine *m, const struct hal *hal)
{
	for (unsigned i = 0; i < hal->count; i++) {
		const struct virtio_device *v = &hal->device[i]->virtio;
		const struct device_page page = {
			.gpa = VIRTIO_MMIO_BASE + v->slot * VIRTIO_MMIO_SIZE,
			.irq = v->irq,
			.bells = v->bells,
		};

		engine_add_device(m->engine, v->slot, &page);
	}
}

static void connect_hvc(struct machine *m, struct hal *hal)
{
	const struct virtio_console_config config = {hvc_out, hvc_drained, hvc_changed, m};

	m->hvc = hal_find(hal, "virtio-console");
	if (m->hvc)
		virtio_console_connect(m->hvc, &config);
}

static bool build_board(struct machine *m, u64 ram_size, struct hal *hal, struct pc *pc,
			struct error *e)
{
	const struct virtio_board board = {
		.ram = {engine_ram(m->engine), ram_size},
		.ram_fd = engine_ram_fd(m->engine),
		.registers = engine_device_pages(m->engine),
		.irq = device_changed,
		.again = device_again,
		.release = device_release,
		.at_once = m->deterministic,
		.warn = device_warning,
		.opaque = m,
	};
	const struct serial_config serial = {serial_out, serial_irq, m};

	bus_init(&m->bus);
	serial_init(&m->serial, &serial);
	m->debugport = (struct debugport){console_out, guest_exited, m};
	m->reset = (struct reset){.reset = guest_reset, .opaque = m, .has_keyboard = pc->wanted};
	m->pm = (struct acpi_pm){.power_off = guest_powered_off, .opaque = m};
	if (!serial_register(&m->serial, &m->bus, SERIAL_COM1) ||
	    !debugport_register(&m->debugport, &m->bus) || !reset_register(&m->reset, &m->bus) ||
	    !acpi_pm_register(&m->pm, &m->bus))
		return error_set(e, "machine: two devices claim one port");
	m->route.out = console_out;
	m->route.opaque = m;
	connect_hvc(m, hal);
	m->agent = hal_find(hal, "agent");
	if (m->agent)
		agent_connect(m->agent, agent_opened, m);
	m->route.booting = m->hvc != NULL;
	m->hal = hal;
	add_device_pages(m, hal);
	return build_pc(m, ram_size, pc, e) && hal_attach(hal, &m->bus, &board, m->loop, e);
}

/* ---- signals ---- */

static void signals_taken(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
	sigaddset(set, SIGWINCH);
	sigaddset(set, SIGUSR2);
}

void machine_block_signals(void)
{
	sigset_t set;

	signals_taken(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	/* Errors of the call that meets them, which go to whom they concern: a guest's disk, say.
	 */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static bool watch_signals(struct machine *m, struct error *e)
{
	sigset_t set;

	signals_taken(&set);
	m->signals.ready = signal_ready;
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0 || !loop_watch(m->loop, &m->signals, EPOLLIN))
		return error_set(e, "machine: watching signals: %s", strerror(errno));
	return true;
}

/* ---- beginning and end ---- */

bool machine_init(struct machine *m, struct engine *engine, u64 ram_size, bool deterministic,
		  struct hal *hal, struct pc *pc, struct loop *loop, struct error *e)
{
	memset(m, 0, sizeof(*m));
	m->engine = engine;
	m->loop = loop;
	m->deterministic = deterministic;
	pthread_cond_init(&m->moved, NULL);
	m->signals.fd = -1;
	m->input.timer.fd = m->goal.timer.fd = -1;
	m->input.opened = input_opened;
	m->input.idle = guest_idles;
	m->input.waited = guest_waited;
	m->input.owner = m;
	return build_board(m, ram_size, hal, pc, e) && watch_signals(m, e) &&
	       input_gate_init(&m->input, loop, &m->serial, e);
}

bool machine_set_goal(struct machine *m, u64 timeout_ns, const char *expect, struct error *e)
{
	m->goal.late = goal_late;
	m->goal.met = goal_met;
	m->goal.owner = m;
	return goal_init(&m->goal, m->loop, timeout_ns, expect, e);
}

void machine_destroy(struct machine *m)
{
	pthread_cond_destroy(&m->moved);
	goal_destroy(&m->goal);
	input_gate_destroy(&m->input);
	loop_unwatch(m->loop, &m->signals);
	if (m->signals.fd >= 0)
		close(m->signals.fd);
}
