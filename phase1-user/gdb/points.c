/*
 * The debugger's breakpoints and watch points: see points.h.
 */
#include "points.h"

static bool is_break(const struct gdb_point *point)
{
	return point->type == GDB_SOFTWARE_BREAK || point->type == GDB_HARDWARE_BREAK;
}

const char *gdb_points_refusal(const struct gdb_point *point)
{
	if (is_break(point))
		return NULL;
	if (!point->len || point->len > DEBUG_POINT_MAX)
		return "a watch point has 1 to 4096 bytes";
	if (point->len - 1 > UINT32_MAX - point->la)
		return "a watch point cannot go beyond 4 GiB";
	return NULL;
}

/* Its place in the list, or `count`. */
static u32 find(const struct gdb_points *points, const struct gdb_point *point)
{
	u32 i;

	for (i = 0; i < points->count; i++) {
		const struct gdb_point *other = &points->point[i];

		if (other->type == point->type && other->la == point->la &&
		    (is_break(point) || other->len == point->len))
			break;
	}
	return i;
}

bool gdb_points_set(struct gdb_points *points, const struct gdb_point *point)
{
	if (find(points, point) < points->count)
		return true;
	if (points->count == DEBUG_POINTS)
		return false;
	points->point[points->count++] = *point;
	return true;
}

void gdb_points_clear(struct gdb_points *points, const struct gdb_point *point)
{
	const u32 i = find(points, point);

	if (i < points->count)
		points->point[i] = points->point[--points->count];
}

void gdb_points_request(const struct gdb_points *points, bool step, struct debug_request *request)
{
	static const u8 kinds[GDB_POINT_TYPES] = {
		[GDB_SOFTWARE_BREAK] = DEBUG_EXEC,
		[GDB_HARDWARE_BREAK] = DEBUG_EXEC,
		[GDB_WATCH_WRITE] = DEBUG_WRITE,
		[GDB_WATCH_READ] = DEBUG_READ,
		[GDB_WATCH_ACCESS] = DEBUG_READ | DEBUG_WRITE,
	};

	*request = (struct debug_request){.step = step, .count = points->count};
	for (u32 i = 0; i < points->count; i++) {
		const struct gdb_point *point = &points->point[i];

		request->point[i] = (struct debug_point){
			.la = point->la,
			.len = is_break(point) ? 1 : point->len,
			.kind = kinds[point->type],
		};
	}
}

/* What the core stopped for: it says where. */
static const struct gdb_point *stopped_at(const struct gdb_points *points, bool at_break,
					  u64 address)
{
	for (u32 i = 0; i < points->count; i++) {
		const struct gdb_point *point = &points->point[i];

		if (is_break(point) != at_break)
			continue;
		if (address >= point->la && address - point->la < (at_break ? 1 : point->len))
			return point;
	}
	return NULL;
}

void gdb_points_reason(const struct gdb_points *points, const struct vm_exit *exit,
		       struct gdb_text *reply)
{
	static const char *const words[GDB_POINT_TYPES] = {"swbreak", "hwbreak", "watch", "rwatch",
							   "awatch"};
	const bool at_break = exit->debug.reason == DEBUG_STOP_BREAK;
	const struct gdb_point *point;

	if (!at_break && exit->debug.reason != DEBUG_STOP_WATCH)
		return;
	point = stopped_at(points, at_break, exit->debug.address);
	if (!point)
		return;
	if (at_break)
		gdb_print(reply, "%s:;", words[point->type]);
	else
		gdb_print(reply, "%s:%llx;", words[point->type],
			  (unsigned long long)exit->debug.address);
}
