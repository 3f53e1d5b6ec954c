/*
 * The address bus of a partition: who answers at a port or at an MMIO address.
 *
 * Called by exit.c for port I/O and by emulate.c for MMIO; filled once by pc.c and partition.c.
 * Owner of the state: the partition. After set-up a bus is read-only, so any vCPU may look up.
 */
#pragma once

#include "hv/refuse.h"
#include "hv/types.h"

/* One access of 1, 2, 4 or 8 bytes. A device sets `value` on a read (bits above `size` are cut). */
struct bus_access {
	uint64_t offset; /* from the base of the claim */
	uint64_t value;	 /* written, or read back */
	uint64_t now;	 /* host TSC, for devices that are `timed` */
	uint8_t size;	 /* bytes */
	bool write;
};

/* An emulated device: state and rules, no hardware. `dev` is the device's own struct. */
struct vdev_ops {
	const char *name;
	bool timed; /* an access looks at the time, or may move the device's deadline */
	void (*access)(void *dev, struct bus_access *a);
};

/* Where interrupt lines of a device go: GSI numbers (ISA IRQ n is GSI n before overrides). */
struct irq_sink {
	void (*set)(void *ctx, unsigned gsi, bool level);
	void *ctx;
};

static inline void irq_set(const struct irq_sink *s, unsigned gsi, bool level)
{
	s->set(s->ctx, gsi, level);
}

struct bus_claim {
	uint64_t base;
	uint64_t size; /* bytes, not 0; base + size does not wrap */
	const struct vdev_ops *ops;
	void *dev;
	uint8_t width; /* widest access the device takes: 1, 2, 4 or 8; wider ones are split */
};

enum { BUS_CLAIMS = 48, BUS_LOW = 0x1000 };

struct bus {
	struct bus_claim claim[BUS_CLAIMS]; /* sorted by base, without overlap */
	unsigned count;
	/* Who holds a low address, where nearly all ports are: 1 + index of the claim, 0: nobody.
	 */
	uint8_t low[BUS_LOW];
};

/*
 * Adds a claim. Refuses overlap (naming both devices), emptiness, wrap, a width that is none of the
 * four, and a full table.
 */
bool bus_claim(struct bus *bus, const struct bus_claim *c, struct refusal *r);

/* The claim that holds addr, or NULL. */
const struct bus_claim *bus_find(const struct bus *bus, uint64_t addr);

/* The same for nearly all ports that a guest uses, and for the I/O APIC; NULL also for others. */
static inline const struct bus_claim *bus_find_low(const struct bus *bus, uint64_t addr)
{
	unsigned n = addr < BUS_LOW ? bus->low[addr] : 0;

	return n ? &bus->claim[n - 1] : NULL;
}
static inline const struct bus_claim *bus_find_last(const struct bus *bus, uint64_t addr)
{
	const struct bus_claim *c = bus->count ? &bus->claim[bus->count - 1] : NULL;

	return c && addr - c->base < c->size ? c : NULL;
}

/* The bits of an access of 1, 2, 4 or 8 bytes. */
static inline uint64_t bus_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

/* Does claim c, which holds addr, take an access of `size` bytes there whole? */
static inline bool bus_claim_takes(const struct bus_claim *c, uint64_t addr, unsigned size)
{
	return size <= c->width && size - 1 <= c->base + (c->size - 1) - addr;
}

/* Carries out one access that a claim takes whole: what nearly every one is. */
static inline void bus_claim_access(const struct bus_claim *c, uint64_t addr, struct bus_access *a)
{
	a->offset = addr - c->base;
	if (a->write) {
		a->value &= bus_mask(a->size);
		c->ops->access(c->dev, a);
	} else {
		c->ops->access(c->dev, a);
		a->value &= bus_mask(a->size);
	}
}

/*
 * Carries out one access at addr (a->offset is set from it). Wider accesses than the claim's width,
 * and accesses that straddle claims, are split into naturally ordered parts, low address first, as
 * the chipset does. Bytes that nobody claims read as ones and swallow writes.
 * Returns false if no byte of the access was claimed.
 */
bool bus_access(struct bus *bus, uint64_t addr, struct bus_access *a);
