/*
 * A model of a VT-d unit: it executes commands, the invalidation queue and fault records, and walks
 * the tables that the driver made.
 */
#pragma once

#include "drivers/vtd.h"
#include "hv/host.h"
#include "tests/host/iommu_rig.h"

enum { BASE = 0xfed90000, MMIO = 0x90000, FAULTS = 0x220, IOTLB = 0xf0 };

#define CAP                                                                                        \
	(2 | VTD_CAP_PROTECTED | field_put(VTD_CAP_WIDTHS, 6) |                                    \
	 field_put(VTD_CAP_GUEST_ADDRESS, 47) | field_put(VTD_CAP_FAULT_OFFSET, FAULTS / 16) |     \
	 VTD_CAP_2M | VTD_CAP_1G | field_put(VTD_CAP_FAULTS, 1) | VTD_CAP_DRAIN)
#define EXT                                                                                        \
	(VTD_EXT_COHERENT | VTD_EXT_QUEUE | VTD_EXT_REMAP | VTD_EXT_SNOOP |                        \
	 field_put(VTD_EXT_IOTLB_OFFSET, IOTLB / 16))

/* What the unit was told. */
static struct {
	unsigned contexts, iotlbs, remaps, waits, write_flushes, gaps;
	uint64_t domains; /* of selective invalidations, a bit each */
	uint64_t root, remap;
	bool dead;
} told;

static uint64_t reg(unsigned offset, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, fake_host.mmio + MMIO + offset, size);
	return v;
}

static void set(unsigned offset, unsigned size, uint64_t v)
{
	memcpy(fake_host.mmio + MMIO + offset, &v, size);
}

static void command(uint32_t v)
{
	uint32_t status = (uint32_t)reg(VTD_STATUS, 4);

	uint32_t once = VTD_SET_ROOT | VTD_SET_REMAP, changed = (status ^ v) & ~once;

	/* One bit at a time; what is done at once stays as status only. */
	CHECK(__builtin_popcount(changed) + !!(v & once) <= 1);
	told.gaps += (status & VTD_TRANSLATE) && !(v & VTD_TRANSLATE);
	CHECK(!((v & VTD_REMAP) && !(v & VTD_QUEUE)));
	status = (status & (VTD_SET_ROOT | VTD_SET_REMAP)) | (v & ~(uint32_t)VTD_FLUSH_WRITES);
	told.write_flushes += !!(v & VTD_FLUSH_WRITES);
	if (!(v & VTD_QUEUE)) {
		set(VTD_QUEUE_HEAD, 8, 0);
	}
	if (v & VTD_SET_ROOT) {
		told.root = reg(VTD_ROOT_TABLE, 8);
	}
	if (v & VTD_SET_REMAP) {
		told.remap = reg(VTD_REMAP_TABLE, 8);
	}
	set(VTD_STATUS, 4, status);
}

static void descriptor(const struct vtd_pair *d)
{
	switch (d->low & 15) {
	case 1:
		CHECK_EQ(d->low, 0x11); /* all */
		told.contexts++;
		break;
	case 2:
		CHECK_EQ(d->low & 0xc0, 0xc0); /* drain */
		told.iotlbs += field_get(FIELD(5, 4), d->low) == 1;
		if (field_get(FIELD(5, 4), d->low) == 2) {
			told.domains |= BIT(d->low >> 16 & 0x3f);
		}
		break;
	case 4: told.remaps++; break;
	case 5:
		CHECK_EQ(d->low & 0xfff, 0x25);
		told.waits++;
		*(uint32_t *)(uintptr_t)d->high = (uint32_t)(d->low >> 32);
		break;
	default: CHECK(!"a known descriptor");
	}
}

static void queue(uint64_t tail)
{
	const struct vtd_pair *q = (void *)(uintptr_t)(reg(VTD_QUEUE_ADDRESS, 8) & ~PAGE_MASK);

	set(VTD_QUEUE_TAIL, 8, tail);
	if (!(reg(VTD_STATUS, 4) & VTD_QUEUE)) {
		return;
	}
	for (uint64_t head = reg(VTD_QUEUE_HEAD, 8); head != tail; head = (head + 16) % PAGE_SIZE) {
		descriptor(&q[head / 16]);
	}
	set(VTD_QUEUE_HEAD, 8, tail);
}

