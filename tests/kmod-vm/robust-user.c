/*
 * Cases of robust.c: machines for user code alone (PLEX86_USER_CODE).
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM	  (1u << 20)
#define RAM_BYTES (RAM + HOST_EXTRA_BYTES)
#define PAGE	  ((sizeof(struct plex86_user) + 4095) & ~4095ul)
#define CODE	  0x400000u /* where frame 0 is mapped */
#define DATA	  0x401000u /* and frame 1 */
#define INT80	  0x80
#define RX	  (HOST_READ | HOST_EXEC)
#define RW	  (HOST_READ | HOST_WRITE)
#define FLAT_CODE 0x00cffb000000ffffull
#define LONG_CODE 0x00affb000000ffffull
#define LONG_BIT  (1ull << 53)
#define CODE_SLOT 7u
#define LDT(slot) ((u16)((slot) << 3 | 7))

struct user_machine {
	int fd;
	u8 *ram;
	struct plex86_user *u;
};

static bool user_open(struct user_machine *m)
{
	struct plex86_memory mem = {.ram_size = RAM, .layout = PLEX86_LAYOUT};

	m->fd = open("/dev/plex86", O_RDWR | O_CLOEXEC);
	if (m->fd < 0 || ioctl(m->fd, PLEX86_CREATE, PLEX86_USER_CODE))
		return false;
	m->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	m->u = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	mem.address = (u64)m->ram;
	return m->ram != MAP_FAILED && m->u != MAP_FAILED && !ioctl(m->fd, PLEX86_SET_MEMORY, &mem);
}

static void user_close(struct user_machine *m)
{
	munmap(m->u, PAGE);
	munmap(m->ram, RAM_BYTES);
	close(m->fd);
}

static void map(struct user_machine *m, u16 op, u32 la, u32 pages, u32 frame, u16 prot)
{
	m->u->map[m->u->maps++] = (struct plex86_user_map){la >> 12, pages, frame, op, prot};
}

/* What begins at CODE, with flat segments. */
static void code(struct user_machine *m, const void *bytes, size_t n)
{
	struct plex86_user *u = m->u;

	memcpy(m->ram, bytes, n);
	u->rip = CODE;
	u->rflags = 0;
	u->gpr[GPR_SP] = DATA + 0x800;
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		u->selector[reg] = reg == SEG_CS ? HOST_FLAT_CS : HOST_FLAT_DS;
	map(m, PLEX86_USER_MAP_SET, CODE, 1, 0, RX);
	map(m, PLEX86_USER_MAP_SET, DATA, 1, 1, RW);
}

static int run_once(struct user_machine *m)
{
	m->u->vector = ~0u;
	return ioctl(m->fd, PLEX86_USER_RUN) ? -errno : (int)m->u->vector;
}

/* Until it traps: the kernel may want to go by way of user mode at any time. */
static int run(struct user_machine *m)
{
	int vector;

	do
		vector = run_once(m);
	while (vector == PLEX86_USER_STOPPED);
	return vector;
}

/* ---------------------------------------------------- kinds and order ---- */

static bool refused(int fd, unsigned long command, void *argument, int error)
{
	return ioctl(fd, command, argument) == -1 && errno == error;
}

