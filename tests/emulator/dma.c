/*
 * A guest whose kernel runs what a disk has put where other code was. Its command line names the
 * disk: virtio   whose requests are served by other processes, as DMA is ata      whose sectors the
 * kernel reads from a port, with string I/O The disk has BLOCKS blocks of two pages of code, each
 * piece of which tells where it is.
 */
#include "guest.h"

#define BLOCKS	8
#define ROUNDS	60
#define SECTORS 16u /* of a block */
#define CODE_VA (WINDOW + 0x10000)
#define USER_VA (WINDOW + 0x20000) /* the same frames for user code */
#define MMIO_VA (WINDOW + 0x40000)
#define MMIO	0xd0000000u

#define FIRST	     5u /* one piece lies over the end of the first page */
#define PIECE	     8u /* movl $BLOCK << 16 | OFFSET, %eax; ret */
#define LAST	     (2 * PAGE - 2 * PIECE)
#define VALUE(n, at) ((n) << 16 | (at))

static u32 frame[2]; /* they are apart */

UCODE(u_store, "", "movl %ecx, (%ebx)");

/* ---- virtio over MMIO, version 2; one queue, one request at a time (virtio 1.2, 2.7, 4.2.2, 5.2)
 */
enum {
	REG_MAGIC = 0x000,
	REG_FEATURES = 0x020,
	REG_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_NOTIFY = 0x050,
	REG_STATUS = 0x070,
	REG_DESC = 0x080,
	REG_AVAIL = 0x090,
	REG_USED = 0x0a0,
};
#define MAGIC	     0x74726976u
#define ACKNOWLEDGED 3u /* and DRIVER */
#define FEATURES_OK  8u
#define DRIVER_OK    4u
#define QUEUE_SIZE   4u
#define DESC_NEXT    1u
#define DESC_WRITE   2u

struct desc {
	u64 address;
	u32 length;
	u16 flags, next;
};
struct ring {
	u16 flags, index;
	u16 entry[QUEUE_SIZE];
};
struct request {
	u32 type, reserved;
	u64 sector;
	u8 status;
};
static struct desc *desc;
static volatile struct ring *avail, *used;
static volatile struct request *request;

static void reg(u32 at, u32 value)
{
	*(volatile u32 *)(MMIO_VA + at) = value;
}

static void virtio_start(void)
{
	const u32 page = page_alloc();

	desc = (struct desc *)page;
	avail = (struct ring *)(page + 0x100);
	used = (struct ring *)(page + 0x200);
	request = (struct request *)(page + 0x300);
	*pte_of(MMIO_VA) = MMIO | PTE_P | PTE_W;
	invlpg(MMIO_VA);
	check(*(volatile u32 *)(MMIO_VA + REG_MAGIC) == MAGIC, "the disk is there");
	reg(REG_STATUS, ACKNOWLEDGED);
	reg(REG_FEATURES_SEL, 1);
	reg(REG_FEATURES, 1); /* VERSION_1 */
	reg(REG_STATUS, ACKNOWLEDGED | FEATURES_OK);
	reg(REG_QUEUE_SEL, 0);
	reg(REG_QUEUE_NUM, QUEUE_SIZE);
	reg(REG_DESC, (u32)desc);
	reg(REG_AVAIL, (u32)avail);
	reg(REG_USED, (u32)used);
	reg(REG_QUEUE_READY, 1);
	reg(REG_STATUS, ACKNOWLEDGED | FEATURES_OK | DRIVER_OK);
	desc[0] = (struct desc){(u32)request, 16, DESC_NEXT, 1};
	desc[1] = (struct desc){frame[0], PAGE, DESC_NEXT | DESC_WRITE, 2};
	desc[2] = (struct desc){frame[1], PAGE, DESC_NEXT | DESC_WRITE, 3};
	desc[3] = (struct desc){(u32)&request->status, 1, DESC_WRITE, 0};
}

static bool virtio_read(u32 sector)
{
	const u16 done = used->index + 1;

	request->sector = sector;
	request->status = 0xff;
	avail->entry[avail->index % QUEUE_SIZE] = 0;
	avail->index++;
	reg(REG_NOTIFY, 0);
	while (used->index != done)
		;
	return request->status == 0;
}

/* ---- ATA, by PIO (ATA-6: READ SECTORS) */
#define ATA_DATA    0x1f0
#define ATA_COUNT   0x1f2
#define ATA_LBA	    0x1f3 /* and two more */
#define ATA_DEVICE  0x1f6
#define ATA_COMMAND 0x1f7
#define ATA_READ    0x20
#define ATA_LBA28   0xe0
#define ATA_BSY	    0x80
#define ATA_DRQ	    0x08
#define ATA_ERR	    0x01

static bool ata_read(u32 sector)
{
	u32 edi = CODE_VA, ecx;
	u8 status;

	outb(ATA_DEVICE, ATA_LBA28);
	outb(ATA_COUNT, SECTORS);
	for (u32 i = 0; i < 3; i++)
		outb(ATA_LBA + i, sector >> 8 * i);
	outb(ATA_COMMAND, ATA_READ);
	for (u32 i = 0; i < SECTORS; i++) {
		do
			status = inb(ATA_COMMAND);
		while (status & ATA_BSY);
		if ((status & (ATA_DRQ | ATA_ERR)) != ATA_DRQ)
			return false;
		ecx = 256;
		asm volatile("cld; rep insw" : "+D"(edi), "+c"(ecx) : "d"(ATA_DATA) : "memory");
	}
	return true;
}

/* ---- */
static u32 call(u32 address)
{
	return ((u32(*)(void))address)();
}

static u32 run_all(u32 n)
{
	u32 wrong = 0;

	for (u32 at = FIRST; at <= LAST; at += PIECE)
		wrong += call(CODE_VA + at) != VALUE(n, at);
	return wrong;
}

/* User code changes a piece in between, which the disk overwrites again. */
static u32 change_one(u32 at)
{
	struct user_state s = user_state(u_store);

	s.ebx = USER_VA + at + 1;
	s.ecx = 86;
	return run_user_state(&s) != VEC_DONE || call(CODE_VA + at) != 86;
}

static bool wants(const char *word)
{
	extern u32 boot_info;
	const char *text = (const char *)((u32 *)boot_info)[4];

	while (*word && *text == *word)
		text++, word++;
	return !*word && !*text;
}

void guest_main(void)
{
	const bool ata = wants("ata");
	u32 wrong = 0, failed = 0;

	paging_init();
	frame[0] = page_alloc();
	page_alloc();
	frame[1] = page_alloc();
	for (u32 i = 0; i < 2; i++) {
		*pte_of(CODE_VA + i * PAGE) = frame[i] | PTE_P | PTE_W;
		*pte_of(USER_VA + i * PAGE) = frame[i] | PTE_P | PTE_W | PTE_U;
	}
	tlb_flush();
	if (!ata)
		virtio_start();
	for (u32 round = 0; round < ROUNDS; round++) {
		const u32 n = round % BLOCKS;

		failed += !(ata ? ata_read : virtio_read)(n * SECTORS);
		wrong += run_all(n);
		wrong += change_one(FIRST + round * 131 % (LAST / PIECE) * PIECE);
	}
	print("%u blocks, failed %u, wrong %u\n", ROUNDS, failed, wrong);
	/* A PC's COM1 is not the console: there the status is all that tells. */
	guest_exit(failed || wrong ? 1 : 42);
}
