/*
 * The seam to DMA remapping: VT-d and AMD-Vi behind one const table, chosen once at boot.
 *
 * drivers/vtd*.c and drivers/amdvi*.c implement it, boot/iommu.c turns it on, hv/passthrough.c
 * calls it. A domain is a partition's view of memory for its devices: guest-physical addresses,
 * exactly the RAM of its addrspace, and the ranges that firmware reserves for its devices. Devices
 * that no partition owns can reach nothing but what firmware reserves for devices, and interrupt
 * nobody where interrupts are remapped.
 */
#pragma once

#include "hv/addrspace.h"

struct iommu_domain;

enum { IOMMU_MSIS = 256 /* interrupts of one function that can be remapped */ };

/* A DMA or interrupt request that was blocked. */
struct iommu_fault {
	uint16_t bdf; /* bus 15:8, device 7:3, function 2:0 */
	uint64_t address;
	bool write;
	bool owned;	    /* by a partition */
	bool interrupt;	    /* an interrupt request, no DMA: address is its index or 0 */
	const char *reason; /* the manual's words */
};

struct iommu_ops {
	const char *name; /* "VT-d" or "AMD-Vi" */
	/*
	 * Boot CPU, before any guest: takes the units over (also from firmware that left them on),
	 * blocks every device, turns translation on. Refuses in words.
	 */
	bool (*enable)(struct refusal *r);
	/* A domain with all RAM ranges of `as`, which must stay; largest pages. Boot CPU. */
	bool (*domain_create)(const struct addrspace *as, struct iommu_domain **d,
			      struct refusal *r);
	/*
	 * Gives a function to a domain, or to none (d NULL: it can reach nothing). Flushes what the
	 * unit has cached and waits for it. Refuses a function that no unit covers, and RMRR or
	 * unity ranges that the domain cannot hold, with the reason. Boot CPU when the function
	 * gets its first domain, later any CPU. What its requests carry instead of bdf behind a
	 * bridge to PCI (pci_requester) is given to the domain too; all functions there share it.
	 */
	bool (*attach)(uint16_t bdf, struct iommu_domain *d, struct refusal *r);
	/*
	 * What an attached function must write to interrupt a CPU: MSI-X entry `index`, or message
	 * `index` of its MSI. Messages of one function share the address and have data that counts
	 * up where interrupts are remapped; else each has its vector. May be called again to send
	 * an interrupt elsewhere. False: it cannot be expressed. Any CPU.
	 */
	bool (*msi)(uint16_t bdf, unsigned index, uint32_t apic_id, uint8_t vector,
		    uint64_t *address, uint32_t *data);
	/*
	 * The same for a pin of the I/O APIC with this id: fills *entry, a redirection entry, but
	 * for polarity and mask. Any CPU, one at a time for a pin.
	 */
	bool (*ioapic)(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
		       uint64_t *entry);
	/* Takes one fault record, if there is one. Any CPU, one at a time. */
	bool (*take_fault)(struct iommu_fault *f);
	/*
	 * Tells no more of this function's faults until it is attached again: a device that is
	 * driven to it faults at its own pace. Boot CPU; any for a function that was attached once.
	 */
	void (*quiet)(uint16_t bdf);
	/*
	 * Has faults raise this physical vector on this LAPIC; vector 0: silence, until it is
	 * called with the same again. Boot CPU; another vector or LAPIC before other CPUs run.
	 */
	void (*fault_interrupt)(uint32_t apic_id, uint8_t vector);
	/* False: a device can raise any vector on any CPU by writing to the LAPICs' addresses. */
	bool (*remaps_interrupts)(void);
	/* Can `msi` and `ioapic` name this CPU? */
	bool (*reaches)(uint32_t apic_id);
	/* Registers of unit `index`: nobody else may have them. False: there is no such unit. */
	bool (*registers)(unsigned index, uint64_t *base, uint64_t *size);
};

extern const struct iommu_ops *iommu; /* NULL: this machine has none that is on */

/* Without remapping: an address and data that any x86 device can write (APIC ids below 256). */
static inline bool iommu_plain_msi(uint32_t apic_id, uint8_t vector, uint64_t *address,
				   uint32_t *data)
{
	*address = 0xfee00000 | (uint64_t)apic_id << 12;
	*data = vector;
	return apic_id < 256;
}

/* A redirection entry in the same way: edge or level, active high, not masked. */
static inline bool iommu_plain_ioapic(uint32_t apic_id, uint8_t vector, bool level, uint64_t *entry)
{
	*entry = (uint64_t)apic_id << 56 | (level ? BIT(15) : 0) | vector;
	return apic_id < 256;
}