enum verdict case_kinds(void)
{
	struct plex86_memory mem = {.ram_size = RAM, .layout = PLEX86_LAYOUT, .flags = PLEX86_ABI};
	struct user_machine m;
	struct kmod_guest g;
	struct plex86_fpu fpu;
	int fd = open("/dev/plex86", O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE(ioctl(fd, PLEX86_GET_VERSION) == PLEX86_API_VERSION);
	REQUIRE(refused(fd, PLEX86_RUN, NULL, EINVAL)); /* it is nothing as yet */
	REQUIRE(refused(fd, PLEX86_USER_RUN, NULL, EINVAL));
	REQUIRE(refused(fd, PLEX86_GET_SPACES, NULL, EINVAL));
	REQUIRE(refused(fd, PLEX86_SET_MEMORY, &mem, EINVAL));
	REQUIRE(refused(fd, PLEX86_KICK, NULL, EINVAL));
	REQUIRE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	REQUIRE(refused(fd, PLEX86_CREATE, (void *)2, EINVAL));
	REQUIRE(!ioctl(fd, PLEX86_CREATE, PLEX86_USER_CODE));
	REQUIRE(refused(fd, PLEX86_CREATE, NULL, EINVAL));   /* once */
	REQUIRE(refused(fd, PLEX86_USER_RUN, NULL, EINVAL)); /* no memory */
	REQUIRE(refused(fd, PLEX86_USER_MAP, NULL, EINVAL));
	m.ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mem.address = (u64)m.ram;
	REQUIRE(refused(fd, PLEX86_SET_MEMORY, &mem, EINVAL)); /* flags of the other kind */
	mem.flags = 0;
	mem.stop_at = 1;
	REQUIRE(refused(fd, PLEX86_SET_MEMORY, &mem, EINVAL));
	munmap(m.ram, RAM_BYTES);
	close(fd);

	REQUIRE(user_open(&m));
	REQUIRE(ioctl(m.fd, PLEX86_GET_SPACES) == PLEX86_USER_SPACES);
	REQUIRE(refused(m.fd, PLEX86_RUN, NULL, ENOTTY));
	REQUIRE(refused(m.fd, PLEX86_KICK, NULL, ENOTTY));
	REQUIRE(refused(m.fd, PLEX86_GET_STATE, m.ram, ENOTTY));
	REQUIRE(refused(m.fd, PLEX86_GET_STATS, m.ram, ENOTTY));
	REQUIRE(!ioctl(m.fd, PLEX86_GET_FPU, &fpu) && !ioctl(m.fd, PLEX86_SET_FPU, &fpu));
	user_close(&m);

	REQUIRE(!kmod_guest_create(&g, settings.guest));
	REQUIRE(refused(g.fd, PLEX86_USER_RUN, NULL, ENOTTY));
	REQUIRE(refused(g.fd, PLEX86_USER_MAP, NULL, ENOTTY));
	REQUIRE(refused(g.fd, PLEX86_CREATE, (void *)PLEX86_USER_CODE, EINVAL));
	kmod_guest_close(&g);
	return PASSED;
}

/* ------------------------------------------------------- what it does ---- */

static enum verdict try_map(struct user_machine *m, struct plex86_user_map wrong)
{
	m->u->maps = 1;
	m->u->map[0] = wrong;
	REQUIRE(run(m) == -EINVAL && m->u->maps == 1);
	m->u->maps = 0;
	return PASSED;
}

static enum verdict try_wrong_maps(struct user_machine *m)
{
	const u32 frames = RAM_BYTES >> 12;
	const struct plex86_user_map wrong[] = {
		{.page = 1, .pages = 0, .op = PLEX86_USER_MAP_SET, .prot = RX},
		{.page = 1, .pages = 1, .op = 3, .prot = RX},
		{.page = 1, .pages = 1, .op = PLEX86_USER_MAP_UNMAP, .prot = RX},
		{.page = 1, .pages = 1, .op = PLEX86_USER_MAP_SET, .prot = RX | HOST_USER},
		{.page = SHADOW_PAGES, .pages = 1, .op = PLEX86_USER_MAP_SET, .prot = RX},
		{.page = 1, .pages = SHADOW_PAGES, .op = PLEX86_USER_MAP_UNMAP},
		{.page = 2, .pages = ~0u, .op = PLEX86_USER_MAP_UNMAP},
		{.page = 1, .pages = 1, .frame = frames, .op = PLEX86_USER_MAP_SET, .prot = RX},
		{.page = 1, .pages = 2, .frame = frames - 1, .op = PLEX86_USER_MAP_SET, .prot = RX},
		{.page = 1, .pages = 1, .frame = ~0u, .op = PLEX86_USER_MAP_SET, .prot = RX},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		if (try_map(m, wrong[i]) != PASSED)
			return failed("wrong map %u", i);
	m->u->maps = ARRAY_SIZE(m->u->map) + 1;
	REQUIRE(run(m) == -EINVAL);
	m->u->maps = 0;
	m->u->space = PLEX86_USER_SPACES;
	REQUIRE(run(m) == -EINVAL);
	m->u->space = 0;
	return PASSED;
}

/* mov %eax, (%ebx); int $0x80 */
static const u8 store[] = {0x89, 0x03, 0xcd, 0x80};

static enum verdict try_pages(struct user_machine *m)
{
	struct plex86_user *u = m->u;

