/*
 * Unit tests of the guest's ear: the messages by which a driver learns of the port, the request to
 * power off, and drivers that do it wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/agent.h"
#include "virtio-driver.h"

enum { RECEIVE, TRANSMIT, CONTROL_RECEIVE, CONTROL_TRANSMIT };
enum { DEVICE_READY = 0, DEVICE_ADD = 1, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7 };

#define F_MULTIPORT 2ull
#define BUFFER_SIZE 64

struct message {
	u32 id;
	u16 event, value;
};

extern const struct hal_kind hal_agent;

static struct driver d;
static struct hal_device *device;

static int set_up(void **state)
{
	struct error e;

	(void)state;
	device = hal_agent.open("", &e);
	assert_non_null(device);
	driver_init(&d, &device->virtio, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_destroy(&d);
	hal_agent.destroy(device);
	return 0;
}

/* A buffer for the device to write into. Returns where it is. */
static u64 offer(unsigned queue)
{
	const struct driver_buffer b = {driver_bytes(&d, NULL, BUFFER_SIZE), BUFFER_SIZE, true};

	driver_add(&d, queue, &b, 1);
	driver_notify(&d, queue);
	return b.gpa;
}

static void say(u32 id, u16 event, u16 value)
{
	const struct message m = {id, event, value};
	const struct driver_buffer b = {driver_bytes(&d, &m, sizeof(m)), sizeof(m), false};
	u32 head, written;

	driver_add(&d, CONTROL_TRANSMIT, &b, 1);
	driver_notify(&d, CONTROL_TRANSMIT);
	assert_true(driver_take(&d, CONTROL_TRANSMIT, &head, &written));
	assert_int_equal(written, 0);
}

/* The device must have written this message, with `tail` behind it, to `gpa`. */
static void expect_message(u64 gpa, u16 event, const char *tail)
{
	struct message m;
	u32 head, written;

	assert_true(driver_take(&d, CONTROL_RECEIVE, &head, &written));
	assert_int_equal(written, sizeof(m) + strlen(tail));
	memcpy(&m, driver_at(&d, gpa, sizeof(m)), sizeof(m));
	assert_int_equal(m.id, 0);
	assert_int_equal(m.event, event);
	assert_memory_equal(driver_at(&d, gpa + sizeof(m), strlen(tail)), tail, strlen(tail));
}

static void expect_nothing(unsigned queue)
{
	u32 head, written;

	assert_false(driver_take(&d, queue, &head, &written));
}

static void expect_request(u64 gpa)
{
	static const char request[] = "{\"execute\":\"guest-shutdown\"}\n";
	u32 head, written;

	assert_true(driver_take(&d, RECEIVE, &head, &written));
	assert_int_equal(written, strlen(request));
	assert_memory_equal(driver_at(&d, gpa, written), request, written);
}

/* As Linux does it. */
static void begin(void)
{
	u64 add, open, name;

	driver_start(&d, F_MULTIPORT, 4);
	add = offer(CONTROL_RECEIVE);
	expect_nothing(CONTROL_RECEIVE);
	say(~0u, DEVICE_READY, 1);
	expect_message(add, DEVICE_ADD, "");
	assert_true(d.irq);
	driver_acknowledge(&d);
	open = offer(CONTROL_RECEIVE);
	name = offer(CONTROL_RECEIVE);
	say(0, PORT_READY, 1);
	expect_message(open, PORT_OPEN, "");
	expect_message(name, PORT_NAME, "org.qemu.guest_agent.0");
	expect_nothing(CONTROL_RECEIVE);
	assert_false(agent_listens(device));
}

static void asked_when_listening(void **state)
{
	u64 buffer;

	(void)state;
	begin();
	buffer = offer(RECEIVE);
	say(0, PORT_OPEN, 1);
	assert_true(agent_listens(device));
	expect_nothing(RECEIVE);
	agent_power_off(device);
	expect_request(buffer);
	say(0, PORT_OPEN, 0);
	assert_false(agent_listens(device));
}

/* Asked for before anybody listens, and before there is a buffer: once, when both are there. */
static void asked_before(void **state)
{
	u64 buffer;

	(void)state;
	agent_power_off(device);
	begin();
	say(0, PORT_OPEN, 1);
	buffer = offer(RECEIVE);
	expect_request(buffer);
	offer(RECEIVE);
	expect_nothing(RECEIVE);
}

static void messages_wait_for_buffers(void **state)
{
	u64 first, second;

	(void)state;
	driver_start(&d, F_MULTIPORT, 4);
	say(~0u, DEVICE_READY, 1);
	say(0, PORT_READY, 1);
	first = offer(CONTROL_RECEIVE);
	expect_message(first, DEVICE_ADD, "");
	second = offer(CONTROL_RECEIVE);
	expect_message(second, PORT_OPEN, "");
}

static void reset_forgets(void **state)
{
	(void)state;
	begin();
	say(0, PORT_OPEN, 1);
	driver_reset(&d);
	assert_false(agent_listens(device));
	agent_power_off(device);
	begin();
}

/* Messages of another port, of no known event, too short ones; answers of an agent. */
static void nonsense(void **state)
{
	const struct driver_buffer piece = {driver_bytes(&d, "\6\0\0", 3), 3, false};
	const struct driver_buffer answer = {driver_bytes(&d, "{\"return\": {}}\n", 15), 15, false};
	u32 head, written;

	(void)state;
	begin();
	say(1, PORT_OPEN, 1);
	say(~0u, PORT_OPEN, 1);
	say(0, 77, 1);
	driver_add(&d, CONTROL_TRANSMIT, &piece, 1);
	driver_notify(&d, CONTROL_TRANSMIT);
	assert_true(driver_take(&d, CONTROL_TRANSMIT, &head, &written));
	assert_false(agent_listens(device));
	driver_add(&d, TRANSMIT, &answer, 1);
	driver_notify(&d, TRANSMIT);
	assert_true(driver_take(&d, TRANSMIT, &head, &written));
	assert_false(agent_listens(device));
	assert_int_equal(d.warnings, 0);
}

/* A buffer that is no RAM stops the device, with a word. */
static void broken_queue(void **state)
{
	(void)state;
	begin();
	say(0, PORT_OPEN, 1);
	driver_set_desc(&d, RECEIVE, 0, 1ull << 40, 64, DRIVER_DESC_WRITE, 0);
	driver_offer(&d, RECEIVE, 0);
	agent_power_off(device);
	assert_int_equal(d.warnings, 1);
	assert_true(driver_read(&d, DRIVER_REG_STATUS) & DRIVER_NEEDS_RESET);
	agent_power_off(device);
	assert_int_equal(d.warnings, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(asked_when_listening, set_up, tear_down),
		cmocka_unit_test_setup_teardown(asked_before, set_up, tear_down),
		cmocka_unit_test_setup_teardown(messages_wait_for_buffers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reset_forgets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(broken_queue, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