static bool unit_write(uint64_t at, unsigned size, uint64_t v)
{
	unsigned offset = (unsigned)(at - MMIO);

	if (told.dead) {
		return true;
	}
	switch (offset) {
	case VTD_COMMAND:
		CHECK_EQ(size, 4);
		command((uint32_t)v);
		return true;
	case VTD_QUEUE_TAIL: queue(v); return true;
	case VTD_FAULT_STATUS: set(offset, 4, reg(offset, 4) & ~v & ~2ull); return true;
	case FAULTS + 12:
	case FAULTS + 28: set(offset, 4, reg(offset, 4) & ~v); return true;
	case VTD_CONTEXT:
		CHECK_EQ(v, BIT(63) | BIT(61));
		told.contexts++;
		set(offset, 8, v & ~BIT(63));
		return true;
	case IOTLB + VTD_IOTLB_INVALIDATE:
		CHECK_EQ(v, BIT(63) | BIT(60) | BIT(49) | BIT(48));
		told.iotlbs++;
		set(offset, 8, v & ~BIT(63));
		return true;
	case VTD_PROTECTED: set(offset, 4, v >> 31 ? v | 1 : v & ~1ull); return true;
	default: return false;
	}
}

/* I/O APIC 5; 00:02.0; everything behind 00:1c.0; RMRR for 02:00.0. */
static const uint8_t drhd[] = {0, 0, 40, 0, 0, 0, 0, 0,	   0, 0, 0xd9, 0xfe, 0, 0,
			       0, 0, 3,	 8, 0, 0, 5, 0xff, 0, 0, 1,    8,    0, 0,
			       0, 0, 2,	 0, 2, 8, 0, 0,	   0, 0, 0x1c, 0};
static const uint8_t rmrr[] = {1,    0, 34,   0, 0, 0, 0, 0, 0,	 0x10, 0, 0x7b, 0, 0,	 0, 0, 0xff,
			       0x2f, 0, 0x7b, 0, 0, 0, 0, 1, 10, 0,    0, 0,	0, 0x1c, 0, 0, 0};

static void machine(uint64_t cap, uint64_t ext)
{
	rig_reset("DMAR");
	memset(&told, 0, sizeof(told));
	fake_host.mmio_write = unit_write;
	fake_host.tsc_step = 1000000; /* a second has a thousand readings */
	rig_table[36] = 47;
	rig_table[37] = 1;
	rig_append(drhd, sizeof(drhd));
	rig_append(rmrr, sizeof(rmrr));
	rig_seal();
	set(VTD_VERSION, 4, 0x10);
	set(VTD_CAPABILITY, 8, cap);
	set(VTD_EXTENDED, 8, ext);
}

static void start(uint64_t cap, uint64_t ext)
{
	machine(cap, ext);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK_STR(why.text, "");
	CHECK(iommu == &vtd_ops);
	CHECK(iommu->enable(&why));
	CHECK_STR(why.text, "");
}

static const struct vtd_pair *context(uint16_t bdf)
{
	const struct vtd_pair *root = (void *)(uintptr_t)told.root;

	if (!(root[bdf >> 8].low & 1)) {
		return NULL;
	}
	CHECK_EQ(root[bdf >> 8].low & PAGE_MASK, 1);
	return (const struct vtd_pair *)(uintptr_t)(root[bdf >> 8].low - 1) + (bdf & 0xff);
}

/* The unit's walk: 0 is blocked, else the host address and, in bit 0, that it may write. */
static uint64_t walk(uint16_t bdf, uint64_t at)
{
	const struct vtd_pair *c = context(bdf);
	unsigned level = c ? (unsigned)(c->high & 7) + 2 : 0;
	uint64_t e = c ? c->low : 0;

	if (!(e & 1)) {
		return 0;
	}
	CHECK_EQ(e & PAGE_MASK, 1); /* translation type 0 */
	while (level--) {
		unsigned shift = 12 + 9 * level;

		e = ((const uint64_t *)(uintptr_t)(e & FIELD(51, 12)))[at >> shift & 511];
		if (!(e & 1)) {
			return 0;
		}
		if (!level || e & BIT(7)) {
			CHECK(e & BIT(11)); /* snooped */
			return (e & FIELD(51, 12)) + (at & (BIT(shift) - 1) & ~PAGE_MASK) +
			       (e >> 1 & 1);
		}
	}
	return 0;
}

static struct iommu_domain *domain_of(const struct addrspace *as)
{
	struct iommu_domain *d = NULL;

	CHECK(iommu->domain_create(as, &d, &why));
	CHECK_STR(why.text, "");
	return d;
}
