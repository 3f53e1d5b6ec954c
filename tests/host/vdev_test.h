/*
 * What the tests of devices share: port accesses as a driver writes them, a recorder of interrupt
 * edges, and random numbers for hostile guests.
 */
#pragma once

#include "hv/bus.h"
#include "tests/host/test.h"

enum { VDEV_TEST_GSIS = 24 };

/* The lines as the sink has them, and how often each rose. */
struct edges {
	bool level[VDEV_TEST_GSIS];
	unsigned rises[VDEV_TEST_GSIS];
	unsigned repeats; /* set to the level that it had: a device must not do that */
};

static inline void edges_set(void *ctx, unsigned gsi, bool level)
{
	struct edges *e = ctx;

	e->repeats += e->level[gsi] == level;
	e->rises[gsi] += level && !e->level[gsi];
	e->level[gsi] = level;
}

static inline struct irq_sink edges_sink(struct edges *e)
{
	return (struct irq_sink){.set = edges_set, .ctx = e};
}

/* The device time of the test, host TSC. */
static uint64_t test_now;

static inline uint64_t vdev_read(const struct vdev_ops *ops, void *dev, uint64_t offset,
				 unsigned size)
{
	struct bus_access a = {.offset = offset, .now = test_now, .size = (uint8_t)size};

	ops->access(dev, &a);
	return size == 8 ? a.value : a.value & ((1ull << 8 * size) - 1);
}

static inline void vdev_write(const struct vdev_ops *ops, void *dev, uint64_t offset, unsigned size,
			      uint64_t value)
{
	struct bus_access a = {.offset = offset,
			       .value = value,
			       .now = test_now,
			       .size = (uint8_t)size,
			       .write = true};

	ops->access(dev, &a);
}

static inline uint64_t test_random(void)
{
	static uint64_t state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* One access of any size and offset, as a bus that has gone mad would make it. */
static inline void vdev_hostile(const struct vdev_ops *ops, void *dev)
{
	uint64_t r = test_random();
	unsigned size = 1u << (r & 3);

	if (r & 4) {
		vdev_write(ops, dev, r >> 8 & 0xfff, size, test_random());
	} else {
		vdev_read(ops, dev, r >> 8 & 0xfff, size);
	}
}
