/*
 * The yardstick: the buddy allocator of study/zone/mm/linux_2_6/buddy.py in plain C, with the same frames, the
 * same lists and the same order of work, and a replay of a trace of operations.
 *
 *   gcc -O3 -march=native -shared -fPIC -o buddy.so buddy.c
 */
#include <stdint.h>
#include <stdlib.h>

enum { NR_ORDERS = 11, NO_PFN = -1, NONE = 0, BUDDY = 1 };

struct frame {
	int32_t next, prev, owner;
	uint8_t home, order, flags, kind;
};

struct zone {
	struct frame *frame; /* pages, padding to whole top-order blocks, one list head per order */
	int64_t head;
	int64_t free, nr_free[NR_ORDERS];
	int64_t split[NR_ORDERS], formed[NR_ORDERS];
};

static inline void add_free_block(struct zone *z, int64_t pfn, int order)
{
	struct frame *frame = z->frame;
	int64_t head = z->head + order;
	int64_t first = frame[head].next;

	frame[pfn].home = BUDDY;
	frame[pfn].order = order;
	frame[pfn].next = first;
	frame[pfn].prev = head;
	frame[first].prev = pfn;
	frame[head].next = pfn;
	z->nr_free[order]++;
}

static inline void remove_free_block(struct zone *z, int64_t pfn, int order)
{
	struct frame *frame = z->frame;
	int64_t after = frame[pfn].next, before = frame[pfn].prev;

	frame[after].prev = before;
	frame[before].next = after;
	frame[pfn].home = NONE;
	z->nr_free[order]--;
}

static inline int64_t take_block(struct zone *z, int order)
{
	for (int found = order; found < NR_ORDERS; found++) {
		int64_t head = z->head + found;
		int64_t pfn = z->frame[head].next;

		if (pfn == head)
			continue;
		remove_free_block(z, pfn, found);
		while (found > order) {
			z->split[found]++;
			found--;
			add_free_block(z, pfn + ((int64_t)1 << found), found);
		}
		z->frame[pfn].order = order;
		z->free -= (int64_t)1 << order;
		return pfn;
	}
	return NO_PFN;
}

static inline void free_block(struct zone *z, int64_t pfn, int order)
{
	struct frame *frame = z->frame;

	z->free += (int64_t)1 << order;
	while (order < NR_ORDERS - 1) {
		int64_t buddy = pfn ^ ((int64_t)1 << order);

		if (frame[buddy].home != BUDDY || frame[buddy].order != order)
			break;
		remove_free_block(z, buddy, order);
		frame[pfn].home = NONE;
		pfn &= ~((int64_t)1 << order);
		order++;
		z->formed[order]++;
	}
	add_free_block(z, pfn, order);
}

struct zone *make_zone(int64_t pages)
{
	int64_t top = (int64_t)1 << (NR_ORDERS - 1);
	int64_t padded = (pages + top - 1) / top * top;
	struct zone *z = calloc(1, sizeof(*z));

	z->frame = calloc(padded + NR_ORDERS, sizeof(*z->frame));
	z->head = padded;
	for (int order = 0; order < NR_ORDERS; order++)
		z->frame[padded + order].next = z->frame[padded + order].prev = padded + order;
	for (int64_t pfn = 0; pfn < pages; pfn++)
		free_block(z, pfn, 0);
	return z;
}

void drop_zone(struct zone *z)
{
	free(z->frame);
	free(z);
}

/*
 * Replay operations: order >= 0 asks for a block and keeps it in slot[where]; order < 0 frees what
 * lies there, of order ~order, if anything. Returns a number that depends on every pfn given out.
 */
int64_t replay(struct zone *z, int64_t n, const int8_t *order, const int32_t *where, int32_t *slot)
{
	int64_t seen = 0;

	for (int64_t i = 0; i < n; i++) {
		if (order[i] >= 0) {
			int64_t pfn = take_block(z, order[i]);

			slot[where[i]] = pfn;
			seen = seen * 31 + pfn;
		} else if (slot[where[i]] != NO_PFN) {
			free_block(z, slot[where[i]], ~order[i]);
		}
	}
	return seen;
}
