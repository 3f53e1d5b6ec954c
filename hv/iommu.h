/*
 * The seam to DMA remapping: VT-d and AMD-Vi behind one const table, chosen once at boot.
 *
 * drivers/vtd*.c and drivers/amdvi*.c implement it, boot/partitions.c and hv/passthrough.c call it. A
 * domain is a partition's view of memory for its devices: guest-physical addresses, exactly the RAM of
 * its addrspace and nothing else. Devices that no partition owns are blocked.
 */
#pragma once

#include "hv/addrspace.h"

struct iommu_domain;

/* A DMA or interrupt request that was blocked. */
struct iommu_fault {
	uint16_t bdf; /* bus 15:8, device 7:3, function 2:0 */
	uint64_t address;
	bool write;
	const char *reason; /* the manual's words */
};

struct iommu_ops {
	const char *name; /* "VT-d" or "AMD-Vi" */
	/*
	 * Boot CPU, before any guest: takes the units over (also from firmware that left them on),
	 * blocks every device, turns translation on. Refuses in words.
	 */
	bool (*enable)(struct refusal *r);
	/* A domain with all RAM ranges of `as`, largest pages. Boot CPU. */
	bool (*domain_create)(const struct addrspace *as, struct iommu_domain **d, struct refusal *r);
	/*
	 * Gives a function to a domain, or to none (d NULL: it can reach nothing). Flushes what the
	 * unit has cached and waits for it. Refuses a function that no unit covers, and RMRR or unity
	 * ranges that the domain cannot hold, with the reason.
	 */
	bool (*attach)(uint16_t bdf, struct iommu_domain *d, struct refusal *r);
	/* Takes one fault record, if there is one. Any CPU, one at a time. */
	bool (*take_fault)(struct iommu_fault *f);
	/* Has faults raise this physical vector on this LAPIC. */
	void (*fault_interrupt)(uint32_t apic_id, uint8_t vector);
};

extern const struct iommu_ops *iommu; /* NULL: this machine has none */
