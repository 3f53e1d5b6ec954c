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

/* What a vector means, packed so that the handler reads it in one piece. */
enum {
	PACK_VECTOR = FIELD(7, 0),
	PACK_DELIVERY = FIELD(10, 8),
	PACK_LOGICAL = BIT(11),
	PACK_LEVEL = BIT(12),
};
#define PACK_DEST FIELD(23, 16)
#define PACK_LINE BIT(62) /* of an interrupt line, its index in 7:0 */
#define PACK_USED BIT(63)

/* Physical vectors are the partition's, on all of its CPUs alike: moving one is one store. */
struct device_vector {
	_Atomic uint64_t message; /* packed, as above; 0: orphan */
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
	bool blocked; /* between two lives: its functions reach nothing */
	_Atomic uint64_t taken, injected, orphans;
};

static inline uint16_t passthrough_bdf(const struct config_pci *c)
{
	return pci_bdf(c->bus, c->device, c->function);
}

/* --- passthrough.c --- */
/* The partition's function with this id; NULL: it is not its. */
struct vpci_function *passthrough_owned(const struct partition *p, uint16_t bdf);

/*
 * The bits of the command register for what the function has to decode. Not more: an I/O BAR to
 * which firmware has given no ports would be at port 0.
 */
uint32_t passthrough_decoding(const struct pci_function *f);

/* --- passthrough_check.c --- */
/* Has the function no other interrupt than its line? */
bool passthrough_needs_line(const struct pci_function *f);
/* Its Interrupt Line, if that is an ISA IRQ which the virtual PC leaves to PCI; else 0. */
uint8_t passthrough_isa_irq(const struct pci_function *f);
/* What a function's INTx drives: an ISA IRQ, or from 16 on an input of the I/O APIC; 0: unknown. */
uint8_t passthrough_input(const struct config_pci *at);

/* --- passthrough_map.c --- */
/* Where the guest finds the BARs at first, and the hypervisor's own view of them. Boot CPU. */
bool passthrough_place_bars(struct partition *p, struct refusal *r);
/* Brings the second-level tables to what the BARs say. True: something went away. */
bool passthrough_remap(struct partition *p);

/* --- passthrough_irq.c --- */
/* `count` vectors in a row, aligned to it (a power of two); 0: there are none, as is told once. */
uint8_t passthrough_take_vectors(struct partition *p, unsigned count);
/*
 * One for a line, which no other partition's line has: AMD-Vi tells the pins of an I/O APIC apart by
 * the vector. For ever, while the partition is made.
 */
uint8_t passthrough_take_line_vector(struct partition *p);
/* From now on a vector means this packed message, or line. */
void passthrough_bind(struct passthrough *d, uint8_t vector, uint64_t packed);
struct apic_message passthrough_unpack(uint64_t packed);
/* Nothing is delivered any more; vectors are free again. */
void passthrough_close_interrupts(struct partition *p);

/* --- passthrough_message.c, passthrough_line.c --- */
void passthrough_message(void *partition, struct vpci_function *f, unsigned first, unsigned count);
/* At a start: no message of before is left, even where there was no reset. Decoding is on. */
void passthrough_disarm(const struct vpci_function *f);
bool passthrough_open_lines(struct partition *p, struct refusal *r);
void passthrough_intx(void *partition, struct vpci_function *f);
void passthrough_line_interrupt(struct partition *p, struct device_line *l);
