/*
 * PCI configuration space of bus 0: the host bridge, and what is passed through (PCI Local Bus
 * Specification 3.0, "Configuration Space Organization").
 *
 * Called by the bus, under the device lock. Owner of the state: the partition's struct pc.
 */
#include "hv/vdev/vpci.h"

enum {
	ADDRESS_ENABLE = 1u << 31,
	ADDRESS_WRITABLE = 0x80fffffcu, /* bits 30-24 and 1-0 read 0 */
};
#define ADDRESS_FUNCTION FIELD(23, 8) /* bus, device, function */
#define ADDRESS_REGISTER FIELD(7, 2)

enum { CONFIG_SIZE = 256, ECAM_FUNCTION_SHIFT = 12, RESET_CONTROL = 1 /* 0xcf9 */ };

/* Registers of a type 0 header that are not 0 or can be written. */
enum {
	VENDOR_ID = 0x00,
	DEVICE_ID = 0x02,
	COMMAND = 0x04,
	CLASS = 0x0b,
	LATENCY_TIMER = 0x0d,
	INTERRUPT_LINE = 0x3c,
};

/*
 * Intel's Q35 memory controller hub, as Linux and firmware know it from other virtual machines. It
 * needs no driver, and has no PCIEXBAR here: ECAM is told by the MCFG table alone.
 */
static const uint8_t host_bridge[64] = {
	[VENDOR_ID] = 0x86,	[VENDOR_ID + 1] = 0x80, [DEVICE_ID] = 0xc0,
	[DEVICE_ID + 1] = 0x29, [COMMAND] = 0x06, /* memory space and bus master, always on */
	[CLASS] = 0x06,				  /* bridge; subclass 0 is a host bridge */
};

static const uint8_t writable[64] = {
	[COMMAND + 1] = 0x01, /* SERR# enable */
	[LATENCY_TIMER] = 0xf8,
	[INTERRUPT_LINE] = 0xff,
};

/* A register of a function that is passed through, or of nobody. There are no extended ones. */
static void access_function(struct vpci *p, uint64_t function, uint64_t reg, struct bus_access *a)
{
	for (unsigned i = 0; i < p->functions; i++) {
		if (p->function[i].devfn != function) {
			continue;
		}
		if (reg + a->size <= CONFIG_SIZE) {
			vpci_function_access(p, &p->function[i], (unsigned)reg, a);
		} else if (!a->write) {
			a->value = 0;
		}
		return;
	}
	if (!a->write) {
		a->value = ~0ull;
	} else if (p->functions) {
		p->events->rejected(p->ctx, NULL, (uint16_t)function, (unsigned)reg);
	}
}

/* One access to register `reg` of function `function` (bus, device, function) of bus 0. */
static void access_config(struct vpci *p, uint64_t function, uint64_t reg, struct bus_access *a)
{
	uint64_t v = 0;

	if (function != 0) {
		access_function(p, function, reg, a);
		return;
	}
	if (reg + a->size > CONFIG_SIZE) {
		if (!a->write) {
			a->value = ~0ull;
		}
		return;
	}
	for (unsigned i = 0; i < a->size; i++) {
		uint8_t *byte = &p->host_bridge[reg + i];
		uint8_t mask = reg + i < sizeof(writable) ? writable[reg + i] : 0;

		if (a->write) {
			*byte = (uint8_t)((*byte & ~mask) | (a->value >> 8 * i & mask));
		}
		v |= (uint64_t)*byte << 8 * i;
	}
	if (!a->write) {
		a->value = v;
	}
}

static void access_address(void *dev, struct bus_access *a)
{
	struct vpci *p = dev;

	if (a->offset == 0 && a->size == 4) {
		if (a->write) {
			p->address = (uint32_t)a->value & ADDRESS_WRITABLE;
		} else {
			a->value = p->address;
		}
	} else if (a->offset == RESET_CONTROL && a->size == 1 && p->reset_control.ops) {
		a->offset = 0;
		p->reset_control.ops->access(p->reset_control.dev, a);
		a->offset = RESET_CONTROL;
	} else if (!a->write) {
		a->value = ~0ull;
	}
}

static void access_data(void *dev, struct bus_access *a)
{
	struct vpci *p = dev;
	uint64_t reg = (p->address & ADDRESS_REGISTER) + (a->offset & 3);

	if (p->address & ADDRESS_ENABLE) {
		access_config(p, field_get(ADDRESS_FUNCTION, p->address), reg, a);
	} else if (!a->write) {
		a->value = ~0ull;
	}
}

static void access_ecam(void *dev, struct bus_access *a)
{
	access_config(dev, a->offset >> ECAM_FUNCTION_SHIFT, a->offset & (PAGE_SIZE - 1), a);
}

void vpci_reset(struct vpci *p)
{
	p->address = 0;
	for (unsigned i = 0; i < CONFIG_SIZE; i++) {
		p->host_bridge[i] = i < sizeof(host_bridge) ? host_bridge[i] : 0;
	}
}

void vpci_init(struct vpci *p)
{
	*p = (struct vpci){0};
	vpci_reset(p);
}

const struct vdev_ops vpci_address_ops = {.name = "pci-address", .access = access_address};
const struct vdev_ops vpci_data_ops = {.name = "pci-data", .access = access_data};
const struct vdev_ops vpci_ecam_ops = {.name = "pci-ecam", .access = access_ecam};
