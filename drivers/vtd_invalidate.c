/*
 * VT-d: invalidation, by queue where the unit has one, else by registers. Called by vtd.c on any
 * CPU; the unit's lock makes callers take turns.
 */
#include "drivers/vtd.h"
#include "hv/host.h"

/* Descriptor types, low half. */
enum vtd_descriptor {
	DESCRIPTOR_CONTEXT = 1,
	DESCRIPTOR_IOTLB = 2,
	DESCRIPTOR_REMAP = 4,
	DESCRIPTOR_WAIT = 5,
};

/* Of contexts and IOTLB: 1 all, 2 a domain. */
#define GRANULARITY   FIELD(5, 4)
#define DOMAIN	      FIELD(31, 16)
#define DRAIN	      (BIT(6) | BIT(7)) /* IOTLB: writes and reads under way end first */
#define REMAP_INDEXED BIT(4)
#define REMAP_INDEX   FIELD(47, 32)
#define WAIT_STORE    BIT(5) /* writes DONE to the address in the high half */
#define WAIT_DATA     FIELD(63, 32)

enum { SLOTS = PAGE_SIZE / sizeof(struct vtd_pair), SLOT_SHIFT = 4, DONE = 1 };

bool vtd_queue_stop(struct vtd_unit *u)
{
	uint64_t tail;

	if (!(vtd_read(u, VTD_STATUS, 4) & VTD_QUEUE)) {
		return true;
	}
	/* What firmware asked for comes to its end, unless it stands at an error. */
	tail = vtd_read(u, VTD_QUEUE_TAIL, 8);
	if (!(vtd_read(u, VTD_FAULT_STATUS, 4) & VTD_FAULT_QUEUE) &&
	    !vtd_wait(u, VTD_QUEUE_HEAD, 8, FIELD(18, 4), tail & FIELD(18, 4))) {
		return false;
	}
	return vtd_command(u, VTD_QUEUE, false);
}

bool vtd_queue_start(struct vtd_unit *u, struct refusal *r)
{
	hpa_t at;

	if (!(u->ext & VTD_EXT_QUEUE)) {
		return true;
	}
	if (!host_alloc(2 * PAGE_SIZE, PAGE_SIZE, &at)) {
		return refuse(r, "no memory for a VT-d invalidation queue");
	}
	u->queue_at = at;
	u->queue = host_ptr(at);
	u->done = host_ptr(hpa(at.v + PAGE_SIZE));
	u->tail = 0;
	vtd_write(u, VTD_QUEUE_TAIL, 8, 0);
	vtd_write(u, VTD_QUEUE_ADDRESS, 8, at.v); /* 256 descriptors of 128 bits */
	return vtd_command(u, VTD_QUEUE, true) ||
	       refuse(r, "the VT-d unit at 0x%lx does not start its invalidation queue",
		      u->acpi->base.v);
}

/* --- the queue --- */

static void queue_put(struct vtd_unit *u, uint64_t low, uint64_t high)
{
	u->queue[u->tail] = (struct vtd_pair){low, high};
	iommu_flush(&u->queue[u->tail], sizeof(struct vtd_pair));
	u->tail = (u->tail + 1) % SLOTS;
}

static bool is_done(const struct vtd_unit *u)
{
	return __atomic_load_n(u->done, __ATOMIC_ACQUIRE) == DONE;
}

/*
 * Hands over what was put, with a descriptor behind it that reports. The queue is empty when this
 * returns true, so it never runs over.
 */
static bool queue_run(struct vtd_unit *u)
{
	uint64_t limit = host_tsc() + host_tsc_hz;

	__atomic_store_n(u->done, 0, __ATOMIC_RELEASE);
	queue_put(u, DESCRIPTOR_WAIT | WAIT_STORE | field_put(WAIT_DATA, DONE),
		  u->queue_at.v + PAGE_SIZE);
	vtd_write(u, VTD_QUEUE_TAIL, 8, (uint64_t)u->tail << SLOT_SHIFT);
	while (!is_done(u)) {
		if (vtd_read(u, VTD_FAULT_STATUS, 4) & VTD_FAULT_QUEUE || host_tsc() > limit) {
			return is_done(u);
		}
		host_relax();
	}
	return true;
}

/* --- registers --- */

static bool registers_flush(const struct vtd_unit *u)
{
	unsigned iotlb = (unsigned)field_get(VTD_EXT_IOTLB_OFFSET, u->ext) * 16;

	vtd_write(u, VTD_CONTEXT, 8, VTD_CONTEXT_BUSY | VTD_CONTEXT_GLOBAL);
	if (!vtd_wait(u, VTD_CONTEXT, 8, VTD_CONTEXT_BUSY, 0)) {
		return false;
	}
	vtd_write(u, iotlb + VTD_IOTLB_INVALIDATE, 8,
		  VTD_IOTLB_BUSY | VTD_IOTLB_GLOBAL | VTD_IOTLB_DRAIN_READS |
			  VTD_IOTLB_DRAIN_WRITE);
	return vtd_wait(u, iotlb + VTD_IOTLB_INVALIDATE, 8, VTD_IOTLB_BUSY, 0);
}

/* --- both --- */

static bool flush_writes(const struct vtd_unit *u)
{
	return !(u->cap & VTD_CAP_WRITE_BUFFER) || vtd_command(u, VTD_FLUSH_WRITES, true);
}

static void put_iotlb(struct vtd_unit *u, uint16_t domain)
{
	/* Drain bits are reserved where CAPABILITY lacks them. */
	uint64_t drain = field_put(DRAIN, field_get(VTD_CAP_DRAIN, u->cap));

	if (domain) {
		queue_put(u,
			  DESCRIPTOR_IOTLB | field_put(GRANULARITY, 2) | drain |
				  field_put(DOMAIN, domain),
			  0);
	} else {
		queue_put(u, DESCRIPTOR_IOTLB | field_put(GRANULARITY, 1) | drain, 0);
	}
}

static bool flush(struct vtd_unit *u, uint16_t one, uint16_t two, bool all)
{
	bool ok;

	lock_take(&u->lock);
	ok = flush_writes(u);
	if (!u->queue) {
		ok = ok && registers_flush(u);
	} else {
		queue_put(u, DESCRIPTOR_CONTEXT | field_put(GRANULARITY, 1), 0);
		if (all) {
			put_iotlb(u, 0);
		}
		if (one) {
			put_iotlb(u, one);
		}
		if (two && two != one) {
			put_iotlb(u, two);
		}
		ok = queue_run(u) && ok;
	}
	lock_drop(&u->lock);
	return ok;
}

bool vtd_flush_all(struct vtd_unit *u)
{
	return flush(u, 0, 0, true);
}

bool vtd_flush_domains(struct vtd_unit *u, uint16_t one, uint16_t two)
{
	return flush(u, one, two, false);
}

bool vtd_flush_remap(struct vtd_unit *u, uint32_t index)
{
	bool ok;

	lock_take(&u->lock);
	ok = flush_writes(u);
	queue_put(u,
		  DESCRIPTOR_REMAP |
			  (index == UINT32_MAX ? 0 : REMAP_INDEXED | field_put(REMAP_INDEX, index)),
		  0);
	ok = queue_run(u) && ok;
	lock_drop(&u->lock);
	return ok;
}
