/*
 * The address bus of a partition: see bus.h. Pure; read-only after set-up, so it takes no lock.
 */
#include "hv/bus.h"

/* The number of claims that begin at or below addr. */
static unsigned claims_up_to(const struct bus *bus, uint64_t addr)
{
	unsigned low = 0, high = bus->count;

	if (high && addr >= bus->claim[high - 1].base) {
		return high; /* as for most ports that are nobody's */
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

static void enter_low(struct bus *bus)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_claim *c = &bus->claim[i];

		for (uint64_t at = c->base; at < BUS_LOW && at <= last(c); at++) {
			bus->low[at] = (uint8_t)(i + 1);
		}
	}
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
	enter_low(bus);
	return true;
}

const struct bus_claim *bus_find(const struct bus *bus, uint64_t addr)
{
	const struct bus_claim *c;
	unsigned at;

	if (addr < BUS_LOW) {
		return bus_find_low(bus, addr);
	}
	at = claims_up_to(bus, addr);
	if (!at) {
		return NULL;
	}
	c = &bus->claim[at - 1];
	return addr - c->base < c->size ? c : NULL;
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

static NOINLINE bool access_parts(struct bus *bus, uint64_t addr, struct bus_access *a)
{
	uint64_t value = a->write ? 0 : bus_mask(a->size);
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
		bus_claim_access(c, addr + done, &part);
		if (!a->write) {
			value &= ~(bus_mask(size) << (8 * done));
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

	if (c && bus_claim_takes(c, addr, a->size)) {
		bus_claim_access(c, addr, a);
		return true;
	}
	return access_parts(bus, addr, a);
}
