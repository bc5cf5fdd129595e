/*
 * Fuzzing what looks at a guest from outside: the log of its kernel, and its stack.
 *
 * The input is a head of registers and what lies at the beginning of guest RAM; the ring buffer's
 * head is made plausible on demand, for no fuzzer guesses one. ASan sees what leaves guest RAM, and
 * the fuzzer's time-out what does not end.
 */
#include <stdlib.h>
#include <string.h>
#include "../../common/pv.h"
#include "../../phase1-user/watch/backtrace.h"
#include "../../phase1-user/watch/guest-log.h"
#include "fuzz-input.h"

#define RAM	0x20000u
#define UPPER	0xc0000000u
#define RECORDS 4096u /* looked at, from either end */

/* What the input may have put into place of its own. */
enum { PLAUSIBLE_LOG = 1, PAGING = 2, TEXT_KNOWN = 4 };

static struct vm vm;

static void put(u32 at, u32 value)
{
	memcpy(vm.ram + at, &value, sizeof(value));
}

static void put_log(struct fuzz_input *in)
{
	const u32 count_bits = fuzz_take(in, 1) % 12;
	const u32 newest = fuzz_take(in, 4), oldest = fuzz_take(in, 4);
	const u32 size_bits = fuzz_take(in, 1) % 16;
	const u32 head[] = {count_bits, 0x1000, 0x2000, newest, oldest, 7, size_bits, 0x3000};

	put(0x100, 0x200);
	for (size_t i = 0; i < ARRAY_SIZE(head); i++)
		put(0x200 + 4 * i, head[i]);
}

static void read_log(void)
{
	static struct guest_log_record r;
	struct guest_log log;

	if (!guest_log_open_at(&log, &vm, 0x100))
		return;
	fuzz_require(log.records > 0 && log.records <= 1u << 20);
	for (u32 i = 0; i < log.records && i < RECORDS; i++)
		if (guest_log_read(&log, i, &r))
			fuzz_require(r.len <= GUEST_LOG_TEXT && r.text[r.len] == '\0');
	if (guest_log_panic(&log, &r))
		fuzz_require(!strncmp(r.text, "Kernel panic", 12));
}

static void read_stack(unsigned flags)
{
	struct backtrace_text text = {0};
	struct frame frame[BACKTRACE_MAX];
	size_t n;

	if (flags & TEXT_KNOWN) {
		text.ranges = 1;
		text.range[0].first = UPPER + 0x1000;
		text.range[0].last = UPPER + 0x8000;
	}
	n = backtrace(&vm, &text, true, frame);
	fuzz_require(n >= 1 && n <= BACKTRACE_MAX);
	for (size_t i = 0; i < n; i++)
		fuzz_require(frame[i].kind <= FRAME_GUESS);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	const unsigned flags = fuzz_take(&in, 1);

	vm.ram = calloc(1, RAM + PAGE_SIZE_4K);
	vm.ram_size = RAM;
	vm.cpu.cr0 = CR0_PE | (flags & PAGING ? CR0_PG : 0);
	vm.cpu.cr3 = fuzz_take(&in, 2);
	vm.cpu.cr4 = CR4_PSE;
	vm.cpu.rip = fuzz_take(&in, 4);
	vm.cpu.gpr[GPR_SP] = fuzz_take(&in, 4);
	vm.cpu.gpr[GPR_BP] = fuzz_take(&in, 4);
	if (flags & PLAUSIBLE_LOG)
		put_log(&in);
	memcpy(vm.ram + 0x1000, in.data, in.left < RAM - 0x1000 ? in.left : RAM - 0x1000);
	read_log();
	read_stack(flags);
	free(vm.ram);
	return 0;
}
