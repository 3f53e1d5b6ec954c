/*
 * Routing of interrupt messages to the LAPICs of a partition (Intel SDM vol. 3, "Determining IPI
 * Destination" and "x2APIC ... Logical Destination Mode").
 *
 * Callers: ICR writes, the IOAPIC and MSIs, on any CPU and without a lock: the table is constant
 * once the partition is built, targets are judged by their published identity, and delivery is
 * posting.
 */
#include "hv/vdev/vlapic_regs.h"

enum { BROADCAST_XAPIC = 0xff };
#define BROADCAST_X2APIC 0xffffffffu

/* --- who is addressed --- */

static uint64_t everybody(const struct apic_bus *bus)
{
	return bus->count ? ~0ull >> (64 - bus->count) : 0;
}

/* The xAPIC id is the low 8 bits of the id. */
static bool has_id(const struct vlapic *t, uint32_t id)
{
	return t->apic_id == id || (!vlapic_x2apic(t) && (t->apic_id & 0xff) == id);
}

/* Ids are indices unless somebody chose otherwise, so the first guess nearly always hits. */
static uint64_t physical_targets(const struct apic_bus *bus, uint32_t id)
{
	if (id < bus->count && bus->lapic[id]->apic_id == id) {
		return BIT(id);
	}
	for (unsigned i = 0; i < bus->count; i++) {
		if (has_id(bus->lapic[i], id)) {
			return BIT(i);
		}
	}
	return 0;
}

/* Cluster in 31:16, one bit per LAPIC in 15:0; the id is the cluster times 16 plus the bit. */
static uint64_t x2apic_logical_targets(const struct apic_bus *bus, uint32_t dest)
{
	uint64_t targets = 0;

	for (uint32_t bits = dest & 0xffff; bits; bits &= bits - 1) {
		uint32_t id = dest >> 16 << 4 | (uint32_t)__builtin_ctz(bits);
		uint64_t target = physical_targets(bus, id);

		if (target && vlapic_x2apic(bus->lapic[__builtin_ctzll(target)])) {
			targets |= target;
		}
	}
	return targets;
}

/* The Message Destination Address against LDR, by the model in DFR. */
static bool is_in_logical(const struct vlapic *t, uint32_t mda)
{
	uint32_t ldr;

	if (vlapic_x2apic(t)) {
		return t->apic_id < 16 && (mda >> t->apic_id & 1);
	}
	ldr = atomic_load_explicit(&t->ldr, memory_order_relaxed) >> 24;
	switch (atomic_load_explicit(&t->dfr, memory_order_relaxed) >> 28) {
	case 0xf: return ldr & mda;
	case 0: return ldr >> 4 == mda >> 4 && (ldr & mda & 0xf);
	default: return false; /* a model that does not exist */
	}
}

static uint64_t xapic_logical_targets(const struct apic_bus *bus, uint32_t mda)
{
	uint64_t targets = 0;

	for (unsigned i = 0; i < bus->count; i++) {
		if (is_in_logical(bus->lapic[i], mda)) {
			targets |= BIT(i);
		}
	}
	return targets;
}

uint64_t apic_bus_targets(const struct apic_bus *bus, const struct apic_message *m)
{
	uint32_t dest = m->x2apic ? m->dest : m->dest & 0xff;

	if (dest == (m->x2apic ? BROADCAST_X2APIC : BROADCAST_XAPIC)) {
		return everybody(bus);
	}
	if (!m->logical) {
		return physical_targets(bus, dest);
	}
	return m->x2apic ? x2apic_logical_targets(bus, dest) : xapic_logical_targets(bus, dest);
}

/* --- delivery --- */

static bool deliver_one(struct apic_bus *bus, struct vlapic *t, const struct apic_message *m)
{
	if (!vlapic_hardware_enabled(t)) {
		return false;
	}
	switch (m->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!vlapic_software_enabled(t)) {
			return false;
		}
		vlapic_accept(t, m->vector, m->level);
		return m->vector >= VECTOR_LEGAL;
	case APIC_NMI: bus->nmi(bus->ctx, t->index); return true;
	case APIC_INIT: bus->init(bus->ctx, t->index); return true;
	case APIC_SIPI: bus->sipi(bus->ctx, t->index, m->vector); return true;
	case APIC_EXTINT:
		if (bus->extint) {
			bus->extint(bus->ctx, t->index);
		}
		return bus->extint;
	default: return false; /* a guest has no SMM */
	}
}

/*
 * One of the candidates that take vectors, each in turn. Two CPUs that choose at once may choose
 * the same one; that costs fairness, not an interrupt.
 */
static uint64_t choose_lowest(struct apic_bus *bus, uint64_t candidates)
{
	uint32_t start = atomic_load_explicit(&bus->lowest_priority_next, memory_order_relaxed);
	uint64_t takers = 0, later;
	unsigned chosen;

	for (uint64_t left = candidates; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctzll(left);

		takers |= vlapic_software_enabled(bus->lapic[i]) ? BIT(i) : 0;
	}
	if (!takers) {
		return 0;
	}
	later = takers & (~0ull << (start & 63));
	chosen = (unsigned)__builtin_ctzll(later ? later : takers);
	atomic_store_explicit(&bus->lowest_priority_next, chosen + 1, memory_order_relaxed);
	return BIT(chosen);
}

bool apic_bus_deliver(struct apic_bus *bus, uint64_t targets, const struct apic_message *m)
{
	bool accepted = false;

	if (m->delivery == APIC_LOWEST) {
		targets = choose_lowest(bus, targets);
	}
	for (; targets; targets &= targets - 1) {
		accepted |= deliver_one(bus, bus->lapic[__builtin_ctzll(targets)], m);
	}
	return accepted;
}

bool apic_bus_send(struct apic_bus *bus, const struct apic_message *m)
{
	return apic_bus_deliver(bus, apic_bus_targets(bus, m), m);
}
