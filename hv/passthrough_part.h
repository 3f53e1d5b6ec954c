/*
 * What the files of passthrough share with each other. Included by hv/passthrough*.c only.
 */
#pragma once

#include "hv/host.h"
#include "hv/iommu.h"
#include "hv/partition.h"
#include "hv/passthrough.h"
#include <stdatomic.h>

enum { DEVICE_VECTORS = HOST_VECTOR_DEVICE_LAST - HOST_VECTOR_DEVICE_FIRST + 1 };

/* Physical vectors are the partition's, on all of its CPUs alike: moving one is one store. */
struct device_vector {
	_Atomic uint64_t message; /* packed, see passthrough_irq.c; 0: orphan */
	bool taken;
};

/* A physical interrupt line with this partition's functions on it. */
struct device_line {
	uint8_t irq, vector;
	bool waits;	  /* masked until the guest's EOI */
	uint32_t members; /* functions, by index */
};

struct passthrough {
	struct vpci_function function[MAX_GUEST_PCI];
	unsigned functions;
	struct device_vector vector[DEVICE_VECTORS];
	struct device_line line[MAX_GUEST_PCI];
	unsigned lines;
	uint32_t asserted; /* functions whose virtual interrupt pin is up */
	bool no_vector_told, bad_message_told;
	uint8_t rejected[VPCI_CONFIG / 8]; /* functions of others that were written to, told */
	struct iommu_domain *domain;
	_Atomic uint64_t taken, injected, orphans;
};

/* --- passthrough_map.c --- */
/* Where the guest finds the BARs at first, and the hypervisor's own view of them. Boot CPU. */
bool passthrough_place_bars(struct partition *p, struct refusal *r);
/* Brings the second-level tables to what the BARs say. True: something went away. */
bool passthrough_remap(struct partition *p);

/* --- passthrough_irq.c --- */
bool passthrough_open_lines(struct partition *p, struct refusal *r);
void passthrough_message(void *partition, struct vpci_function *f, unsigned first, unsigned count);
void passthrough_intx(void *partition, struct vpci_function *f);
/* Nothing is delivered any more; vectors are free again. */
void passthrough_close_interrupts(struct partition *p);
