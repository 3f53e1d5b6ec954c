/*
 * DMA remapping units, from the ACPI tables to `iommu` (hv/iommu.h), and what both kinds share.
 */
#pragma once

#include "drivers/acpi.h"
#include "hv/iommu.h"
#include "hv/limits.h"
#include "hv/npt.h"

/* What is in [base, base + size) of physical memory, as text; NULL: nothing that is memory. */
typedef const char *(*iommu_memory_fn)(void *ctx, uint64_t base, uint64_t size);

struct iommu_machine {
	const struct acpi_info *acpi;
	acpi_map_fn map;	/* with map_ctx, firmware's tables */
	iommu_memory_fn memory; /* with memory_ctx */
	void *map_ctx, *memory_ctx;
	bool x2apic; /* interrupts may need 32-bit APIC ids */
};

/*
 * Finds out what there is and sets `iommu`. False: nothing is there, or, if r has a text, what is
 * there cannot be used. Boot CPU.
 */
bool iommu_probe(const struct iommu_machine *m, struct refusal *r);

/* --- for vtd.c and amdvi.c --- */

extern const struct iommu_ops vtd_ops, amdvi_ops;
bool vtd_probe(const struct iommu_machine *m, struct refusal *r);
bool amdvi_probe(const struct iommu_machine *m, struct refusal *r);

struct iommu_domain {
	const struct addrspace *as;
	struct npt npt;
	uint16_t id; /* 1 - MAX_GUESTS, or: */
};
enum { IOMMU_FIRMWARE = MAX_GUESTS + 1 };

enum { IOMMU_FUNCTIONS = 128 /* that partitions own at some time */ };

/* A function that some partition owned once. Entered by the boot CPU, never removed. */
struct iommu_function {
	uint16_t bdf;
	uint16_t carried; /* by its requests, besides or instead of bdf */
	unsigned unit;	  /* that covers it */
	struct iommu_domain *domain;   /* NULL: it reaches nothing */
	struct iommu_domain *reserved; /* holds the ranges that firmware reserved for it */
};
extern struct iommu_function iommu_function[IOMMU_FUNCTIONS];
extern unsigned iommu_functions;

struct iommu_function *iommu_find(uint16_t bdf); /* NULL: none */
/* unit: its index, or -1, which is refused. NULL: refused. */
struct iommu_function *iommu_enter(uint16_t bdf, int unit, struct refusal *r);
/* Do requests that carry bdf come from a partition's device? */
bool iommu_owned(uint16_t bdf);
/* Has another function a domain whose requests carry the same id? It is of the same guest. */
bool iommu_is_shared(const struct iommu_function *f);

/* A domain of all RAM in `as`, which must end below 1 << bits. */
bool iommu_domain_make(const struct npt_format *f, unsigned bits, const struct addrspace *as,
		       struct iommu_domain **d, struct refusal *r);
/* An empty domain, for what firmware reserved for devices that no partition has yet. */
bool iommu_domain_firmware(const struct npt_format *f, struct iommu_domain **d, struct refusal *r);
/*
 * Lets the devices of a domain reach [base, end), one to one: a range that firmware reserved for
 * function bdf. Refuses memory, and addresses where the guest has its own RAM.
 */
bool iommu_domain_reserve(struct iommu_domain *d, uint16_t bdf, uint64_t base, uint64_t end,
			  bool write, struct refusal *r);

/* Makes bytes that this CPU wrote visible to a unit that does not look into caches. */
void iommu_flush(const void *p, size_t size);
