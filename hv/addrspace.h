/*
 * A partition's guest-physical memory: which gpa is RAM, and where that RAM is.
 *
 * Built once per partition, then read-only: every vCPU and every loader uses it without a lock.
 * All guest-supplied (gpa, length) pairs come through here, so bounds and wrap are checked once.
 */
#pragma once

#include "hv/refuse.h"
#include "hv/types.h"

struct addr_range {
	gpa_t base;
	uint64_t size; /* bytes, page multiple */
	hpa_t hpa;
	uint8_t *ptr;	/* the same bytes in the hypervisor's direct map; NULL for MMIO */
	bool writable;	/* for the guest; the hypervisor's loaders may always write RAM */
	bool uncached;	/* MMIO */
};

enum { ADDRSPACE_RANGES = 32 };

struct addrspace {
	struct addr_range range[ADDRSPACE_RANGES]; /* sorted by base, without overlap */
	unsigned count;
};

bool addrspace_add(struct addrspace *as, const struct addr_range *r, struct refusal *why);

/* The range that holds gpa, or NULL. */
const struct addr_range *addrspace_find(const struct addrspace *as, gpa_t gpa);

/*
 * RAM of exactly [gpa, gpa + len) as the hypervisor sees it, or NULL when a byte of it is not RAM of
 * one contiguous range. len 0 gives NULL.
 */
void *addrspace_ptr(const struct addrspace *as, gpa_t gpa, uint64_t len);

/* Copies that may span ranges. False (and nothing certain copied) if a byte is not RAM. */
bool addrspace_read(const struct addrspace *as, gpa_t gpa, void *out, uint64_t len);
bool addrspace_write(const struct addrspace *as, gpa_t gpa, const void *in, uint64_t len);
