/*
 * The address bus of a partition: see bus.h. Pure; read-only after set-up, so it takes no lock.
 *
 * An access that one claim takes whole, nearly every one, costs a look-up and the call.
 */
#include "hv/bus.h"

/* The number of claims that begin at or below addr. */
static inline unsigned claims_up_to(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->count;

	if (__builtin_expect(addr < BUS_LOW_BLOCKS * BUS_BLOCK, 1)) {
		low = bus->begun[addr / BUS_BLOCK];
		while (low && bus->claim[low - 1].base > addr) {
			low--;
		}
		return low;
	}
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (bus->claim[middle].base <= addr) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low;
}

/* Last addresses instead of ends: the end of a claim at the very top would be 0. */
static inline uint64_t last(const struct bus_claim *c)
{
	return c->base + (c->size - 1);
}

static bool refuse_overlap(struct refusal *r, const struct bus_claim *c, const struct bus_claim *by)
{
	return refuse(r, "%s at 0x%lx-0x%lx overlaps %s at 0x%lx-0x%lx", c->ops->name, c->base,
		      last(c), by->ops->name, by->base, last(by));
}

bool bus_claim(struct bus *bus, const struct bus_claim *c, struct refusal *r)
{
	unsigned at;

	if (!c->size || last(c) < c->base) {
		return refuse(r, "%s at 0x%lx: a claim of 0x%lx bytes is empty or wraps",
			      c->ops->name, c->base, c->size);
	}
	if (c->width != 1 && c->width != 2 && c->width != 4 && c->width != 8) {
		return refuse(r, "%s: width %u is not 1, 2, 4 or 8", c->ops->name, c->width);
	}
	at = claims_up_to(bus, c->base);
	if (at > 0 && last(&bus->claim[at - 1]) >= c->base) {
		return refuse_overlap(r, c, &bus->claim[at - 1]);
	}
	if (at < bus->count && bus->claim[at].base <= last(c)) {
		return refuse_overlap(r, c, &bus->claim[at]);
	}
	if (bus->count == BUS_CLAIMS) {
		return refuse(r, "%s at 0x%lx: all %u claims of the bus are taken", c->ops->name,
			      c->base, BUS_CLAIMS);
	}
	for (unsigned i = bus->count; i > at; i--) {
		bus->claim[i] = bus->claim[i - 1];
	}
	bus->claim[at] = *c;
	bus->count++;
	for (uint64_t i = c->base / BUS_BLOCK; i < BUS_LOW_BLOCKS; i++) {
		bus->begun[i]++;
	}
	return true;
}

const struct bus_claim *bus_find(const struct bus *bus, uint64_t addr)
{
	unsigned at = claims_up_to(bus, addr);
	const struct bus_claim *c;

	if (!at) {
		return NULL;
	}
	c = &bus->claim[at - 1];
	return addr - c->base < c->size ? c : NULL;
}

static uint64_t value_mask(unsigned size)
{
	return size >= 8 ? ~0ull : BIT(8 * size) - 1;
}

/* One access that a claim takes whole. */
static inline void access_claim(const struct bus_claim *c, uint64_t addr, struct bus_access *a)
{
	a->offset = addr - c->base;
	if (a->write) {
		a->value &= value_mask(a->size);
	}
	c->ops->access(c->dev, a);
	a->value &= value_mask(a->size);
}

/* The largest naturally aligned part at addr that fits the bytes left, the width and the claim. */
static uint8_t part_size(const struct bus_claim *c, uint64_t addr, unsigned left)
{
	unsigned size = c->width;

	while (size > left || (addr & (size - 1)) || size - 1 > last(c) - addr) {
		size /= 2;
	}
	return (uint8_t)size;
}

static __attribute__((noinline)) bool access_parts(struct bus *bus, uint64_t addr,
						   struct bus_access *a)
{
	uint64_t value = a->write ? 0 : value_mask(a->size);
	bool claimed = false;
	uint8_t size;

	for (unsigned done = 0; done < a->size && addr + done >= addr; done += size) {
		const struct bus_claim *c = bus_find(bus, addr + done);
		struct bus_access part = *a;

		size = 1;
		if (!c) {
			continue;
		}
		size = part_size(c, addr + done, a->size - done);
		part.size = size;
		part.value = a->value >> (8 * done);
		access_claim(c, addr + done, &part);
		if (!a->write) {
			value &= ~(value_mask(size) << (8 * done));
			value |= part.value << (8 * done);
		}
		claimed = true;
	}
	if (!a->write) {
		a->value = value;
	}
	return claimed;
}

bool bus_access(struct bus *bus, uint64_t addr, struct bus_access *a)
{
	const struct bus_claim *c = bus_find(bus, addr);

	if (c && a->size <= c->width && a->size - 1u <= last(c) - addr) {
		access_claim(c, addr, a);
		return true;
	}
	return access_parts(bus, addr, a);
}