	code(m, store, sizeof(store));
	u->gpr[GPR_AX] = 0x12345678;
	u->gpr[GPR_BX] = DATA + 4;
	REQUIRE(run(m) == INT80 && u->rip == CODE + 4 && u->maps == 0);
	REQUIRE(((u32 *)m->ram)[1025] == 0x12345678 && u->gpr[GPR_BX] == DATA + 4);
	u->rip = CODE;
	map(m, PLEX86_USER_MAP_PROTECT, DATA, 1, 0, HOST_READ);
	map(m, PLEX86_USER_MAP_PROTECT, DATA + 0x1000, 1, 0, RW); /* is not there: stays so */
	REQUIRE(run(m) == EXC_PF && u->rip == CODE && u->address == DATA + 4);
	REQUIRE(u->error == (PF_PRESENT | PF_WRITE | PF_USER));
	u->gpr[GPR_BX] = DATA + 0x1000;
	REQUIRE(run(m) == EXC_PF && u->error == (PF_WRITE | PF_USER));
	/* Another space has nothing of it. */
	u->space = 1;
	REQUIRE(run(m) == EXC_PF && u->address == CODE && u->rip == CODE);
	u->space = 0;
	map(m, PLEX86_USER_MAP_UNMAP, 0, SHADOW_PAGES, 0, 0);
	REQUIRE(run(m) == EXC_PF && u->address == CODE);
	/* Nothing of the host's: the nexus's tables are above what 32 bits can name. */
	code(m, store, sizeof(store));
	u->gpr[GPR_BX] = 0xfffff000;
	REQUIRE(run(m) == EXC_PF && u->address == 0xfffff000);
	return PASSED;
}

/* ljmp $selector, $CODE */
static int jump_to(struct user_machine *m, u16 selector)
{
	const u8 jump[] = {0xea, 0, 0, CODE >> 16, 0, selector & 0xff, selector >> 8};

	code(m, jump, sizeof(jump));
	return run(m);
}

static enum verdict try_segments(struct user_machine *m)
{
	/* dec %eax, or a prefix in 64-bit code; nop; int $0x80 */
	static const u8 tell[] = {0x48, 0x90, 0xcd, 0x80};
	struct plex86_user *u = m->u;
	unsigned taken = 0;

	/* Of 64-bit code in the LDT 32-bit code is made, of a gate nothing. */
	code(m, tell, sizeof(tell));
	u->ldt[CODE_SLOT] = LONG_CODE;
	u->ldt[CODE_SLOT + 1] = 0x0000ec0000130000ull; /* a call gate */
	u->ldt_changed = 3u << CODE_SLOT;
	u->selector[SEG_CS] = LDT(CODE_SLOT);
	u->gpr[GPR_AX] = 100;
	REQUIRE(run(m) == PLEX86_USER_REFUSED || u->gpr[GPR_AX] == 99);
	u->ldt[CODE_SLOT] = FLAT_CODE | LONG_BIT;
	u->ldt_changed = 1u << CODE_SLOT;
	u->gpr[GPR_AX] = 100;
	u->rip = CODE;
	REQUIRE(run(m) == INT80 && u->gpr[GPR_AX] == 99 && u->ldt_changed == 0);
	REQUIRE(jump_to(m, LDT(CODE_SLOT + 1)) == EXC_GP);
	/* The GDT has 0x23 and 0x2b for it, and nothing else. */
	for (u32 selector = 4; selector < 0x1000; selector += 8) {
		code(m, tell, sizeof(tell));
		u->selector[SEG_CS] = selector & ~4u;
		taken += run(m) == INT80;
	}
	REQUIRE(taken == 1);
	REQUIRE(jump_to(m, 0x33) == EXC_GP && u->error == 0x30);
	REQUIRE(jump_to(m, 0x13) == EXC_GP && u->error == 0x10);
	return PASSED;
}

/* The end of what a stub of the whole kind would have: here they are nothing but addresses. */
static enum verdict try_stubs(struct user_machine *m)
{
	static const u8 call[] = {0xcd, 0x80};
	struct plex86_user *u = m->u;

