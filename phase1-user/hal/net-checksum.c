/*
 * The Internet checksum: see net-checksum.h.
 */
#include "net-checksum.h"

#include <string.h>

/* In host byte order: the sum is the same but for the order of its own bytes. */
static u16 sum(const u8 *data, size_t len)
{
	u64 total = 0;
	u32 word;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		total += word;
	}
	word = 0;
	memcpy(&word, data, len);
	total += word;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

void net_checksum_complete(u8 *frame, size_t len, size_t start, size_t offset)
{
	u16 checksum = ~sum(frame + start, len - start);

	/* Zero would tell a UDP receiver that there is none; all ones is the same number. */
	if (!checksum)
		checksum = 0xffff;
	memcpy(frame + start + offset, &checksum, sizeof(checksum));
}
