/*
 * A model of an AMD-Vi unit: it executes commands, and walks the tables that the driver made.
 */
#pragma once

#include "drivers/amdvi.h"
#include "hv/host.h"
#include "tests/host/iommu_rig.h"

enum { BASE = 0xfed80000, MMIO = 0x80000, IOAPIC_BDF = 0xa0, UNIT_BDF = 0x10 };

/* What the unit was told. */
static struct {
	unsigned all, devices, interrupts, waits;
	uint64_t domains; /* a bit each */
	uint16_t last_device, last_interrupts;
	bool stuck; /* takes commands no more */
} told;

static struct fake_function *function; /* the unit's, with MSI at 0x50 */

static uint64_t reg(unsigned offset)
{
	uint64_t v;

	memcpy(&v, fake_host.mmio + MMIO + offset, 8);
	return v;
}

static void set(unsigned offset, uint64_t v)
{
	memcpy(fake_host.mmio + MMIO + offset, &v, 8);
}

static void command(const struct amdvi_pair *c)
{
	switch (c->low >> 60) {
	case 1:
		CHECK_EQ(c->low & 7, 1);
		told.waits++;
		*(uint64_t *)(uintptr_t)(c->low & FIELD(51, 3)) = c->high;
		break;
	case 2:
		told.devices++;
		told.last_device = (uint16_t)c->low;
		break;
	case 3:
		CHECK_EQ(c->high, 0x7ffffffffffff003);
		told.domains |= BIT(c->low >> 32 & 0x3f);
		break;
	case 5:
		told.interrupts++;
		told.last_interrupts = (uint16_t)c->low;
		break;
	case 8: told.all++; break;
	default: CHECK(!"a known command");
	}
}

static bool unit_write(uint64_t at, unsigned size, uint64_t v)
{
	const struct amdvi_pair *buffer = (void *)(uintptr_t)(reg(AMDVI_COMMANDS) & FIELD(51, 12));

	CHECK_EQ(size, 8);
	switch ((unsigned)(at - MMIO)) {
	case AMDVI_CONTROL:
		set(AMDVI_CONTROL, v);
		set(AMDVI_STATUS, (reg(AMDVI_STATUS) & 7) | (v & BIT(12) ? BIT(4) : 0) |
					  (v & BIT(2) ? BIT(3) : 0));
		return true;
	case AMDVI_DEVICE_TABLE:
	case AMDVI_COMMANDS:
	case AMDVI_EVENTS:
		/* Only while nothing runs that reads it. */
		CHECK(!(reg(AMDVI_CONTROL) & (AMDVI_ON | AMDVI_COMMAND_BUFFER | AMDVI_EVENT_LOG)) ||
		      (at - MMIO == AMDVI_EVENTS && !(reg(AMDVI_CONTROL) & AMDVI_EVENT_LOG)));
		return false;
	case AMDVI_STATUS: set(AMDVI_STATUS, reg(AMDVI_STATUS) & ~(v & 7)); return true;
	case AMDVI_COMMAND_TAIL:
		set(AMDVI_COMMAND_TAIL, v);
		while (!told.stuck && (reg(AMDVI_CONTROL) & AMDVI_COMMAND_BUFFER) &&
		       reg(AMDVI_COMMAND_HEAD) != v) {
			command(&buffer[reg(AMDVI_COMMAND_HEAD) / 16]);
			set(AMDVI_COMMAND_HEAD, (reg(AMDVI_COMMAND_HEAD) + 16) % PAGE_SIZE);
		}
		return true;
	default: return false;
	}
}

/* 00:02.0 is the unit; 00:03.0; 02:00.0-02:ff.7; 03:01.0 sends as 03:00.0; I/O APIC 5. */
static const uint8_t ivhd[] = {
	0x10, 0, 52, 0, UNIT_BDF, 0, 0x40, 0, 0, 0, 0xd8,	0xfe,	    0, 0, 0,	0, 0, 0,  0,
	0,    0, 0,  0, 0,	  2, 0x18, 0, 0, 3, 0,		2,	    0, 4, 0xff, 2, 0, 66, 8,
	3,    0, 0,  0, 3,	  0, 72,   0, 0, 0, RIG_IOAPIC, IOAPIC_BDF, 0, 1};
static const uint8_t ivmd[] = {0x21, 7, 32, 0,	  0x00, 0x02, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0,
			       0,    0, 0,  0x7c, 0,	0,    0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0};

static void machine(uint64_t ext)
{
	rig_reset("IVRS");
	memset(&told, 0, sizeof(told));
	function = fake_pci_add(UNIT_BDF, 0x12341022, 0x08060000);
	fake_host.mmio_write = unit_write;
	fake_host.tsc_step = 1000000;
	rig_append(ivhd, sizeof(ivhd));
	rig_append(ivmd, sizeof(ivmd));
	rig_seal();
	set(AMDVI_EXTENDED, ext);
}

static void start(void)
{
	machine(AMDVI_EXT_ALL);
	CHECK(iommu_probe(&rig_machine, &why));
	CHECK(iommu == &amdvi_ops);
	CHECK(iommu->enable(&why));
	CHECK_STR(why.text, "");
}

static const struct amdvi_device *device(uint16_t bdf)
{
	return (const struct amdvi_device *)(uintptr_t)(reg(AMDVI_DEVICE_TABLE) & FIELD(51, 12)) +
	       bdf;
}

/* The unit's walk: 0 is blocked, else the host address and, in bit 0, that it may write. */
static uint64_t walk(uint16_t bdf, uint64_t at)
{
	uint64_t e = device(bdf)->translation, allowed = e;
	unsigned level = e >> 9 & 7;

	CHECK_EQ(e & 3, 3); /* what is not valid passes */
	if (!level) {
		CHECK_EQ(e >> 61 & 3, 0);
		return 0;
	}
	while (level) {
		unsigned shift = 12 + 9 * (level - 1);

		e = ((const uint64_t *)(uintptr_t)(e & FIELD(51, 12)))[at >> shift & 511];
		allowed &= e;
		if (!(e & 1) || !(allowed & BIT(61))) {
			return 0;
		}
		if (!(e >> 9 & 7)) {
			return (e & FIELD(51, 12)) + (at & (BIT(shift) - 1) & ~PAGE_MASK) +
			       (allowed >> 62 & 1);
		}
		CHECK_EQ(e >> 9 & 7, level - 1);
		level--;
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