	for (u32 at = 0; at < 4096 - sizeof(call); at++) {
		memset(m->ram, 0x90, 4096);
		code(m, call, 0);
		memcpy(m->ram + at, call, sizeof(call));
		u->rip = 0xfffff000u + at;
		map(m, PLEX86_USER_MAP_SET, 0xfffff000u, 1, 0, RX);
		REQUIRE(run(m) == INT80 && u->rip == 0xfffff000u + at + sizeof(call));
	}
	return PASSED;
}

static enum verdict try_stops(struct user_machine *m)
{
	static const u8 forever[] = {0xeb, 0xfe};
	struct plex86_user *u = m->u;

	code(m, forever, sizeof(forever));
	u->gpr[GPR_SI] = 77;
	u->stop = 1;
	REQUIRE(run_once(m) == PLEX86_USER_STOPPED && u->rip == CODE && u->gpr[GPR_SI] == 77);
	u->stop = 0;
	start_interrupting();
	for (unsigned i = 0; i < 20; i++) {
		const int vector = run_once(m);

		REQUIRE(vector == PLEX86_USER_STOPPED || vector == -EINTR);
		REQUIRE(u->rip == CODE && u->gpr[GPR_SI] == 77);
	}
	/* Interrupts stay on, whatever the flags say. */
	u->rflags = ~0u;
	REQUIRE(run_once(m) == EXC_DB || u->vector == EXC_AC || u->vector == PLEX86_USER_STOPPED);
	REQUIRE((u->rflags & FLAG_IF) && !(u->rflags & (FLAG_IOPL | FLAG_VM)));
	return PASSED;
}

enum verdict case_user(void)
{
	static enum verdict (*const tries[])(struct user_machine *) = {
		try_wrong_maps, try_pages, try_segments, try_stubs, try_stops};

	for (unsigned i = 0; i < ARRAY_SIZE(tries); i++) {
		struct user_machine m;
		enum verdict v;

		REQUIRE(user_open(&m));
		v = tries[i](&m);
		if (v != PASSED)
			return v;
		user_close(&m);
	}
	return PASSED;
}

/* ----------------------------------------------------------- nonsense ---- */

static u64 random_state = 0x9e3779b97f4a7c15ull;

static u32 any(u32 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (u32)(random_state >> 20) % below;
}

/* What is mostly possible, and anything now and then. */
static void spoil(struct user_machine *m)
{
	struct plex86_user *u = m->u;

	for (unsigned i = 0; i < sizeof(m->ram[0]) * 64; i++)
		m->ram[any(4096)] = any(256);
	u->rip = CODE + any(4096);
	u->rflags = any(8) ? any(~0u) & ~FLAG_TF : any(~0u);
	for (unsigned i = 0; i < ARRAY_SIZE(u->gpr); i++)
		u->gpr[i] = any(2) ? DATA + any(4096) : any(~0u);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if (!any(6))
			u->selector[reg] = any(2) ? LDT(any(32)) : any(0x10000);
	for (unsigned i = any(4); i > 0; i--) {
		const u64 descriptor = (u64)any(~0u) << 32 | any(~0u);

		u->ldt[any(32)] = any(2) ? descriptor : FLAT_CODE ^ 1ull << any(64);
	}
	u->ldt_changed = any(~0u);
	u->space = any(8) ? any(4) : any(~0u);
	for (unsigned i = any(8); i > 0 && u->maps < ARRAY_SIZE(u->map); i--)
		map(m, any(3), any(2) ? CODE + (any(64) << 12) : any(~0u), 1 + any(8),
		    any(RAM_BYTES >> 12), any(8));
	if (!any(16))
		u->map[any(ARRAY_SIZE(u->map))].pages = any(~0u);
	u->maps = any(64) ? u->maps % (ARRAY_SIZE(u->map) + 1) : any(~0u);
}

enum verdict case_user_fuzz(void)
{
	const time_t end = time(NULL) + settings.seconds;
	unsigned runs = 0, ran = 0;

	start_interrupting();
	while (time(NULL) < end) {
		struct user_machine m;

		REQUIRE(user_open(&m));
		for (unsigned i = 0; i < 300; i++) {
			int result;

			code(&m, store, 0);
			spoil(&m);
			result = run_once(&m);
			ran += result >= 0;
			runs++;
			REQUIRE(result < 256 || result == PLEX86_USER_STOPPED ||
				result == PLEX86_USER_REFUSED);
			if (result < 0)
				m.u->maps = m.u->space = 0;
		}
		user_close(&m);
	}
	printf("  %u of %u ran\n", ran, runs);
	REQUIRE(ran > runs / 10);
	return PASSED;
}
